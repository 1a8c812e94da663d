"""What a study needs before it is begun: time, memory and disk, and how many images for an interval of a wanted width.

Times are the canvas protocol's matrix: every model is loaded twice, once to classify the clean images and to attack
those it gets right, once to classify the adversarial images of all models.
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
"""Images fooled, and images not fooled, from which an interval's width tells of its standard error."""


def times(
    throughput: pd.DataFrame, images: int, steps: int, attacked_share: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Seconds by model and stage, one row a model.

    throughput: the rows of `sat_exp.modules.throughput.Throughput`. steps: gradient steps of the attack an image.
    attacked_share: model name → share of the images that are attacked, those it gets right; 1, hence an upper bound,
    where that is not known.

    Columns: name, attacked (images), load_, clean_, attack_ and transfer_seconds, seconds, their sum, and seconds_low,
    seconds_high: the sum where the rates lie off by the factors `fast` and `slow`.
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
    """Seconds on so many equal devices that divide the models among them: no less than any one model's stage takes."""
    parts = (plan[["load_seconds", "clean_seconds", "attack_seconds"]].sum(axis=1), plan["transfer_seconds"])
    return float(sum(max(part.sum() / devices, part.max()) for part in parts))


def memory(throughput: pd.DataFrame, precision: str, batch_size: int) -> pd.DataFrame:
    """Bytes by model: `weights` in `precision`, as a table of throughput names it, and `peak` of an attack step on
    `batch_size` images, in proportion to what was measured."""
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
    """The interval of SAT where as many of the pair's `images` are fooled as expected: lower and upper ends, float64.

    Both transfer rates are `rate` and the indicators that an image's two adversarial versions fool the other model
    correlate by ρ, so that p² + ρp(1 − p) of the images are fooled both ways: as many as there can be, or none, where
    rates of p do not allow that. ρ = 1 gives the widest interval, for unequal rates of mean p too.
    """
    p, n, rho = (np.asarray(value, np.float64) for value in (rate, images, correlation))
    both = np.maximum(p**2 + rho * p * (1 - p), np.maximum(2 * p - 1, 0))
    return sat_interval(n * both, n * 2 * (p - both), n * (1 - 2 * p + both), confidence=confidence)


def standard_error(rate: ArrayLike, images: ArrayLike, correlation: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The standard error of SAT that `expected_interval` implies (`similarity.standard_error`).

    For many hits and misses it is that of the delta method, √((1 − p)(1 + ρ)/2pn), p the rate of n images and ρ the
    correlation; where none or all are expected to be fooled it is not 0.
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
    """How many images both models must get right for an interval of SAT of full `width` > 0, int64; one image fewer
    gives a wider one. `rate` in (0, 1]. See `expected_interval`."""
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
    """The correlation ρ of `expected_interval` that the intervals in a table of pairs imply, by the delta method, as
    the median over pairs of two models; None where no pair has enough images, hits and misses for that."""
    found = pairs[(pairs["model_a"] != pairs["model_b"]) & (pairs["images"] >= LEAST_IMAGES)]
    rate = (found["fooled_ab"] + found["fooled_ba"]) / (2 * found["images"])
    telling = found["images"] * np.minimum(rate, 1 - rate) >= LEAST_HITS
    error = (found["sat_high"] - found["sat_low"]) / (2 * ndtri((1 + confidence) / 2))
    implied = (2 * found["images"] * error**2 * rate / (1 - rate) - 1)[telling].dropna()
    return float(np.clip(implied.median(), -1, 1)) if len(implied) else None
