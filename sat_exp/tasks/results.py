"""What a measurement leaves behind: the files of a run's folder, and what is printed at its end."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from sat_exp import report
from sat_exp.datasets import ImageSet
from sat_exp.errors import UserError
from sat_exp.modules.measurement import Measured

EXAMPLES = 6
ENDS = 5


def examples(measured: Measured, images: ImageSet) -> dict[str, np.ndarray]:
    """A few images with their adversarial versions, from sources spread over the pool: fooled ones first, then of
    classes not shown yet. Where labels are unknown the clean prediction stands for them."""
    records: list[dict[str, Any]] = []
    shown: set[int] = set()
    shape = measured.sources[0].view.pixels.array.shape  # of natively different sizes, those of the first are shown
    alike = [source for source in measured.sources if source.view.pixels.array.shape == shape]
    for turn in np.linspace(0, len(alike) - 1, EXAMPLES).round().astype(int):
        source = alike[turn]
        known = images.labels is not None and source.labelled
        labels = images.labels if images.labels is not None and known else source.clean
        own = measured.predictions[source.name, source.name]
        fresh = [at for at, row in enumerate(source.rows) if row not in shown]
        if not fresh:
            continue
        classes = {labels[row] for row in shown}
        at = min(
            fresh, key=lambda at: (own[source.rows[at]] == labels[source.rows[at]], labels[source.rows[at]] in classes)
        )
        row = int(source.rows[at])
        shown.add(row)
        records.append(
            {
                "clean": source.view.pixels.gather([row])[0],
                "adversarial": source.adversarial.gather([at])[0],
                "labels": labels[row],
                "known": known,
                "clean_prediction": source.clean[row],
                "adversarial_prediction": own[row],
                "source": source.name,
                "image_id": images.ids[row],
            }
        )
    return {key: np.array([record[key] for record in records]) for key in records[0]} if records else {}


@dataclass(frozen=True)
class Predictions:
    """What a run's models predict, as `similarity.score` takes it; labels are None where they are unknown."""

    names: list[str]
    labels: np.ndarray | None
    clean: dict[str, np.ndarray]
    adversarial: dict[tuple[str, str], np.ndarray]
    shown: dict[tuple[str, str], np.ndarray]

    @classmethod
    def of(cls, measured: Measured, labels: np.ndarray | None) -> "Predictions":
        clean = {model.name: model.clean for model in measured.models}
        return cls(list(clean), labels, clean, measured.predictions, measured.shown)

    def write(self, file: Path) -> None:
        ways = sorted(self.adversarial)
        np.savez_compressed(
            file,
            models=np.array(self.names),
            labels=np.array([]) if self.labels is None else self.labels,
            clean=np.array([self.clean[name] for name in self.names], np.int32),
            directions=np.array(ways),
            adversarial=np.array([self.adversarial[way] for way in ways], np.int32),
            shown=np.array([self.shown[way] for way in ways], np.int32),
        )

    @classmethod
    def read(cls, file: Path) -> "Predictions":
        with np.load(file) as stored:
            ways = [(str(source), str(target)) for source, target in stored["directions"]]
            names = [str(name) for name in stored["models"]]
            return cls(
                names,
                stored["labels"] if len(stored["labels"]) else None,
                dict(zip(names, stored["clean"], strict=True)),
                dict(zip(ways, stored["adversarial"], strict=True)),
                dict(zip(ways, stored["shown"], strict=True)),
            )


def write(
    folder: Path,
    summary: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    shown: dict[str, np.ndarray],
    predictions: Predictions | None = None,
) -> None:
    """The run's folder: tables as Parquet and CSV, examples, predictions, settings; an earlier run's are removed."""
    try:
        archives = [folder / "examples.npz", folder / "predictions.npz"]
        for old in [*folder.glob("tables/*"), *folder.glob("figures/*"), *archives]:
            old.unlink(missing_ok=True)
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
            table.to_csv(folder / "tables" / f"{name}.csv", index=False)
        if shown:
            np.savez_compressed(folder / "examples.npz", **shown)  # type: ignore[arg-type]
        if predictions is not None:
            predictions.write(folder / "predictions.npz")
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    except OSError as error:
        raise UserError(
            f"cannot write results to {folder}: {error.strerror}; free some space and run it again"
        ) from error


def show(tables: dict[str, pd.DataFrame], title: str, drawn: report.Report) -> None:
    """Print what was found."""
    console = Console(file=sys.stdout)
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
        console.print(scores(tables["pairs"]))
    if "failures" in tables:
        table = Table("model", Column("why it failed", overflow="fold"), title="not measured", title_justify="left")
        for failure in tables["failures"].itertuples():
            table.add_row(str(failure.model), str(failure.reason))
        console.print(table)
    for warning in drawn.warnings:
        console.print(f"[yellow]caution:[/] {warning}")
    console.print(f"report: {drawn.page}", soft_wrap=True)


def scores(pairs: pd.DataFrame) -> Table:
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
    for heading in ("SAT", "95 %", "A → B", "B → A", "images"):
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


def number(value: float, form: str, unit: str = "") -> str:
    """A number, or – where it is missing."""
    return format(value, form) + unit if np.isfinite(value) else "–"
