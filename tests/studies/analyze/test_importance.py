"""Importance of components: the published pool, planted effects, p values under the null, and leaks between models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats.contingency import association as cramer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.inspection import permutation_importance

from sat_exp.statistics.boosting import boosted
from sat_exp.studies.analyze.components import Pairs, alone, associated, association, given_others, pair_up
from sat_exp.studies.analyze.importance import flag_importance, held_out, importance, shuffled_loss

from ...command import PUBLISHED


@pytest.fixture(scope="session")
def components(published):
    """The 13 components of the published 69 models in the authors' words."""
    return pd.read_csv(PUBLISHED.with_name("sat_components_69.csv"), index_col=0)


def square(values, names=None):
    """A symmetric matrix of the values above the diagonal."""
    upper = np.triu(values, 1)
    names = names or [f"m{place}" for place in range(len(values))]
    return pd.DataFrame(upper + upper.T + np.log(100) * np.eye(len(values)), index=names, columns=names)


def hubs(models, rng):
    """SAT that has nothing to do with components: an effect of each model and noise of each pair."""
    own = rng.normal(size=models)
    return square(2.5 + own[:, None] + own[None, :] + 0.5 * rng.normal(size=(models, models)))


def drawn(models, rng, **kinds):
    """A table of components, of each as many values as said, all used."""
    names = [f"m{place}" for place in range(models)]
    return pd.DataFrame({name: rng.permutation(np.arange(models) % kind) for name, kind in kinds.items()}, index=names)


def rejected(p_values, level=0.1):
    return np.mean(np.array(p_values) <= level)


def test_the_published_pool_has_base_architecture_first_and_stem_second_whatever_the_seed(published, components):
    pairs = pair_up(published, components)
    for seed in range(4):
        table = flag_importance(pairs, refits=1, seed=seed).set_index("rank")["component"]
        assert table[1] == "Base architecture"
        assert table[2] == "Stem layer"


def test_flag_importance_is_scikit_learns_on_flags_made_pair_by_pair(published, components):
    names = list(published.index[:20])
    flags, sat = [], []
    for place, a in enumerate(names):
        for b in names[place + 1 :]:
            flags.append([float(components.loc[a, c] != components.loc[b, c]) for c in components])
            sat.append(published.loc[a, b])
    fitted = GradientBoostingRegressor(n_estimators=100, max_depth=3, random_state=3).fit(flags, sat)
    expected = permutation_importance(fitted, flags, sat, n_repeats=10, random_state=3).importances_mean
    found = flag_importance(pair_up(published.loc[names, names], components), refits=1, seed=3)
    assert found["importance"].to_numpy() == pytest.approx(expected, abs=1e-6)


def test_published_fits_are_worse_for_models_not_seen(published, components):
    fits, _ = held_out(pair_up(published, components), [], repeats=1, resamples=200)
    r2 = fits.set_index(["encoding", "validation"])["r2"]
    assert r2["flags", "training"] == pytest.approx(0.684, abs=0.005)
    assert 0.62 < r2["flags", "pairs at random"] < 0.69
    for encoding in ("flags", "values"):
        seen, one, two = (r2[encoding, kind] for kind in ("pairs at random", "one new model", "two new models"))
        assert seen - one > 0.05
        assert seen - two > 0.05
        assert two > 0.3
    assert r2["values", "one new model"] > r2["flags", "one new model"]
    unseen = fits[fits["validation"] != "training"]
    assert unseen["r2"].between(unseen["low"], unseen["high"]).all()


def test_on_the_published_pool_components_share_what_they_explain(published, components):
    pairs = pair_up(published, components)
    groups = associated(association(pairs))
    assert ["CW attention", "Location of CW attention"] in groups
    assert ["Stem layer", "Pooling (stem)"] in groups
    table = alone(pairs, permutations=199).set_index("component")
    assert table["explained"].nlargest(2).index.tolist() == ["Stem layer", "Base architecture"]
    assert (table.loc[["Base architecture", "Stem layer", "Normalization", "Activation"], "p_alone"] == 1 / 200).all()
    assert table.loc["DW conv", "p_alone"] > 0.1
    effects = given_others(pairs, resamples=200, permutations=199).set_index("component")
    assert (effects.loc[["Base architecture", "Stem layer"], "p_given_others"] == 1 / 200).all()
    assert (effects.loc[["Base architecture", "Stem layer"], "effect_low"] > 0).all()


def test_a_planted_component_is_found_and_a_twin_shares_it():
    rng = np.random.default_rng(0)
    table = drawn(24, rng, cause=3, idle=3, other=2)
    table["twin"] = table["cause"].map({0: "x", 1: "y", 2: "z"})
    same = (table["cause"].to_numpy()[:, None] == table["cause"].to_numpy()[None, :]).astype(float)
    sat = square(2 + 0.8 * same + 0.1 * rng.normal(size=(24, 24)))
    found = importance(sat, table.drop(columns="twin"), folds=4, repeats=1, refits=5, resamples=200, permutations=99)
    lines = found["importance"].set_index("component")
    assert lines.index[0] == "cause"
    assert lines.loc["cause", ["rank", "first_share", "p_alone", "p_given_others"]].tolist() == [1, 1, 0.01, 0.01]
    assert lines.loc["cause", "effect"] == pytest.approx(0.8, abs=0.03)
    assert (lines.loc[["idle", "other"], ["p_alone", "p_given_others"]] > 0.01).all(axis=None)
    for measure in ("shuffled", "without", "only"):
        assert lines.loc["cause", f"{measure}_low"] > 0.5
        assert (lines.loc[["idle", "other"], measure] < 0.1).all()
    assert found["importance_groups"].empty

    _, shared = held_out(pair_up(sat, table), [["cause"], ["twin"], ["cause", "twin"]], folds=4, repeats=1)
    shared = shared.set_index("component")
    assert associated(association(pair_up(sat, table))) == [["cause", "twin"]]
    assert (shared.loc[["cause", "twin"], "without"].abs() < 0.05).all()
    assert (shared["only"] > 0.8).all()
    assert shared.loc["cause + twin", "without"] > 0.8
    assert shared.loc["cause + twin", "shuffled"] > shared.loc[["cause", "twin"], "shuffled"].max()
    assert np.isnan(
        given_others(pair_up(sat, table), resamples=9, permutations=9).set_index("component")["effect"]["twin"]
    )


def test_names_of_models_are_no_knowledge_of_models_not_seen():
    """A component that is the model's identity predicts pairs left out alone, of models with hubs, and no new ones."""
    rng = np.random.default_rng(1)
    sat = hubs(30, rng)
    fits, _ = held_out(pair_up(sat, drawn(30, rng, identity=30)), [], repeats=2, resamples=50)
    r2 = fits[fits["encoding"] == "values"].set_index("validation")["r2"]
    assert r2["pairs at random"] > 0.6
    assert r2["one new model"] < 0.5
    assert r2["two new models"] < 0.1


def test_p_values_are_uniform_where_components_say_nothing_but_models_differ():
    """Two idle components that go together, among models of which some transfer well and others badly."""
    rng = np.random.default_rng(2)
    marginal, partial = [], []
    for seed in range(150):
        table = drawn(16, rng, one=3, third=2)
        table["two"] = np.where(rng.random(16) < 0.7, table["one"], 0)
        pairs = pair_up(hubs(16, rng), table)
        marginal.append(alone(pairs, permutations=49, seed=seed)["p_alone"])
        partial.append(given_others(pairs, resamples=1, permutations=49, seed=seed)["p_given_others"])
    for found in (np.array(marginal), np.array(partial)):
        assert rejected(found) == pytest.approx(0.1, abs=0.05)
        assert rejected(found, 0.5) == pytest.approx(0.5, abs=0.09)


def test_what_one_component_explains_is_the_anova_of_its_pairs_of_values():
    rng = np.random.default_rng(3)
    table, sat = drawn(12, rng, kind=4), hubs(12, rng)
    sat.iloc[0, 5] = sat.iloc[5, 0] = np.nan
    rows = [
        (frozenset(table["kind"].iloc[[i, j]]), sat.iloc[i, j])
        for i in range(12)
        for j in range(i)
        if np.isfinite(sat.iloc[i, j])
    ]
    values = pd.Series([row[1] for row in rows])
    cells = values.groupby([str(sorted(row[0])) for row in rows]).transform("mean")
    assert alone(pair_up(sat, table), permutations=9)["explained"].item() == pytest.approx(cells.var() / values.var())


def test_effects_are_those_planted():
    table = drawn(14, np.random.default_rng(4), one=2, two=4, three=3)
    same = {name: (table[name].to_numpy()[:, None] == table[name].to_numpy()[None, :]) for name in table}
    found = given_others(pair_up(square(2 + 0.4 * same["one"] - 0.2 * same["two"]), table), permutations=99)
    for column in ("effect", "effect_low", "effect_high"):
        assert found[column].to_numpy() == pytest.approx([0.4, -0.2, 0], abs=1e-9)


def test_a_pair_comes_up_as_often_as_both_its_models_do():
    pairs = pair_up(square(np.zeros((3, 3))), drawn(3, np.random.default_rng(8), kind=2))
    weights = pairs.drawn(500, np.random.default_rng(9))
    assert set(map(tuple, weights)) == {(1, 1, 1), (2, 0, 0), (0, 2, 0), (0, 0, 2), (0, 0, 0)}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), models=st.integers(4, 10))
def test_neither_the_order_of_models_nor_the_words_for_values_matter(seed, models):
    rng = np.random.default_rng(seed)
    table, sat = drawn(models, rng, one=2, two=3), hubs(models, rng)
    order = list(rng.permutation(sat.index))
    words = table.replace({"one": {0: "z", 1: "a"}})
    one, other = pair_up(sat, table), pair_up(sat.loc[order, order], words.sample(frac=1, random_state=1))
    for study, column in ((alone, "explained"), (given_others, "effect")):
        found = [study(pairs, permutations=1)[column].to_numpy() for pairs in (one, other)]
        assert found[0] == pytest.approx(found[1], nan_ok=True)
    assert association(one).to_numpy() == pytest.approx(association(other).to_numpy())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), models=st.integers(3, 12), kinds=st.integers(1, 5))
def test_the_values_of_a_pair_are_one_to_one_with_its_encoding(seed, models, kinds):
    table = drawn(models, np.random.default_rng(seed), kind=min(kinds, models))
    pairs = pair_up(square(np.zeros((models, models))), table)
    met = [tuple(sorted(pairs.codes[[i, j], 0])) for i, j in zip(pairs.first, pairs.second, strict=True)]
    rows = [tuple(row) for row in pairs.values()[0]]
    assert len(set(met)) == len(set(rows)) == len(set(zip(met, rows, strict=True)))


def test_association_is_cramers_v_for_many_models_and_corrects_it_for_few():
    rng = np.random.default_rng(5)
    table = drawn(4000, rng, one=3, two=4)
    table["near"] = np.where(rng.random(4000) < 0.5, table["one"], rng.integers(0, 3, 4000))
    pairs = Pairs(np.array([0]), np.array([1]), np.zeros(1), table.to_numpy(), list(table))
    found = association(pairs)
    plain = cramer(pd.crosstab(table["one"], table["near"]).to_numpy())
    assert found.loc["one", "near"] == pytest.approx(plain, abs=0.005)
    assert found.loc["one", "two"] < 0.03

    few = [association(pair_up(hubs(15, rng), drawn(15, rng, one=5, two=6))).iloc[0, 1] for _ in range(40)]
    assert np.mean(few) < 0.2  # independent ones: about 0.57 uncorrected


def test_a_component_of_one_value_says_nothing():
    rng = np.random.default_rng(6)
    table = drawn(12, rng, kind=3).assign(constant="no")
    sat = hubs(12, rng)
    found = importance(sat, table, folds=3, repeats=1, refits=2, resamples=20, permutations=9)
    line = found["importance"].set_index("component").loc["constant"]
    assert line[["values", "importance", "shuffled", "explained", "p_alone"]].tolist() == pytest.approx([1, 0, 0, 0, 1])
    assert line[["effect", "p_given_others"]].isna().all()
    assert association(pair_up(sat, table)).loc["kind", "constant"] == 0


@pytest.mark.parametrize("constant", [False, True])
def test_the_loss_is_that_of_scikit_learns_permutation_importance(constant):
    rng = np.random.default_rng(0)
    flags = rng.integers(0, 2, (90, 9)).astype(float)
    sat = np.full(90, 2.0) if constant else flags[:, 0] + rng.normal(0, 0.3, 90)
    weight = rng.integers(1, 4, 90).astype(float)
    theirs = GradientBoostingRegressor(random_state=3).fit(flags, sat, weight)
    other = permutation_importance(theirs, flags, sat, n_repeats=10, random_state=3, sample_weight=weight)
    ours = shuffled_loss(boosted(flags, sat, weight, seed=3), flags, sat, weight, 3)
    assert ours == pytest.approx(other["importances_mean"], abs=1e-10)
