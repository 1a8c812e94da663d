"""Mean transfer rates as a source and as a target: planted effects, statsmodels, and Newcombe's intervals."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.proportion import confint_proportions_2indep

from sat_exp.errors import UserError
from sat_exp.similarity import wilson_interval
from sat_exp.studies.analyze.structure import directed


def table(rates, images=1000, names=None):
    """A table of pairs from counts of images fooled, [M, M], source by target; NaN where not measured."""
    names = [f"m{index}" for index in range(len(rates))] if names is None else names
    rows = []
    for i, j in itertools.combinations_with_replacement(range(len(rates)), 2):
        row = {"model_a": names[i], "model_b": names[j], "images": images}
        for way, fooled in (("ab", rates[i, j] * images), ("ba", rates[j, i] * images)):
            ends = wilson_interval(fooled, images)
            row |= {f"fooled_{way}": fooled, f"transfer_rate_{way}": fooled / images}
            row |= {f"transfer_rate_{way}_low": float(ends[0]), f"transfer_rate_{way}_high": float(ends[1])}
        rows.append(row)
    return pd.DataFrame(rows)


def rates(models, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 0.1, models), rng.normal(0, 0.07, models)
    values = 0.4 + source[:, None] + target[None, :] + noise * rng.standard_normal((models, models))
    return np.round(values.clip(0.02, 0.98), 3)


def test_planted_sources_and_targets_are_found_exactly():
    source, target = np.array([0.2, 0.0, -0.05, -0.15]), np.array([-0.1, 0.1, 0.02, -0.02])
    found = directed(table(0.4 + source[:, None] + target[None, :]))
    models = found["directed"].set_index("model").loc[["m0", "m1", "m2", "m3"]]
    assert models["source"].tolist() == pytest.approx(source.tolist())
    assert models["target"].tolist() == pytest.approx(target.tolist())
    assert found["asymmetric"]["residual"].tolist() == pytest.approx([0] * 6)
    # Rates of m0 to the others: 0.4 + 0.2 + the mean of their ease, 0.1/3
    assert models.loc["m0", "fools"] == pytest.approx(0.6 + 0.1 / 3)
    assert models.loc["m0", "fooled"] == pytest.approx(0.3 - 0.2 / 3)
    assert models["fools_rank"].tolist() == [1, 2, 3, 4]
    assert list(found["directed"]["model"]) == ["m0", "m1", "m2", "m3"]


@pytest.mark.parametrize("missing", [False, True])
def test_the_two_way_fit_is_that_of_statsmodels(missing):
    values = rates(7)
    if missing:
        values[[0, 3, 5], [4, 1, 6]] = np.nan
    found = directed(table(values))
    ways = pd.DataFrame(
        [
            {"source": f"m{i}", "target": f"m{j}", "rate": values[i, j]}
            for i, j in itertools.permutations(range(7), 2)
            if np.isfinite(values[i, j])
        ]
    )
    fit = smf.ols("rate ~ C(source, Sum) + C(target, Sum)", ways).fit()
    models = found["directed"].set_index("model").loc[[f"m{index}" for index in range(6)]]
    assert models["source"].tolist() == pytest.approx(fit.params.filter(like="source").tolist())
    assert models["target"].tolist() == pytest.approx(fit.params.filter(like="target").tolist())


def test_which_of_a_pair_is_called_a_does_not_matter():
    pairs = table(rates(6))
    exchanged = {"a": "b", "b": "a", "ab": "ba", "ba": "ab"}
    swapped = pairs.rename(columns=lambda name: "_".join(exchanged.get(part, part) for part in name.split("_")))
    one, other = directed(pairs), directed(swapped.sample(frac=1, random_state=0))
    keys = ["model_a", "model_b"]
    pd.testing.assert_frame_equal(
        one["asymmetric"].sort_values(keys, ignore_index=True), other["asymmetric"].sort_values(keys, ignore_index=True)
    )
    pd.testing.assert_frame_equal(
        one["directed"].sort_values("model", ignore_index=True),
        other["directed"].sort_values("model", ignore_index=True),
    )


def test_asymmetric_pairs_have_newcombes_interval():
    found = directed(table(rates(6, seed=2)))["asymmetric"]
    assert (found["difference"] >= 0).all()
    assert found["difference"].is_monotonic_decreasing
    assert len(found) == 15
    for pair in found.itertuples():
        low, high = confint_proportions_2indep(
            pair.rate_ab * 1000, 1000, pair.rate_ba * 1000, 1000, compare="diff", method="newcomb"
        )
        assert (pair.low, pair.high) == pytest.approx((low, high), abs=1e-9)
        assert pair.residual == pytest.approx(pair.difference - pair.expected)


@pytest.mark.parametrize("kept", ["two models", "one row"])
def test_directions_that_do_not_determine_the_effects_are_refused(kept):
    values = rates(5)
    if kept == "one row":
        values[1:] = np.nan
    pairs = table(values[:2, :2] if kept == "two models" else values)
    with pytest.raises(UserError, match="do not determine the models' effects"):
        directed(pairs)
