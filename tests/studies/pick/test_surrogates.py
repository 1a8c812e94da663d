"""The ranking of sources against transfer rates computed by `score`, and with a planted best source."""

import numpy as np
import pandas as pd
import pytest

from sat_exp.errors import UserError
from sat_exp.similarity import Predictions, score
from sat_exp.studies.pick import findings
from sat_exp.studies.pick.surrogates import ranked

NAMES = ["weak", "strong", "fair"]
RATES = {"weak": 0.1, "strong": 0.7, "fair": 0.4}
SETTINGS = {"compare": "truth", "resamples": 400, "confidence": 0.95, "seed": 0}


def predictions(images=400, seed=0):
    """Three models. Each fools the others at its rate in RATES, and errs on a tenth of the images."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, images)
    clean = {name: np.where(rng.random(images) < 0.1, (labels + 1) % 10, labels) for name in NAMES}
    adversarial = {
        (source, target): np.where(rng.random(images) < RATES[source], (clean[target] + 1) % 10, clean[target])
        for source in NAMES
        for target in NAMES
    }
    return Predictions(NAMES, labels, clean, adversarial)


def one_way_rates(known):
    pairs = score(known, dict.fromkeys(NAMES, "family"))
    ways = [pairs[["model_a", "model_b", "transfer_rate_ab"]], pairs[["model_b", "model_a", "transfer_rate_ba"]]]
    ways = pd.concat([way.set_axis(["source", "target", "rate"], axis=1) for way in ways])
    return ways[ways["source"] != ways["target"]]


def test_mean_rates_are_those_of_the_pairs():
    known = predictions()
    table = ranked(known, NAMES, **SETTINGS).set_index("source")
    expected = one_way_rates(known).groupby("source")["rate"].mean()
    assert list(table.index) == ["strong", "fair", "weak"]
    for source, rate in expected.items():
        row = table.loc[source]
        assert row["mean_transfer_rate"] == pytest.approx(rate)
        assert row["mean_transfer_rate_low"] < rate < row["mean_transfer_rate_high"]
        assert row["behind_best"] == pytest.approx(expected["strong"] - rate)
    assert (table["targets"] == 2).all()
    assert table.loc["strong", ["behind_best", "behind_best_low", "behind_best_high"]].tolist() == [0, 0, 0]
    assert table["first"].tolist() == [1, 0, 0]


def test_one_target_has_a_ranking_of_its_own():
    known = predictions()
    known.adversarial["weak", "fair"] = (known.clean["fair"] + 1) % 10
    table = ranked(known, ["fair"], **SETTINGS).assign(white_box_success=[1.0, 0.5])
    assert table["source"].tolist() == ["weak", "strong"]
    assert table["mean_transfer_rate"][0] == 1
    assert "Attack weak: its adversarial images fool fair on 100.0%" in findings.of_surrogates(table, "fair")[0]
    assert "fools 1 of the 2 sources on less than 99%" in findings.of_surrogates(table, "fair")[-1]


def test_intervals_cover_the_true_rate_and_the_true_lead():
    """A 90% interval covers in 54 of 60 draws on average; 45 or fewer have a probability below 0.1%."""
    covered = np.zeros(2)
    for seed in range(60):
        table = ranked(predictions(300, seed), NAMES, **(SETTINGS | {"confidence": 0.9})).set_index("source")
        fair = table.loc["fair"]
        covered += (
            fair["mean_transfer_rate_low"] <= 0.4 <= fair["mean_transfer_rate_high"],
            (fair["behind_best_low"] <= 0.3 <= fair["behind_best_high"]),
        )
    assert (covered > 45).all()


def test_equal_sources_are_called_equal():
    known = predictions(40)
    for target in NAMES:
        known.adversarial["fair", target] = known.adversarial["strong", target].copy()
    table = ranked(known, NAMES, **SETTINGS).assign(white_box_success=1.0)
    text = " ".join(findings.of_surrogates(table, None))
    assert "may be as good" in text
    assert "fool the other 2 models on average" in text


def test_a_pair_without_common_images_is_left_out_of_the_mean():
    known = predictions()
    known.clean["weak"][:] = (known.labels + 1) % 10
    known.adversarial["fair", "weak"] = known.clean["weak"]
    table = ranked(known, NAMES, **SETTINGS).set_index("source")
    assert "weak" not in table.index
    assert table["targets"].to_dict() == {"strong": 1, "fair": 1}


def test_without_any_common_image_there_is_no_ranking():
    known = predictions()
    for name in NAMES:
        known.clean[name][:] = (known.labels + 1) % 10
    with pytest.raises(UserError, match="no source and target have an image in common"):
        ranked(known, NAMES, **SETTINGS)


def test_a_source_without_images_in_a_draw_is_not_its_best():
    """`weak` classifies one image correctly, which a third of the draws leave out. It fools nobody there."""
    known = predictions(30)
    known.clean["weak"][1:] = (known.labels[1:] + 1) % 10
    for name in NAMES:
        known.clean[name][0] = known.labels[0]
        known.adversarial["weak", name] = known.clean[name].copy()
    table = ranked(known, NAMES, **SETTINGS).set_index("source")
    assert table.loc["weak", ["mean_transfer_rate", "first"]].tolist() == [0, 0]
    assert table["first"].sum() == pytest.approx(1)


def test_draws_without_any_image_are_left_out():
    known = predictions(30)
    for name in NAMES:
        known.clean[name][1:] = (known.labels[1:] + 1) % 10
        known.clean[name][0] = known.labels[0]
        known.adversarial["strong", name][0] = (known.labels[0] + 1) % 10
        known.adversarial["fair", name][0] = known.adversarial["weak", name][0] = known.labels[0]
    table = ranked(known, NAMES, **SETTINGS)
    assert table["first"].tolist() == [1, 0, 0]
    assert table["mean_transfer_rate_low"].tolist() == [1, 0, 0]
