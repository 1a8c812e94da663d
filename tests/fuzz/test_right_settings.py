"""Unusual but valid settings: all of them reach the work, and a few run to the end."""

import shlex

import pytest

from . import accepted, harness
from .harness import BEGUN

TINY = ("dataset.size=3", "attack.steps=1", "hardware.threads=1", "tracking=disabled")
QUICK = 8
"""Every so many-th is in the quick tests."""


def let_in(chosen, given):
    def trial(typed):
        ended = harness.run(shlex.split(typed), given, begin=BEGUN)
        return None if ended.status == 0 and ended.lines[-1:] == [BEGUN] else ended.text.strip()[-400:]

    if faults := harness.all_of(chosen, trial):
        pytest.fail("\n".join([f"{len(faults)} of {len(chosen)}:", *faults]), pytrace=False)


def test_some_unusual_settings_are_let_in(given):
    let_in(accepted.ACCEPTED[::QUICK], given)


@pytest.mark.slow
def test_unusual_settings_are_let_in(given):
    let_in(accepted.ACCEPTED, given)


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    ["name='größe-模型'", "name=2024", "model.components=null", "score.floor=100", "score.confidence=0.999999",
     "output_dir=.", "model.name='größe'", "attack.step_size=0.5", "labels=own", "seed=4294967295", "attack.epsilon=0",
     "hardware.batch_size=1"],
)  # fmt: skip
def test_unusual_settings_run(given, typed):
    ended = harness.run([*TINY, typed], given)
    assert ended.status == 0, ended.text
    assert any(path.endswith("report.html") for path in ended.made)
