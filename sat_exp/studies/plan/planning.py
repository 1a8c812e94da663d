"""The cost of a measurement: time, memory and disk, and the number of images for an interval of a wanted width.

Times are those of a matrix with the canvas protocol. Every model is loaded twice: to classify the clean images and to
attack those it classifies correctly, and to classify the adversarial images of all models.
"""

import math
from bisect import bisect_left
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


def times(throughput: pd.DataFrame, images: int, steps: int, attacked_share: Mapping[str, float]) -> pd.DataFrame:
    """Seconds by stage, one row per model; their sum, and that sum for rates that differ by the factors `fast` and
    `slow`.

    throughput: the rows of `sat_exp.modules.throughput.Throughput`. steps: gradient steps of the attack per image.
    attacked_share: the share of the images that a model classifies correctly and that are attacked, by its name; 1, an
    upper bound, where it is missing.
    """
    attacked = images * throughput["name"].map(lambda name: attacked_share.get(name, 1.0))
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
    """Bytes of each model: `weights_bytes` in `precision`, as a table of throughput names it, and `peak_bytes` of an
    attack step on `batch_size` images, in proportion to the measured one."""
    width = throughput["precision"].map(bytes_of_a_parameter)
    each = (throughput["peak_memory_bytes"] - width * throughput["parameters"]) / throughput["batch_size"]
    weights = bytes_of_a_parameter(precision) * throughput["parameters"]
    return pd.DataFrame({"weights_bytes": weights, "peak_bytes": weights + batch_size * each})


def bytes_of_a_parameter(precision: str) -> int:
    return BYTES_OF_A_PARAMETER.get(precision.split()[0], 4)


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


def expected_interval(
    rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower and upper ends of the interval of SAT for expected counts of fooled images.

    An image is fooled in each direction with probability p = `rate`, and in both with p² + ρp(1 − p), as far as p
    allows that; ρ is the correlation of the two events. ρ = 1 gives the widest interval, also for unequal rates of mean
    p.
    """
    p, n, rho = (np.asarray(value, np.float64) for value in (rate, images, correlation))
    both = np.maximum(p**2 + rho * p * (1 - p), np.maximum(2 * p - 1, 0))
    return sat_interval(n * both, n * 2 * (p - both), n * (1 - 2 * p + both), confidence=confidence)


def standard_error(rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The standard error of SAT that `expected_interval` implies (`similarity.standard_error`); it is never 0.

    For many hits and misses it is that of the delta method, √((1 − p)(1 + ρ)/2pn).
    """
    p, n = np.asarray(rate, np.float64), np.asarray(images, np.float64)
    return similarity.standard_error(sat(n, n * p, n * p), *expected_interval(p, n, correlation))


def interval_width(
    rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0, confidence: float = 0.95
) -> NDArray[np.float64]:
    """The full width of `expected_interval`."""
    low, high = expected_interval(rate, images, correlation, confidence)
    return high - low


def images_needed(rate: float, width: float, correlation: float = 1.0, confidence: float = 0.95) -> int:
    """The least number of images that both models must classify correctly for an interval of SAT of full `width` > 0.
    `rate` in (0, 1]. See `expected_interval`."""

    def enough(images: int) -> bool:
        return bool(interval_width(rate, images, correlation, confidence) <= width)

    most = 1
    while not enough(most):
        most *= 2
    return 1 + bisect_left(range(1, most), True, key=enough)


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
    """The table `images_needed`, for each of `RATES` and for double `width`, `width` and half of it.

    images: the planned number; common: the share of them in X_AB; correlation: ρ of `expected_interval`. In the table,
    both models must classify `common_images` correctly; the data set must have `images` for that.
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
            needed = images_needed(rate, wanted, correlation, confidence)
            sizes = {"common_images": needed, "images": math.ceil(needed / common)}
            rows.append({"transfer_rate": rate, "sat": math.log(100 * rate), "width": wanted} | sizes | planned)
    return pd.DataFrame(rows)
