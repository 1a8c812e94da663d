"""Finished runs of four models, made without measuring."""

from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sat_exp import runs

from ...schemas import table_of

NAMES = ["resnet", "vit", "mixer", "swin"]
ATTACK: dict[str, Any] = {
    "name": "pgd",
    "title": "PGD",
    "epsilon": 8,
    "steps": 10,
    "threat": {"norm": "linf", "epsilon": 8, "goal": "untargeted", "text": "L∞ ≤ 8/255"},
}


def made(folder: Path, shift: float = 0.0, names: list[str] = NAMES, success: float = 1.0, **facts: Any) -> Path:
    """A run whose SAT of the nth pair of two models is 1 + n/4 + `shift`; facts: fields of the summary."""
    ways = list(combinations_with_replacement(names, 2))
    pairs = table_of("pairs", len(ways), model_a=[a for a, _ in ways], model_b=[b for _, b in ways], images=100)
    order = {pair: place for place, pair in enumerate(map(frozenset, combinations_with_replacement(NAMES, 2)))}
    sat = np.array([4.6 if a == b else 1 + order.get(frozenset((a, b)), 0) / 4 + shift for a, b in ways])
    rates = dict.fromkeys(("transfer_rate_ab", "transfer_rate_ba"), np.exp(sat) / 100 / 1.01)
    pairs = pairs.assign(sat=sat, sat_low=sat - 0.1, sat_high=sat + 0.1, **rates)
    models = table_of("models", len(names), model=names, white_box_success=success, weak_attack=success < 0.99)
    summary = {
        "task": "matrix",
        "attack": ATTACK,
        "dataset": {"name": "fashion_mnist", "images": 100, "classes": 10, "digest": "00ff"},
        "settings": {"labels": "truth", "protocol": "canvas", "score": {"confidence": 0.95}},
        "versions": {"sat_exp": "1.2.3"},
        "models": {name: {"network": {"_target_": name}, "checkpoint": f"/a/{name}.safetensors"} for name in names},
    }
    with runs.drafted(folder) as place:
        runs.fill(place, summary | facts, {"models": models.assign(parameters=9.0), "pairs": pairs})
    return folder


@pytest.fixture
def make() -> Callable[..., Path]:
    return made


@pytest.fixture
def pair_table() -> pd.DataFrame:
    """The table `run_agreement` of one run, certain."""
    return pd.DataFrame({"run": ["b"], "reference": "a", "models": 9, "pairs": 36, "spearman": 0.9}).assign(
        spearman_low=0.5, spearman_high=1.0
    )
