"""The answer of a measurement: its sentences agree with its tables and state what makes them doubtful."""

import numpy as np
import pandas as pd
import pytest

from sat_exp.report.headline import measured

ATTACK = {"attack": {"name": "pgd", "epsilon": 8, "threat": {"norm": "linf", "text": "L∞ ≤ 8/255"}}}


def models(success: dict[str, float], images: int = 500) -> pd.DataFrame:
    rows = []
    for name, rate in success.items():
        rates = {"white_box_success": rate, "white_box_success_low": rate - 0.01, "white_box_success_high": rate}
        clean = {"clean_accuracy": 0.9, "clean_accuracy_low": 0.88, "clean_accuracy_high": 0.92}
        facts = {"model": name, "attacked": images, "weak_attack": rate < 0.99, "pretrained": True}
        rows.append(facts | rates | clean)
    return pd.DataFrame(rows)


def pairs(sat: dict[tuple[str, str], float], images: int = 500) -> pd.DataFrame:
    rows = []
    for (a, b), value in sat.items():
        row = {"model_a": a, "model_b": b, "family_a": a[0], "family_b": b[0], "images": images}
        row |= {"sat": value, "sat_low": value - 0.1, "sat_high": value + 0.1, "fooled_ab": 1, "fooled_ba": 1}
        for way in ("ab", "ba"):
            row |= {f"transfer_rate_{way}{end}": np.exp(value) / 100 for end in ("", "_low", "_high")}
        rows.append(row)
    return pd.DataFrame(rows)


POOL = {("a1", "a2"): 4.2, ("a1", "b"): 2.0, ("a2", "b"): 2.5}


def test_one_model_under_attack():
    first, second = measured({"models": models({"net": 0.996})}, ATTACK)
    assert first == "PGD at 8/255 fools net on 99.6% (98.6% to 99.6%) of the images that it classifies correctly."
    assert second == "Its clean accuracy is 90.0% (88.0% to 92.0%)."


def test_a_pool_has_its_two_ends_and_its_families():
    found = measured({"models": models({"a1": 1, "a2": 1, "b": 1}), "pairs": pairs(POOL)}, ATTACK)
    assert found == [
        "a1 and a2 are the most alike: SAT 4.20 (4.10 to 4.30).",
        "a1 and b are the least alike: 2.00 (1.90 to 2.10).",
        "Pairs of one family average 4.20, pairs of different families 2.25.",
    ]


def test_a_first_pair_that_is_not_certain_is_no_winner():
    close = pairs(POOL | {("a2", "b"): 4.1})
    found = measured({"models": models({"a1": 1, "a2": 1, "b": 1}), "pairs": close}, ATTACK)
    assert found[0].endswith("4.20 (4.10 to 4.30); the interval of 1 other pair overlaps.")


@pytest.mark.parametrize(
    ("success", "images", "doubt"),
    [
        (1.0, 20, "Read this with care: a pair rests on only 20 images."),
        (0.5, 500, "white-box success below 99% on 1 of 3 models (least: b, 50.0%), whose SAT is too low."),
    ],
)
def test_thin_evidence_takes_the_last_sentence(success, images, doubt):
    tables = {"models": models({"a1": 1, "a2": 1, "b": success}), "pairs": pairs(POOL, images)}
    found = measured(tables, ATTACK)
    assert len(found) == 3
    assert found[-1].endswith(doubt)


def test_one_pair_states_both_rates():
    found = measured({"models": models({"a1": 1, "b": 1}), "pairs": pairs({("a1", "b"): 2.0})}, ATTACK)
    assert found[0].startswith(
        "Adversarial images of a1 fool b on 7.4% (7.4% to 7.4%) of 500 images, those of b fool a1"
    )
    assert found[1] == "Their SAT is 2.00 (1.90 to 2.10)."
