"""What a measurement leaves behind: example images, and what is printed at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from rich.table import Column, Table

from sat_exp import report
from sat_exp.datasets import ImageSet
from sat_exp.measurement import Measured, Source
from sat_exp.runs import Predictions
from sat_exp.tasks import printing

__all__ = ["Examples", "Predictions", "examples", "number", "show"]

SHOWN = 6
"""Example images in all, at least."""

EACH = 3
"""Example images of every source, at least."""

ENDS = 5


@dataclass(frozen=True)
class Examples:
    """A few images with their adversarial versions, the same images of every source that attacked them.

    table: a row for each source and image: model, image (its row in the image set), image_id, label, known (whether
    that is the true class, or else the clean prediction), clean_prediction and adversarial_prediction of the source,
    and the files clean and adversarial, relative to the run's folder.
    predictions: source, target, image, prediction: the class that a target sees in the adversarial image.
    pictures: uint8 [C, H, W] by file.
    """

    table: pd.DataFrame
    predictions: pd.DataFrame
    pictures: dict[str, np.ndarray]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        return {"examples": self.table, "example_predictions": self.predictions} if len(self.table) else {}


def examples(measured: Measured, images: ImageSet) -> Examples:
    """Of different classes those images that most sources attacked."""
    sources = [source for source in measured.sources if len(source.rows)]
    if not sources:
        return Examples(pd.DataFrame(), pd.DataFrame(), {})
    labels = images.labels if images.labels is not None else sources[0].clean
    shown = most_attacked(sources, labels, max(EACH, -(-SHOWN // len(sources))))
    one_view = len({source.view.digest for source in sources}) == 1
    records: list[dict[str, Any]] = []
    pictures: dict[str, np.ndarray] = {}
    for source in sources:
        rows = np.intersect1d(source.rows, shown)
        known = images.labels is not None and source.labelled
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
                    "label": int(images.labels[row] if known and images.labels is not None else source.clean[row]),
                    "known": known,
                    "clean_prediction": source.clean[row],
                    "adversarial_prediction": measured.predictions[source.name, source.name][row],
                }
                | files
            )
    seen = [
        (source, target, row, predicted[row])
        for (source, target), predicted in measured.predictions.items()
        for row in shown
        if predicted[row] >= 0
    ]
    predictions = pd.DataFrame(seen, columns=["source", "target", "image", "prediction"])
    return Examples(pd.DataFrame(records), predictions, pictures)


def most_attacked(sources: Sequence[Source], labels: np.ndarray, count: int) -> np.ndarray:
    """The rows of `count` images, ascending: of every class the one that most sources attacked, the most attacked
    first; then the classes' second ones."""
    attacked = np.bincount(np.concatenate([source.rows for source in sources]), minlength=len(labels))
    table = pd.DataFrame({"label": labels, "attacked": attacked}).query("attacked > 0")
    table = table.sort_values("attacked", ascending=False, kind="stable")
    table["turn"] = table.groupby("label").cumcount()
    return np.sort(table.sort_values(["turn", "attacked"], ascending=[True, False], kind="stable").index[:count])


def show(tables: dict[str, pd.DataFrame], title: str, drawn: report.Report, confidence: float) -> None:
    """Print what was found."""
    console = printing.console()
    table = Table(Column("model", overflow="fold"), title=title, title_justify="left")
    for heading in ("clean accuracy", "white-box success", "mean L2", "images/s"):
        table.add_column(heading, justify="right")
    for row in tables["models"].itertuples():
        table.add_row(
            str(row.model),
            number(row.clean_accuracy, ".1%"),
            number(row.white_box_success, ".1%"),
            number(row.mean_l2, ".0f", "/255"),
            number(row.attack_images_per_second, ".1f"),
        )
    console.print(table)
    if "pairs" in tables:
        console.print(scores(tables["pairs"], confidence))
    if "failures" in tables:
        table = Table("model", Column("why it failed", overflow="fold"), title="not measured", title_justify="left")
        for failure in tables["failures"].itertuples():
            table.add_row(str(failure.model), str(failure.reason))
        console.print(table)
    for warning in drawn.warnings:
        console.print(printing.caution(warning))
    console.print(f"report: {drawn.page}", soft_wrap=True)


def scores(pairs: pd.DataFrame, confidence: float) -> Table:
    """The pairs with the highest and the lowest SAT, or of a row, which has none, the highest and lowest rates."""
    between = report.between_models(pairs)
    if between["sat"].isna().all():
        ways = report.one_way(pairs).sort_values("rate", ascending=False)
        heading = "highest and lowest transfer rates" if len(ways) > 2 * ENDS else "transfer rates"
        table = Table("source", "target", Column("transfer rate", justify="right"), title=heading, title_justify="left")
        for row in ends(ways).itertuples():
            table.add_row(str(row.source), str(row.target), f"{row.rate:.1%}")
        return table
    between = between.dropna(subset=["sat"]).sort_values("sat", ascending=False)
    table = Table(
        Column("model A", overflow="fold"),
        Column("model B", overflow="fold"),
        title="most and least similar pairs" if len(between) > 2 * ENDS else "pairs",
        title_justify="left",
    )
    for heading in ("SAT", percent(confidence), "A → B", "B → A", "images"):
        table.add_column(heading, justify="right")
    for row in ends(between).itertuples():
        table.add_row(
            str(row.model_a),
            str(row.model_b),
            number(row.sat, ".2f"),
            f"{number(row.sat_low, '.2f')}–{number(row.sat_high, '.2f')}",
            number(row.transfer_rate_ab, ".1%"),
            number(row.transfer_rate_ba, ".1%"),
            str(row.images),
        )
    return table


def ends(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.head(ENDS), table.tail(ENDS)]) if len(table) > 2 * ENDS else table


def percent(confidence: float) -> str:
    """For instance '95 %'."""
    return f"{100 * confidence:g} %"


def number(value: float, form: str, unit: str = "") -> str:
    """A number, or – where it is missing."""
    return format(value, form) + unit if np.isfinite(value) else "–"
