"""A few example images of a measurement, with their adversarial versions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import pandas as pd

from sat_exp.datasets import ImageSet
from sat_exp.measurement.choice import example_rows
from sat_exp.measurement.dropping import restore
from sat_exp.measurement.measurement import Measurement
from sat_exp.measurement.scheduling import repaired
from sat_exp.measurement.subjects import Direction, Measured
from sat_exp.models import Candidate


@dataclass(frozen=True)
class Examples:
    """A few images with their adversarial versions, the same for all sources that attacked them. tables: `examples` and
    `example_predictions`, none where no image was attacked. The column `known` says whether `label` is the true class;
    else it is the clean prediction. pictures: uint8 [C, H, W] by file, relative to the run's folder."""

    tables: dict[str, pd.DataFrame]
    pictures: dict[str, np.ndarray]


def with_examples(
    measurement: Measurement, candidates: Sequence[Candidate], directions: Collection[Direction] | None
) -> tuple[Measured, Examples]:
    """The result of the measurement, and its examples; damaged files that either finds are computed again."""

    def work() -> tuple[Measured, Examples]:
        measured, images = measurement.run(candidates, directions), measurement.images
        chosen = example_rows(measured.sources, images.labels, images.canvas.crop)
        restore(measurement, measured.sources, chosen)
        return measured, examples(measured, images, chosen)

    return repaired(measurement.store, work)


def examples(measured: Measured, images: ImageSet, chosen: np.ndarray) -> Examples:
    """The examples at the rows `chosen`."""
    sources = [source for source in measured.sources if len(source.rows)]
    if not sources:
        return Examples({}, {})
    one_view = len({source.view.digest for source in sources}) == 1
    parts: list[pd.DataFrame] = []
    pictures: dict[str, np.ndarray] = {}
    for source in sources:
        rows, own = np.intersect1d(source.rows, chosen), quote(source.name, safe="")
        clean = "clean" if one_view else f"clean of {own}"
        truth = images.labels if source.labelled else None
        part = {
            "model": source.name,
            "image": rows,
            "image_id": [images.ids[row] for row in rows],
            "label": (source.clean if truth is None else truth)[rows].astype(np.int64),
            "known": truth is not None,
            "clean_prediction": source.clean[rows],
            "adversarial_prediction": measured.predictions[source.name, source.name][rows],
            "goal": None if source.goals is None else source.of_all_images(source.goals)[rows],
            "clean": [f"examples/{row:05d}/{clean}.png" for row in rows],
            "adversarial": [f"examples/{row:05d}/{own}.png" for row in rows],
        }
        parts.append(pd.DataFrame({name: column for name, column in part.items() if column is not None}))
        adversarial = source.adversarial.gather(np.searchsorted(source.rows, rows))
        pictures |= zip(part["clean"], source.view.pixels.gather(rows), strict=True)
        pictures |= zip(part["adversarial"], adversarial, strict=True)
    predicted = pd.DataFrame({way: classes[chosen] for way, classes in measured.predictions.items()}, index=chosen)
    predictions = predicted.rename_axis(index="image", columns=["source", "target"]).unstack().rename("prediction")
    predictions = predictions[predictions >= 0].reset_index()
    return Examples({"examples": pd.concat(parts, ignore_index=True), "example_predictions": predictions}, pictures)
