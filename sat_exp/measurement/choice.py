"""Which images are the examples of a measurement. The choice depends on the clean predictions alone, so that it is
known before any attack."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sat_exp.measurement.subjects import Source

IN_ALL = 6  # example images in all, at least
OF_EACH = 3  # example images of every source, at least
MOST = 12  # example images of every source, at most
PIXELS = 10_000_000  # of all adversarial images, above which every source has no more than the least


def example_rows(sources: Sequence[Source], labels: np.ndarray | None, side: int) -> np.ndarray:
    """The images that most sources attacked, of different classes: their rows, ascending. labels: the true classes,
    int64 [N], or None where they are unknown. side: pixels of an image's side."""
    sources = [source for source in sources if len(source.rows)]
    if not sources:
        return np.empty(0, np.int64)
    classes = labels if labels is not None else sources[0].clean
    return most_attacked(sources, classes, examples_of_each(len(sources), side))


def examples_of_each(sources: int, side: int) -> int:
    """The number of example images, the same for each of some sources. side: see `example_rows`."""
    return max(OF_EACH, -(-IN_ALL // sources), min(MOST, PIXELS // (side**2 * sources)))


def most_attacked(sources: Sequence[Source], labels: np.ndarray, count: int) -> np.ndarray:
    """The rows of `count` images, ascending: of every class the image that most sources attacked, the most attacked
    first; then the second image of every class, and so on."""
    attacked = np.bincount(np.concatenate([source.rows for source in sources]), minlength=len(labels))
    table = pd.DataFrame({"label": labels, "attacked": attacked}).query("attacked > 0")
    table = table.sort_values("attacked", ascending=False, kind="stable")
    table["turn"] = table.groupby("label").cumcount()
    return np.sort(table.sort_values(["turn", "attacked"], ascending=[True, False], kind="stable").index[:count])


def chunks_of(source: Source, rows: np.ndarray) -> list[int]:
    """The chunks of the adversarial images of a source that hold the images `rows`, as far as it attacked them."""
    places = np.searchsorted(source.rows, np.intersect1d(source.rows, rows))
    return np.unique(places // source.adversarial.chunk).tolist()
