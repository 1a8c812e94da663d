"""The answer of an analysis states what its tables contain, and says where it is not certain."""

import pandas as pd
import pytest

from sat_exp.studies.analyze import findings

CLUSTERS = pd.DataFrame({"model": list("abcde"), "cluster": [1, 1, 2, 2, 3]})


@pytest.mark.parametrize(
    ("agreement", "words"),
    [
        (0.95, "The 5 models form 3 clusters, 1 of one model, and these are stable: analyses with other images agree"),
        (0.85, "The 5 models form no certain clusters: even with 3, the most stable number examined"),
    ],
)
def test_clusters_are_certain_only_where_repetitions_agree(agreement, words):
    stability = pd.DataFrame({"matrix": ["SAT", "without hubs"], "clusters": [3, 3], "between_runs": [agreement, 1.0]})
    text = findings.of_clusters(CLUSTERS, stability, "images")
    assert text.startswith(words)
    assert text.endswith(f"(adjusted Rand index {agreement:.2f}).")


def test_a_number_of_clusters_that_was_set_is_no_finding():
    stability = pd.DataFrame({"matrix": ["SAT"], "clusters": [2], "between_runs": [1.0]})
    assert findings.of_clusters(CLUSTERS, stability, "images") == "The 5 models are in 3 clusters, as the command set."


@pytest.mark.parametrize(("p", "low", "certain"), [(0.01, 0.2, True), (0.2, 0.2, False), (0.01, -0.1, False)])
def test_a_difference_that_may_be_chance_is_uncertain(p, low, certain):
    test = pd.Series(
        {
            "higher": "same architecture",
            "lower": "other architecture",
            "difference": 0.5,
            "low": low,
            "high": 0.9,
            "p": p,
        }
    )
    text = findings.of_regimes(test)
    assert text.startswith("Pairs of one architecture are more alike") == certain
    assert ("uncertain" in text) == (not certain)
    assert f"0.50 ({low:.2f} to 0.90)" in text


@pytest.mark.parametrize(
    ("low", "words"), [(0.1, "stem predicts SAT of new models best"), (-0.1, "No component certainly")]
)
def test_a_component_that_may_predict_nothing_is_not_named_best(low, words):
    table = pd.DataFrame({"component": ["norm", "stem"], "shuffled": [0.1, 0.3]})
    table = table.assign(shuffled_low=low, shuffled_high=0.5)
    assert words in findings.of_components(table)
