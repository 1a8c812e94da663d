"""Correlations over pairs: scipy's values, textbook values, all orders of a few models, and p values under the null."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from sat_exp.statistics.relations import model_permutation_p, relation


def table(models, rng, **columns):
    """A row a pair; `columns`: [M, M] values each."""
    rows = list(combinations(range(models), 2))
    frame = pd.DataFrame({"model_a": [f"m{i}" for i, _ in rows], "model_b": [f"m{j}" for _, j in rows]})
    for name, values in columns.items():
        frame[name] = [values[i, j] for i, j in rows]
    return frame


def hubs(models, rng):
    own = rng.normal(size=models)
    return own[:, None] + own[None, :] + 0.3 * rng.normal(size=(models, models))


def test_correlations_are_scipys_and_the_textbooks():
    rng = np.random.default_rng(0)
    third = rng.normal(size=(12, 12))
    pairs = table(12, rng, sat=third + rng.normal(size=(12, 12)), other=rng.normal(size=(12, 12)) - third, third=third)
    diagonal = pd.DataFrame({"model_a": ["m1"], "model_b": ["m1"], "sat": [9.0], "other": [9.0], "third": [9.0]})
    found = relation(pd.concat([pairs, diagonal]), ["other"], ["third"], resamples=200, permutations=99)
    xy, xz, yz = (
        spearmanr(pairs[one], pairs[two]).statistic
        for one, two in (("sat", "other"), ("sat", "third"), ("other", "third"))
    )
    partial = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert found["given"].tolist() == ["", "third"]
    assert found["spearman"].tolist() == pytest.approx([xy, partial])
    assert (found[["models", "pairs"]] == [12, 66]).all(axis=None)
    assert found["spearman"].between(found["low"], found["high"]).all()
    assert found["p"].tolist()[0] <= 0.05


def test_p_is_the_share_of_all_orders_of_few_models():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 5, 5))
    first, second = np.triu_indices(5, 1)
    x, y = (np.triu(part, 1) + np.triu(part, 1).T for part in (x, y))

    def size(order):
        return abs(np.corrcoef(x[np.ix_(order, order)][first, second], y[first, second])[0, 1])

    every = [size(list(order)) for order in permutations(range(5))]
    expected = np.mean(np.array(every) >= every[0] - 1e-12)
    nothing = np.empty((10, 0))
    found = model_permutation_p(first, second, x[first, second], y[first, second], nothing, 20_000, rng)
    assert found == pytest.approx(expected, abs=0.015)


def test_p_with_controls_is_that_of_the_regressions_one_by_one():
    """The t value of the moved residuals beside the controls, of each order that the same seed gives."""
    rng = np.random.default_rng(4)
    first, second = np.triu_indices(7, 1)
    y, controls = rng.normal(size=21), rng.normal(size=(21, 2))
    x = controls @ [1, 2] + 0.3 * y + rng.normal(size=21)
    design = np.column_stack([np.ones(21), controls])
    square = np.zeros((7, 7))
    square[first, second] = x - design @ np.linalg.lstsq(design, x)[0]
    square += square.T

    def t(order):
        both = np.column_stack([square[order[first], order[second]], design])
        rest = y - both @ np.linalg.lstsq(both, y)[0]
        return abs(np.linalg.lstsq(both, y)[0][0]) / np.sqrt(rest @ rest * np.linalg.inv(both.T @ both)[0, 0])

    orders = np.random.default_rng(5)
    every = np.array([t(np.arange(7)), *(t(orders.permutation(7)) for _ in range(400))])
    found = model_permutation_p(first, second, x, y, controls, 400, np.random.default_rng(5))
    assert found == pytest.approx(np.mean(every >= every[0] * (1 - 1e-9)))


def test_p_is_uniform_where_models_differ_and_the_measures_have_nothing_in_common():
    """Beside scipy's, which takes pairs for independent and finds something far too often."""
    rng = np.random.default_rng(2)
    ours, independent = [], []
    for seed in range(150):
        pairs = table(14, rng, sat=hubs(14, rng), other=hubs(14, rng), third=hubs(14, rng))
        ours.append(relation(pairs, ["other"], ["third"], resamples=1, permutations=49, seed=seed)["p"])
        independent.append(spearmanr(pairs["sat"], pairs["other"]).pvalue)
    assert np.mean(np.array(ours) <= 0.1, axis=0) == pytest.approx([0.1, 0.1], abs=0.06)
    assert np.mean(np.array(ours) <= 0.5, axis=0) == pytest.approx([0.5, 0.5], abs=0.12)
    assert np.mean(np.array(independent) <= 0.1) > 0.3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), models=st.integers(4, 8))
@example(seed=506, models=4)  # given the third, of the same order backwards, nothing is left of the other
def test_only_order_counts_and_not_which_model_is_called_a(seed, models):
    rng = np.random.default_rng(seed)
    pairs = table(models, rng, sat=hubs(models, rng), other=hubs(models, rng), third=hubs(models, rng))
    swapped = pairs.rename(columns={"model_a": "model_b", "model_b": "model_a"}).assign(other=np.exp(pairs["other"]))
    one, two = (relation(part, ["other"], ["third"], resamples=5, permutations=5) for part in (pairs, swapped))
    assert one["spearman"].to_numpy() == pytest.approx(two["spearman"].to_numpy(), nan_ok=True)


def test_what_is_not_known_is_left_out_and_what_does_not_vary_is_missing():
    rng = np.random.default_rng(3)
    pairs = table(6, rng, sat=hubs(6, rng), other=hubs(6, rng), third=hubs(6, rng)).assign(constant=1.0, lacking=np.nan)
    pairs.loc[0, "third"] = np.nan
    quick = {"resamples": 20, "permutations": 9}
    found = relation(pairs, ["other", "constant", "lacking"], ["third"], **quick)
    assert found["pairs"].tolist() == [15, 14, 15, 14, 0, 0]
    assert found["spearman"].notna().tolist() == [True, True, False, False, False, False]
    assert found.loc[2:, ["low", "high", "p"]].isna().all(axis=None)
    same = relation(pairs, ["third"], ["third"], **quick)
    assert np.isnan(same["spearman"][1])
    assert np.isnan(same["p"][1])
