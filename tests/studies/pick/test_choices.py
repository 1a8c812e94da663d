"""The choice of an ensemble against plain averages of softmax outputs, and where the right answer is planted."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from sat_exp.ensembles import contests
from sat_exp.ensembles.members import members_of, ranks, tabulate
from sat_exp.ensembles.pool import Pool
from sat_exp.ensembles.selection import Limits, halves
from sat_exp.errors import UserError
from sat_exp.studies.pick import choices, findings

NAMES = [*"abcde"]
DRAWING = {"resamples": 400, "confidence": 0.95, "seed": 0}


def trios(logits, labels, parameters=(1, 1, 1, 1, 1)):
    """The contests, the pool and all trios of five models with these logits, float32 [5, N, classes]."""
    right = logits.argmax(axis=2) == labels
    of_pool = contests.contests([(logits, labels)])
    sat = pd.DataFrame(1 + 3 * np.corrcoef(right), NAMES, NAMES)
    costs = pd.DataFrame({"parameters": parameters, "flops": parameters})
    pool = Pool(right, costs, sat, np.zeros(5, int))
    members = members_of(5, 3, ranks(5, 3))
    counts = [contests.count_errors(of_pool, members), contests.count_common_errors(right, members)]
    return of_pool, pool, tabulate(members, np.column_stack(counts), right, pool.properties)


def independent(images=600):
    """Five models of about the same accuracy, whose errors are independent."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, images)
    logits = rng.normal(0, 1, (5, images, 4)).astype(np.float32)
    logits[:, np.arange(images), labels] += 1.5
    return logits, labels


def alike(images=600):
    """The three best models err together; d and e are a little worse and err on other images."""
    rng = np.random.default_rng(1)
    labels, together = rng.integers(0, 4, images), rng.random(images)
    logits = np.zeros((5, images, 4), np.float32)
    for model in range(5):
        hard = together if model < 3 else rng.random(images)
        wrong = hard < (0.2 if model < 3 else 0.24)
        logits[model, np.arange(images), np.where(wrong, (labels + 1 + model % 2) % 4, labels)] = 2
    return logits, labels


def compared(logits, labels, most=None, **other):
    of_pool, pool, ensembles = trios(logits, labels, **other)
    split = halves(len(labels), 20, seed=0)
    return choices.compared(
        ensembles, pool, of_pool, split, [pool.sat.to_numpy()] * 20, Limits(most=most or {}), **DRAWING
    )


def test_errors_are_those_of_averaged_probabilities():
    logits, labels = independent()
    of_pool, _, ensembles = trios(logits, labels)
    for members in ensembles.members:
        predicted = softmax(logits[members].astype(np.float64), axis=-1).mean(axis=0).argmax(axis=1)
        assert np.array_equal(choices.errors_of(of_pool, members, len(labels)), predicted != labels)


def test_a_choice_that_never_changes_has_its_own_error():
    """Three models are far more accurate than the rest, so that every split chooses them."""
    logits, labels = independent()
    logits[:3, np.arange(len(labels)), labels] += 1.5
    table = compared(logits, labels).set_index("strategy")
    predicted = softmax(logits[:3].astype(np.float64), axis=-1).mean(axis=0).argmax(axis=1)
    assert table.loc["accuracy", "models"] == "a + b + c"
    assert table.loc["accuracy", "held_out_error"] == pytest.approx((predicted != labels).mean())
    assert table.loc["accuracy", ["fewer_errors", "fewer_errors_low", "fewer_errors_high"]].tolist() == [0, 0, 0]


def test_models_that_err_on_other_images_win_where_they_do():
    table = compared(*alike())
    best = table.iloc[0]
    assert {"d", "e"} < set(best["models"].split(" + "))
    assert best["fewer_errors_low"] > 0
    text = " ".join(findings.of_choices(table))
    assert text.startswith(f"Build {best['models']}.")
    assert "less than that of the 3 most accurate models, a + b + c." in text


def test_nothing_beats_the_most_accurate_where_errors_are_independent():
    logits, labels = independent()
    logits[:3, np.arange(len(labels)), labels] += 0.3
    text = " ".join(findings.of_choices(compared(logits, labels)))
    assert text.startswith("Build a + b + c.")
    assert "no other choice is certainly better" in text


def test_limits_hold_for_every_choice():
    logits, labels = independent()
    table = compared(logits, labels, {"parameters": 6}, parameters=(4, 3, 2, 1, 1))
    assert (table["parameters"] <= 6).all()
    assert table.set_index("strategy").loc["low SAT", "size"] == 3


def test_without_labels_the_least_similar_are_chosen():
    rng = np.random.default_rng(0)
    sat = rng.uniform(2, 3, (5, 5))
    sat = pd.DataFrame((sat + sat.T) / 2, NAMES, NAMES)
    sat.loc["b", "d"] = sat.loc["d", "b"] = 0.5
    draws = [sat + 1e-3 * rng.normal() for _ in range(20)]
    members = members_of(5, 3, ranks(5, 3))
    costs = pd.DataFrame({"parameters": [1, 2, 4, 8, 16], "flops": 1})
    table = choices.least_similar(members, sat, draws, costs, 0.95)
    means = {
        " + ".join(trio): np.mean([sat.loc[trio[0], trio[1]], sat.loc[trio[0], trio[2]], sat.loc[trio[1], trio[2]]])
        for trio in ([NAMES[place] for place in row] for row in members)
    }
    assert table["models"][0] == min(means, key=means.get)
    assert table["mean_sat"].tolist() == pytest.approx(sorted(means.values()))
    assert table["first"].tolist() == [1] + [0] * 9
    assert table["parameters"][0] == sum(1 << NAMES.index(name) for name in table["models"][0].split(" + "))
    assert findings.of_least_similar(table)[0].startswith(f"Build {table['models'][0]}.")


def test_no_half_within_the_limits_is_one_line():
    logits, labels = independent()
    of_pool, pool, ensembles = trios(logits, labels)
    split = halves(len(labels), 5, seed=0)
    sats = [pool.sat.to_numpy()] * 5
    with pytest.raises(UserError, match="on no half of the images is an ensemble within the limits"):
        choices.compared(ensembles, pool, of_pool, split, sats, Limits(accuracy=0.99), **DRAWING)


def test_a_draw_without_common_images_of_a_pair_has_a_least_mean_too():
    sat = pd.DataFrame([[4.6, 1, 2], [1, 4.6, 3], [2, 3, 4.6]], NAMES[:3], NAMES[:3])
    lacking = sat.copy()
    lacking.loc["b", "c"] = lacking.loc["c", "b"] = np.nan
    costs = pd.DataFrame({"parameters": [1, 1, 1], "flops": [1, 1, 1]})
    table = choices.least_similar(members_of(3, 2, ranks(3, 2)), sat, [sat, lacking], costs, 0.95)
    assert table["models"].tolist() == ["a + b", "a + c", "b + c"]
    assert table["first"].tolist() == [1, 0, 0]
