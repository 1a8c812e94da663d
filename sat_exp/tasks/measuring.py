"""What the attack, transfer and matrix tasks share: measure models, score them, write the results, show them."""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Column, Table

from sat_exp import report, similarity, tracking
from sat_exp.errors import UserError
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.measurement import Measured, Measurement
from sat_exp.store import Store
from sat_exp.tasks import describing

log = logging.getLogger(__name__)

EXAMPLES = 6


def measure(config: DictConfig, models: Sequence[DictConfig], *, title: str, pairs: bool) -> None:
    """Measure `models`, write the run's folder (tables, figures, page), mirror it to W&B and print what was found."""
    settings = instantiate(config.tracking)
    attack = instantiate(config.attack)
    hardware: Hardware = instantiate(config.hardware)
    images = instantiate(config.dataset).images
    folder = Path(HydraConfig.get().runtime.output_dir)
    summary = describing.describe(config, title.format(models=len(models), images=len(images), dataset=images.name))
    with tracking.run(
        settings, name=describing.run_name(config, folder), job_type=config.task.name, directory=folder, config=summary, tags=[images.name]
    ) as run:
        measurement = Measurement(images, attack, Store(Path(config.output_dir) / "store"), hardware, config.seed)
        measured = measurement.run(models)
        tables = {"models": model_table(measured, images.labels)}
        if pairs:
            tables["pairs"] = pair_table(measured, images.labels, config.score)
        summary |= {
            "attack": {"name": type(attack).__name__.lower()} | asdict(attack),
            "dataset": {
                "name": images.name,
                "images": len(images),
                "classes": len(images.class_names),
                "digest": measurement.digest,
            },
            "class_names": list(images.class_names),
            "timings": {stage: round(seconds, 2) for stage, seconds in measured.timings.items()},
            "warnings": measured.warnings,
        }
        write(folder, summary, tables, examples(measured, images.labels, images.ids))
        drawn = report.draw(folder)
        run.log_results(folder)
    show(tables, summary["title"], drawn)


def model_table(measured: Measured, labels: np.ndarray) -> pd.DataFrame:
    """One row a model: accuracy, white-box success, perturbation norms, throughput of the attack."""
    rows = []
    for source in measured.sources:
        notes = source.adversarial.notes
        seconds = notes.get("seconds", np.nan)
        rows.append(
            {"model": source.name, "family": source.family, "parameters": source.parameters}
            | similarity.model_rates(labels, source.clean, measured.predictions[source.name, source.name])
            | {
                "mean_linf": notes.get("mean_linf", np.nan),
                "mean_l2": notes.get("mean_l2", np.nan),
                "changed_pixels": notes.get("mean_changed", np.nan),
                "attack_seconds": seconds,
                "attack_images_per_second": notes["images"] / seconds if "images" in notes else np.nan,
                "pretrained": source.pretrained,
            }
        )
    return pd.DataFrame(rows)


def pair_table(measured: Measured, labels: np.ndarray, settings: DictConfig) -> pd.DataFrame:
    return similarity.score(
        [source.name for source in measured.sources],
        {source.name: source.family for source in measured.sources},
        labels,
        {source.name: source.clean for source in measured.sources},
        measured.predictions,
        floor=settings.floor,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )


def examples(measured: Measured, labels: np.ndarray, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """A few images with their adversarial versions, fooled ones first, taken from the sources in turn."""
    picks = []
    used: set[int] = set()
    for turn in range(EXAMPLES):
        source = measured.sources[
            turn * len(measured.sources) // EXAMPLES
            if len(measured.sources) >= EXAMPLES
            else turn % len(measured.sources)
        ]
        own = measured.predictions[source.name, source.name]
        order = sorted(
            source.rows, key=lambda row: (row in used, own[row] == labels[row], labels[row] in labels[list(used)], row)
        )
        if order:
            used.add(order[0])
            picks.append((source, order[0], int(np.flatnonzero(source.rows == order[0])[0])))
    shape = measured.pixels.array.shape[1:]
    return {
        "clean": np.array([measured.pixels.gather([row])[0] for _, row, _ in picks], np.uint8).reshape(-1, *shape),
        "adversarial": np.array([source.adversarial.gather([at])[0] for source, _, at in picks], np.uint8).reshape(
            -1, *shape
        ),
        "labels": np.array([labels[row] for _, row, _ in picks], np.int64),
        "clean_prediction": np.array([source.clean[row] for source, row, _ in picks], np.int64),
        "adversarial_prediction": np.array(
            [measured.predictions[source.name, source.name][row] for source, row, _ in picks], np.int64
        ),
        "source": np.array([source.name for source, _, _ in picks], np.str_),
        "image_id": np.array([ids[row] for _, row, _ in picks], np.str_),
    }


def write(folder: Path, summary: dict[str, Any], tables: dict[str, pd.DataFrame], shown: dict[str, np.ndarray]) -> None:
    """The run's folder: tables as Parquet and CSV, examples, settings."""
    try:
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
            table.to_csv(folder / "tables" / f"{name}.csv", index=False)
        np.savez_compressed(folder / "examples.npz", **shown)  # type: ignore[arg-type]
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
            f"{row.clean_accuracy:.1%}",
            f"{row.white_box_success:.1%}",
            f"{row.mean_l2:.0f}/255",
            f"{row.attack_images_per_second:.1f}",
        )
    console.print(table)
    if "pairs" in tables:
        pairs = tables["pairs"].query("model_a != model_b").sort_values("sat", ascending=False)
        heading = "most and least similar pairs" if len(pairs) > 10 else "pairs"
        table = Table(Column("model A", overflow="fold"), Column("model B", overflow="fold"), title=heading, title_justify="left")
        for heading in ("SAT", "95 %", "A → B", "B → A", "images"):
            table.add_column(heading, justify="right")
        for row in (pd.concat([pairs.head(5), pairs.tail(5)]) if len(pairs) > 10 else pairs).itertuples():
            table.add_row(
                str(row.model_a),
                str(row.model_b),
                f"{row.sat:.2f}",
                f"{row.sat_low:.2f}–{row.sat_high:.2f}",
                f"{row.transfer_rate_ab:.1%}",
                f"{row.transfer_rate_ba:.1%}",
                str(row.images),
            )
        console.print(table)
    for warning in drawn.warnings:
        console.print(f"[yellow]caution:[/] {warning}")
    console.print(f"report: {drawn.page}", soft_wrap=True)
