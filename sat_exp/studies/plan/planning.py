"""The cost of a measurement: time, memory and disk, and the number of images for an interval of a wanted width.

Times are those of a matrix with the canvas protocol. Every model is loaded twice: to classify the clean images and to
attack those it classifies correctly, and to classify the adversarial images of all models.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from sat_exp import similarity
from sat_exp.similarity import sat, sat_interval

STAGES = ["load_seconds", "clean_seconds", "attack_seconds", "transfer_seconds"]
BYTES_OF_A_PARAMETER = {"64-true": 8, "bf16-true": 2}

LEAST_IMAGES = 100
LEAST_HITS = 10
"""Images fooled, and images not fooled, that a standard error from an interval's width needs."""

RATES = (0.06, 0.15, 0.40)
"""Transfer rates of unlike, typical and like pairs."""


def times(
    throughput: pd.DataFrame, images: int, steps: int, attacked_share: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Seconds by stage, one row per model.

    throughput: the rows of `sat_exp.modules.throughput.Throughput`. steps: gradient steps of the attack per image.
    attacked_share: model name → share of the images that are attacked, because the model classifies them correctly; 1,
    an upper bound, where it is missing.

    Columns: name, attacked (images), load_, clean_, attack_ and transfer_seconds, seconds, their sum, and seconds_low,
    seconds_high, the sum for rates that differ by the factors `fast` and `slow`.
    """
    attacked = np.array([images * (attacked_share or {}).get(name, 1.0) for name in throughput["name"]])
    forward, step = throughput["forward_images_per_second"], throughput["attack_step_images_per_second"]
    plan = pd.DataFrame(
        {
            "name": throughput["name"],
            "attacked": attacked,
            "load_seconds": 2 * throughput["load_seconds"],
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


def shared_seconds(plan: pd.DataFrame, devices: int) -> float:
    """Seconds on equal devices that share the models; no less than any stage of one model takes."""
    parts = (plan[["load_seconds", "clean_seconds", "attack_seconds"]].sum(axis=1), plan["transfer_seconds"])
    return float(sum(max(part.sum() / devices, part.max()) for part in parts))


def memory(throughput: pd.DataFrame, precision: str, batch_size: int) -> pd.DataFrame:
    """name, and bytes: `weights` in `precision`, as a table of throughput names it, and `peak` of an attack step on
    `batch_size` images, in proportion to the measured one."""
    width = throughput["precision"].map(bytes_of_a_parameter)
    each = (throughput["peak_memory_bytes"] - width * throughput["parameters"]) / throughput["batch_size"]
    weights = bytes_of_a_parameter(precision) * throughput["parameters"]
    return pd.DataFrame({"name": throughput["name"], "weights": weights, "peak": weights + batch_size * each})


def bytes_of_a_parameter(precision: str) -> int:
    return BYTES_OF_A_PARAMETER.get(precision.split()[0], 4)


def disk(attacked: ArrayLike, images: int, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
    """Bytes by kind of artefact: pixels and adversarial images uint8, logits float32 and
    predictions int32. attacked: [M] images attacked, of each model; shape: (C, H, W) of the canvas."""
    counts = np.asarray(attacked)
    pixels, total, sources = math.prod(shape), round(counts.sum()), len(counts)
    return {
        "images": images * pixels,
        "adversarial": total * pixels,
        "logits": sources * images * classes * 4,
        "predictions": sources * total * 4,
    }


def expected_interval(
    rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The interval of SAT for expected counts of fooled images: lower and upper ends, float64.

    Both transfer rates are p = `rate`. The indicators that an image's two adversarial versions fool the other model
    have correlation ρ, so p² + ρp(1 − p) of the `images` are fooled both ways, within the bounds that p sets. ρ = 1
    gives the widest interval, also for unequal rates of mean p.
    """
    p, n, rho = (np.asarray(value, np.float64) for value in (rate, images, correlation))
    both = np.maximum(p**2 + rho * p * (1 - p), np.maximum(2 * p - 1, 0))
    return sat_interval(n * both, n * 2 * (p - both), n * (1 - 2 * p + both), confidence=confidence)


def standard_error(rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The standard error of SAT that `expected_interval` implies (`similarity.standard_error`).

    For many hits and misses it is that of the delta method, √((1 − p)(1 + ρ)/2pn), with rate p, n images and
    correlation ρ. It is positive even where none or all images are expected to be fooled.
    """
    p, n = np.asarray(rate, np.float64), np.asarray(images, np.float64)
    return similarity.standard_error(sat(n, n * p, n * p), *expected_interval(p, n, correlation))


def interval_width(
    rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0, confidence: float = 0.95
) -> NDArray[np.float64]:
    """The full width of `expected_interval`."""
    low, high = expected_interval(rate, images, correlation, confidence)
    return high - low


def images_needed(
    rate: ArrayLike, width: ArrayLike, correlation: ArrayLike = 1.0, confidence: float = 0.95
) -> NDArray[np.int64]:
    """The least number of images, int64, that both models must classify correctly for an interval of SAT of full
    `width` > 0. `rate` in (0, 1]. See `expected_interval`."""
    p, wanted, rho = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in (rate, width, correlation)))

    def too_few(images: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(interval_width(p, images, rho, confidence) > wanted)

    delta = ndtri((1 + confidence) / 2) ** 2 * 2 * (1 + rho) * (1 - p) / p / wanted**2
    enough = np.maximum(np.ceil(delta), 1).astype(np.int64)
    while (short := too_few(enough)).any():
        enough = np.where(short, 2 * enough, enough)
    fewer = enough // 2
    while (plenty := (fewer > 0) & ~too_few(np.maximum(fewer, 1))).any():
        enough, fewer = np.where(plenty, fewer, enough), np.where(plenty, fewer // 2, fewer)
    while (enough - fewer > 1).any():
        middle = (enough + fewer + 1) // 2
        short = too_few(middle)
        enough, fewer = np.where(short, enough, middle), np.where(short, middle, fewer)
    return enough


def correlation(pairs: pd.DataFrame, confidence: float = 0.95) -> float | None:
    """The correlation ρ of `expected_interval` that the intervals in a table of pairs imply, by the delta method.

    It is the median over pairs of distinct models; None where no pair has enough images, hits and misses.
    """
    found = pairs[(pairs["model_a"] != pairs["model_b"]) & (pairs["images"] >= LEAST_IMAGES)]
    rate = (found["fooled_ab"] + found["fooled_ba"]) / (2 * found["images"])
    enough = found["images"] * np.minimum(rate, 1 - rate) >= LEAST_HITS
    error = (found["sat_high"] - found["sat_low"]) / (2 * ndtri((1 + confidence) / 2))
    implied = (2 * found["images"] * error**2 * rate / (1 - rate) - 1)[enough].dropna()
    return float(np.clip(implied.median(), -1, 1)) if len(implied) else None


def sample_sizes(width: float, images: int, correlation: float, common: float, confidence: float) -> pd.DataFrame:
    """The images that each of `RATES` needs for an interval of `width`, of half and of double that width.

    images: the planned number; common: the share of them in X_AB; correlation: ρ of `expected_interval`. Columns:
    transfer_rate, sat, width; common_images, which both models must classify correctly; images, which the data set must
    have for that; correlation, planned_images, standard_error_planned and width_planned, of the planned number.
    """
    rows = []
    for rate in RATES:
        planned = {
            "correlation": correlation,
            "planned_images": images,
            "standard_error_planned": float(standard_error(rate, images * common, correlation)),
            "width_planned": float(interval_width(rate, images * common, correlation, confidence)),
        }
        for wanted in (2 * width, width, width / 2):
            needed = int(images_needed(rate, wanted, correlation, confidence))
            sizes = {"common_images": needed, "images": math.ceil(needed / common)}
            rows.append({"transfer_rate": rate, "sat": math.log(100 * rate), "width": wanted} | sizes | planned)
    return pd.DataFrame(rows)
