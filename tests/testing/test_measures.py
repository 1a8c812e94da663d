"""The conformance check of measures: every measure of the package passes, and every planted defect is found."""

import math
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import OmegaConf

from sat_exp.names import files_of
from sat_exp.settings import build
from sat_exp.similarity.measures import Measure
from sat_exp.testing import check_measure


@pytest.mark.parametrize("name", files_of("measure"))
def test_every_measure_of_this_package_is_sound(name):
    config = OmegaConf.load(files_of("measure")[name])
    if name == "top_classes":
        config.classes = 3  # of five
    check_measure(build(config, "measure", f"measure.{name}"))


@pytest.mark.parametrize("name", files_of("measure"))
def test_its_settings_go_to_its_own_name(name):
    assert files_of("measure")[name].read_text().startswith(f"# @package measure.{name}\n# ")


def equal(a, b, labels, confidence):
    return float(np.mean(a == b))


SOUND = Measure("Equal predictions", "predictions", 0, 1, equal, identity=1.0)


def zeroing(a, b, labels, confidence):
    a[:] = 0
    return 0.5


def drawing(a, b, labels, confidence):
    return float(np.random.random())  # noqa: NPY002


def counting(a, b, labels, confidence):
    a += 1
    return float(np.mean(a == b))


def weighted(a, b, labels, confidence):
    return float(np.average(a == b, weights=np.arange(1, len(a) + 1)))


def of_errors(a, b, labels, confidence):
    wrong = (a != labels) | (b != labels)
    return 1 / np.sum(wrong) if labels is not None else math.nan


def test_a_sound_measure_of_ones_own_passes():
    check_measure(SOUND)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"needs": "weights"}, "needs='weights'"),
        ({"low": 0.9}, "is not within 0.9 to 1"),
        ({"identity": 0.5}, "a model with itself has 1.0, not 0.5"),
        ({"compute": zeroing}, "changes its input, the first model"),
        ({"prepare": np.copy, "compute": counting}, "change no prepared part"),
        ({"compute": drawing}, "a second call gives another value"),
        ({"compute": weighted}, "depends on the order of images"),
        ({"compute": lambda a, b, labels, confidence: float(np.mean(a > b))}, "claims to be symmetric and is not"),
        ({"compute": lambda a, b, labels, confidence: math.nan}, "of two ordinary models is NaN"),
        ({"compute": lambda *inputs: (equal(*inputs), 0.999, 1)}, "does not hold"),
        ({"compute": of_errors, "identity": None, "high": 10}, "is not within"),
    ],
)
def test_each_defect_is_found(changes, message):
    with pytest.raises(AssertionError, match=message), np.errstate(divide="ignore"):
        check_measure(replace(SOUND, **changes))
