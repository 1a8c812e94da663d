"""A few example images of a measurement, with their adversarial versions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from sat_exp.datasets import ImageSet
from sat_exp.measurement.measurement import Measurement
from sat_exp.measurement.subjects import Direction, Measured, Source
from sat_exp.models import Candidate

IN_ALL = 6
"""Example images in all, at least."""

OF_EACH = 3
"""Example images of every source, at least."""


@dataclass(frozen=True)
class Examples:
    """A few images with their adversarial versions; all sources that attacked an image show the same ones.

    table: one row per source and image: model, image (its row in the image set), image_id, label, known (whether that
    is the true class, or else the clean prediction), clean_prediction and adversarial_prediction of the source, goal
    (the class that a targeted attack leads to) and the files clean and adversarial, relative to the run's folder.
    predictions: source, target, image, prediction: the class that a target predicts for the adversarial image.
    pictures: uint8 [C, H, W] by file.
    """

    table: pd.DataFrame
    predictions: pd.DataFrame
    pictures: dict[str, np.ndarray]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name; none where no image was attacked."""
        return {"examples": self.table, "example_predictions": self.predictions} if len(self.table) else {}


def with_examples(
    measurement: Measurement, candidates: Sequence[Candidate], directions: Collection[Direction] | None
) -> tuple[Measured, Examples]:
    """The result of the measurement, and its examples; damaged files that either finds are computed again."""

    def work() -> tuple[Measured, Examples]:
        measured = measurement.run(candidates, directions)
        return measured, examples(measured, measurement.images)

    return measurement.repaired(work)


def examples(measured: Measured, images: ImageSet) -> Examples:
    """The images that most sources attacked, of different classes."""
    sources = [source for source in measured.sources if len(source.rows)]
    if not sources:
        return Examples(pd.DataFrame(), pd.DataFrame(), {})
    labels = images.labels if images.labels is not None else sources[0].clean
    chosen = most_attacked(sources, labels, max(OF_EACH, -(-IN_ALL // len(sources))))
    one_view = len({source.view.digest for source in sources}) == 1
    records: list[dict[str, Any]] = []
    pictures: dict[str, np.ndarray] = {}
    for source in sources:
        rows = np.intersect1d(source.rows, chosen)
        truth = images.labels if source.labelled else None
        adversarial = source.adversarial.gather(np.searchsorted(source.rows, rows))
        for row, before, after in zip(rows, source.view.pixels.gather(rows), adversarial, strict=True):
            folder, own = f"examples/{row:05d}", quote(source.name, safe="")
            files = {
                "clean": f"{folder}/clean.png" if one_view else f"{folder}/clean of {own}.png",
                "adversarial": f"{folder}/{own}.png",
            }
            pictures |= {files["clean"]: before, files["adversarial"]: after}
            records.append(
                {
                    "model": source.name,
                    "image": row,
                    "image_id": images.ids[row],
                    "label": int((source.clean if truth is None else truth)[row]),
                    "known": truth is not None,
                    "clean_prediction": source.clean[row],
                    "adversarial_prediction": measured.predictions[source.name, source.name][row],
                }
                | ({} if source.goals is None else {"goal": source.of_all_images(source.goals)[row]})
                | files
            )
    predicted = [
        (source, target, row, classes[row])
        for (source, target), classes in measured.predictions.items()
        for row in chosen
        if classes[row] >= 0
    ]
    predictions = pd.DataFrame(predicted, columns=["source", "target", "image", "prediction"])
    return Examples(pd.DataFrame(records), predictions, pictures)


def most_attacked(sources: Sequence[Source], labels: np.ndarray, count: int) -> np.ndarray:
    """The rows of `count` images, ascending: of every class the image that most sources attacked, the most attacked
    first; then the second image of every class, and so on."""
    attacked = np.bincount(np.concatenate([source.rows for source in sources]), minlength=len(labels))
    table = pd.DataFrame({"label": labels, "attacked": attacked}).query("attacked > 0")
    table = table.sort_values("attacked", ascending=False, kind="stable")
    table["turn"] = table.groupby("label").cumcount()
    return np.sort(table.sort_values(["turn", "attacked"], ascending=[True, False], kind="stable").index[:count])
