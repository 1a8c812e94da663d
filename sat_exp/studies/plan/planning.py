"""The cost of a measurement: time, memory and disk, and the images that an interval of a wanted width needs.

Times are those of a matrix with the canvas protocol. A model is loaded to classify the clean images and to attack those
it classifies correctly, and, unless all models stay in memory, again to classify the adversarial images of all models.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig
from scipy.special import ndtri

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.modules.hardware import BYTES
from sat_exp.runs import Run
from sat_exp.similarity import sat, sat_interval
from sat_exp.similarity.scores import between_models
from sat_exp.studies.plan.simulation import Costs, Matrix

log = logging.getLogger(__name__)

STAGES = ["load_seconds", "clean_seconds", "attack_seconds", "transfer_seconds"]

LEAST_IMAGES = 100
LEAST_HITS = 10
"""Images fooled, and images not fooled, that a standard error from an interval's width needs."""

RATES = (0.06, 0.15, 0.40)
"""Transfer rates of unlike, typical and like pairs."""


@dataclass(frozen=True)
class Finished:
    """Facts from a finished run of the same models and data set; the defaults, without one, give an upper bound.

    attacked: the share of images attacked, by model. correlation: ρ of `expected_interval`. common: the median share of
    images in X_AB.
    """

    folder: Path | None = None
    attacked: dict[str, float] = field(default_factory=dict)
    correlation: float = 1.0
    common: float = 1.0


def times(
    throughput: pd.DataFrame, images: int, steps: int, attacked_share: Mapping[str, float], loads: int = 1
) -> pd.DataFrame:
    """The table `plan` without bytes: seconds by stage, one row per model, in the order of `throughput`.

    throughput: the table `throughput_used`. steps: gradient steps of the attack per image. attacked_share: the share of
    the images that are attacked, by model; 1, an upper bound, where it is missing. loads: how often a model is loaded.
    """
    attacked = images * throughput["name"].map(lambda name: attacked_share.get(name, 1.0))
    forward, step = throughput["forward_images_per_second"], throughput["attack_step_images_per_second"]
    plan = pd.DataFrame(
        {
            "name": throughput["name"],
            "attacked": attacked,
            "load_seconds": loads * throughput["load_seconds"],
            "clean_seconds": images / forward,
            "attack_seconds": attacked * steps / step,
            "transfer_seconds": attacked.sum() / forward,
        }
    )
    computing = plan[STAGES[1:]].sum(axis=1)
    plan["seconds"] = plan["load_seconds"] + computing
    plan["seconds_low"] = plan["load_seconds"] + computing / throughput["fast"]
    plan["seconds_high"] = plan["load_seconds"] + computing / throughput["slow"]
    return plan


def matrix(throughput: pd.DataFrame, attacked: pd.Series, **work: Any) -> Matrix:
    """The measurement for the simulation. attacked: images, of each model. work: other fields of `Matrix`."""
    costs = zip(
        throughput["name"],
        throughput["parameters"],
        throughput["load_seconds"],
        1 / throughput["forward_images_per_second"],
        1 / throughput["attack_step_images_per_second"],
        attacked.round().astype(int),
        strict=True,
    )
    return Matrix([Costs(*model) for model in costs], **work)


def memory(throughput: pd.DataFrame, precision: str, batch_size: int) -> pd.DataFrame:
    """weights_bytes of each model in `precision`; peak_bytes of an attack step on `batch_size` images, as measured."""
    width = throughput["precision"].str.split().str[0].map(BYTES).fillna(4)
    each = (throughput["peak_memory_bytes"] - width * throughput["parameters"]) / throughput["batch_size"]
    weights = BYTES.get(precision.split()[0], 4) * throughput["parameters"]
    return pd.DataFrame({"weights_bytes": weights, "peak_bytes": weights + batch_size * each})


def loads(groups: int, blocks: int, *, drop: bool) -> int:
    """How often a model is loaded. groups: of targets that are loaded together. blocks: of sources whose adversarial
    images are dropped together."""
    return 2 + blocks if drop and groups > 1 else min(groups, 2)


def most_stored(blocks: Sequence[Sequence[Costs]], examples: int) -> int:
    """The most adversarial images in the store at the same time, where those of each block of sources are dropped
    before the next one is attacked. examples: images of each source that stay, at most."""
    most = stayed = 0
    for block in blocks:
        most = max(most, stayed + sum(source.attacked for source in block))
        stayed += sum(min(source.attacked, examples) for source in block)
    return most


def disk(attacked: ArrayLike, images: int, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
    """Bytes by kind of artefact. attacked: the number of images attacked, of each model; shape: (C, H, W)."""
    counts = np.asarray(attacked)
    pixels, total, sources = math.prod(shape), round(counts.sum()), len(counts)
    return {
        "images": images * pixels,
        "adversarial": total * pixels,
        "logits": sources * images * classes * 4,
        "predictions": sources * total * 4,
    }


def traffic(disk: Mapping[str, int], models: int, groups: int) -> dict[str, int]:
    """Bytes that workers write to the store, and read from it. The clean images are read for the logits of every model,
    its attack and its check; its adversarial images twice for the check and once for each of `groups` of targets that
    are loaded together. Where some images are not attacked, attack and check read up to twice as much, as batches then
    lie across chunks. disk: see `disk`."""
    read = models * disk["images"] + (2 + 2 + groups) * disk["adversarial"] + disk["logits"] + disk["predictions"]
    return {"written": sum(disk.values()), "read": read}


def expected_interval(
    rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower and upper ends of the interval of SAT for expected counts of fooled images.

    An image is fooled in each direction with probability p = `rate`, and in both with p² + ρp(1 − p) where p allows it;
    ρ is the correlation of the two events. ρ = 1 gives the widest interval, also for unequal rates of mean p.
    """
    p, n, rho = (np.asarray(value, np.float64) for value in (rate, images, correlation))
    both = np.maximum(p**2 + rho * p * (1 - p), np.maximum(2 * p - 1, 0))
    return sat_interval(n * both, n * 2 * (p - both), n * (1 - 2 * p + both), confidence=confidence)


def standard_error(rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The standard error of SAT that `expected_interval` implies, never 0; for many hits √((1 − p)(1 + ρ)/2pn)."""
    p, n = np.asarray(rate, np.float64), np.asarray(images, np.float64)
    return similarity.standard_error(sat(n, n * p, n * p), *expected_interval(p, n, correlation))


def images_needed(
    rate: ArrayLike, width: ArrayLike, correlation: ArrayLike = 1.0, confidence: float = 0.95
) -> NDArray[np.int64]:
    """The least number of images in X_AB whose `expected_interval` is no wider than `width` > 0; rate in (0, 1];
    arrays broadcast."""

    def enough(images: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.ptp(expected_interval(rate, images, correlation, confidence), axis=0) <= width

    most = np.ones(np.broadcast(rate, width, correlation).shape, np.int64)
    while not (found := enough(most)).all():
        most = np.where(found, most, 2 * most)
    too_few = most // 2
    while (most - too_few > 1).any():
        middle = (too_few + most) // 2
        found = enough(middle)
        too_few, most = np.where(found, too_few, middle), np.where(found, middle, most)
    return most


def correlation(pairs: pd.DataFrame, confidence: float = 0.95) -> float | None:
    """The correlation ρ that the intervals in a table of pairs imply by the delta method, the median over pairs.

    None where no pair has enough images, hits and misses.
    """
    found = between_models(pairs[pairs["images"] >= LEAST_IMAGES])
    rate = (found["fooled_ab"] + found["fooled_ba"]) / (2 * found["images"])
    enough = found["images"] * np.minimum(rate, 1 - rate) >= LEAST_HITS
    error = (found["sat_high"] - found["sat_low"]) / (2 * ndtri((1 + confidence) / 2))
    implied = (2 * found["images"] * error**2 * rate / (1 - rate) - 1)[enough].dropna()
    return float(np.clip(implied.median(), -1, 1)) if len(implied) else None


def sample_sizes(width: float, images: int, finished: Finished, confidence: float) -> pd.DataFrame:
    """The table `images_needed`, for each of `RATES` and for double `width`, `width` and half of it.

    images: the planned number. common_images: how many must be in X_AB; the data set must have `images` for that.
    """
    rates, widths = (grid.ravel() for grid in np.meshgrid(RATES, (2 * width, width, width / 2), indexing="ij"))
    needed = images_needed(rates, widths, finished.correlation, confidence)
    known = rates, images * finished.common, finished.correlation
    return pd.DataFrame(
        {
            "transfer_rate": rates,
            "sat": np.log(100 * rates),
            "width": widths,
            "common_images": needed,
            "images": np.ceil(needed / finished.common).astype(np.int64),
            "correlation": finished.correlation,
            "planned_images": images,
            "standard_error_planned": standard_error(*known),
            "width_planned": np.ptp(expected_interval(*known, confidence), axis=0),
        }
    )


def latest(config: DictConfig, outputs: Path, names: set[str]) -> Finished:
    """The facts of the newest finished run of all models `names`; a run that cannot be read is named and left out."""
    for folder in Run.newest(outputs, "tables/pairs.parquet"):
        try:
            if found := facts(Run.open(folder), config, names):
                return found
        except UserError as error:
            log.warning("not used for the plan: %s", error)
    return Finished()


def facts(run: Run, config: DictConfig, names: set[str]) -> Finished | None:
    """The facts of a run; None where it lacks a model, has another data set or other `labels`, or too few images."""
    single, pairs = run.table("models"), run.table("pairs")
    same_data = run.summary.get("choices", {}).get("dataset") == HydraConfig.get().runtime.choices["dataset"]
    settings = run.summary.get("settings", {})
    if single is None or pairs is None or not same_data or settings.get("labels", "truth") != config.labels:
        return None
    run.require("settings.score.confidence")
    size = int(single["images"].max()) if len(single) else 0
    if size == 0:
        return None
    attacked = (single.set_index("model")["attacked"] / size).loc[lambda share: share > 0]
    common = between_models(pairs)["images"].median()
    rho = correlation(pairs, settings["score"]["confidence"])
    if not names <= set(attacked.index) or not common >= LEAST_IMAGES or rho is None:
        return None
    return Finished(run.folder, attacked.to_dict(), rho, float(common / size))
