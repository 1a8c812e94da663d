"""The conformance check of measures of similarity."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_exp.similarity.measures import Measure

IMAGES, CLASSES = 60, 5
ROUNDING = 1e-6


def check_measure(measure: Measure) -> None:
    """AssertionError unless a measure is sound on random outputs of two models.

    Sound: a finite value within its range or NaN, inside its interval; equal in a second call, in another order of the
    images and, where it claims to be symmetric, of the models; the value `identity` for a model with itself; no error
    without labels, for a single image, and for models that are always right; and the inputs stay as they are.
    """
    assert measure.name.isidentifier(), f"{measure.name!r} is no name: it is typed as measures=[NAME]"
    assert measure.needs in ("predictions", "logits"), f"needs={measure.needs!r}: give predictions or logits"
    assert measure.low < measure.high, f"the range from {measure.low} to {measure.high} is empty"
    labels, a, b = outputs(measure)
    value = valued(measure, a, b, labels)
    assert math.isfinite(value), "the value of two ordinary models is NaN"
    assert same(valued(measure, a, b, labels), value), "a second call gives another value: draw no random numbers"
    order = np.random.default_rng(1).permutation(IMAGES)
    assert same(valued(measure, a[order], b[order], labels[order]), value), "the value depends on the order of images"
    if measure.symmetric:
        assert same(valued(measure, b, a, labels), value), "the measure claims to be symmetric and is not"
    for model in (a, b):
        itself = valued(measure, model, model.copy(), labels)
        if measure.identity is not None:
            assert same(itself, measure.identity), f"a model with itself has {itself}, not {measure.identity}"
    valued(measure, a, b, None)
    valued(measure, a[:1], b[:1], labels[:1])
    right = labels if measure.needs == "predictions" else np.eye(CLASSES, dtype=np.float32)[labels]
    valued(measure, right, right.copy(), labels)


def outputs(measure: Measure) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    """Labels, and what the measure needs of two models that are right on most images."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, IMAGES)
    logits = generator.normal(size=(2, IMAGES, CLASSES)) + 2 * np.eye(CLASSES)[labels]
    a, b = logits.astype(np.float32) if measure.needs == "logits" else logits.argmax(axis=2)
    return labels, a, b


def valued(measure: Measure, a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None) -> float:
    """The value; asserts that it and its interval are in order, and that the inputs stay as they are."""
    kept = [None if array is None else array.copy() for array in (a, b, labels)]
    result = measure.compute(a, b, labels, 0.95)
    value, low, high = result if isinstance(result, tuple) else (result, math.nan, math.nan)
    for name, now, before in zip(("first model", "second model", "labels"), (a, b, labels), kept, strict=True):
        assert now is None or before is None or np.array_equal(now, before), (
            f"the measure changes its input, the {name}"
        )
    within = measure.low - ROUNDING <= value <= measure.high + ROUNDING
    assert math.isnan(value) or within, f"{value} is not within {measure.low} to {measure.high}"
    assert not low > value + ROUNDING, f"the interval from {low} to {high} does not hold {value}"
    assert not high < value - ROUNDING, f"the interval from {low} to {high} does not hold {value}"
    return float(value)


def same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING) or (math.isnan(one) and math.isnan(other))
