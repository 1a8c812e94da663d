"""What the attack, transfer and matrix tasks share: measure models, score them, write the results, show them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from sat_exp import report, similarity, tracking
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.measurement import Measured, Measurement
from sat_exp.store import Store
from sat_exp.tasks import describing, results


def measure(config: DictConfig, models: Sequence[DictConfig], *, title: str, pairs: bool) -> None:
    """Measure `models`, write the run's folder (tables, figures, page), mirror it to W&B and print what was found."""
    settings = instantiate(config.tracking)
    attack = instantiate(config.attack)
    hardware: Hardware = instantiate(config.hardware)
    images = instantiate(config.dataset).images
    folder = Path(HydraConfig.get().runtime.output_dir)
    summary = describing.describe(config, title.format(models=len(models), images=len(images), dataset=images.name))
    with tracking.run(
        settings,
        name=describing.run_name(config, folder),
        job_type=config.task.name,
        directory=folder,
        config=summary,
        tags=[images.name],
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
        results.write(folder, summary, tables, results.examples(measured, images.labels, images.ids))
        drawn = report.draw(folder)
        run.log_results(folder)
    results.show(tables, summary["title"], drawn)


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
