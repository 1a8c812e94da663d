"""The cautions: what the findings state already, and SAT that is measured without labels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_exp.report.headline import APART, measured, own_labels, warnings
from sat_exp.report.results import Results

from .made_run import FEW, models_table, pairs_table, summary


@given(st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), max_size=6), st.sampled_from(["truth", "consensus", None]))
def test_other_labels_call_for_none(accuracies, labels):
    assert own_labels(labels, pd.Series(accuracies, dtype=float)) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_known_accuracies_call_for_one_where_they_differ(accuracies):
    known = pd.Series(accuracies, index=[f"m{number}" for number in range(len(accuracies))])
    said = own_labels("own", known)
    assert len(said) == (max(accuracies) - min(accuracies) > APART)
    if said:
        assert f"from {known.idxmin()} (" in said[0]
        assert f"to {known.idxmax()} (" in said[0]


@pytest.mark.parametrize("accuracies", [[], [np.nan, np.nan], [0.8, np.nan], [0.8, 0.82, np.nan]])
def test_unknown_accuracies_call_for_a_weaker_one(accuracies):
    (said,) = own_labels("own", pd.Series(accuracies, dtype=float))
    assert said.startswith("Accuracies are unknown")


def test_it_is_on_the_page_of_a_run_and_of_a_study_of_it(tmp_path):
    models = models_table(FEW)
    models["clean_accuracy"] = [0.6, 0.8, 0.9]
    tables = {"models": models, "pairs": pairs_table(FEW)}
    run = Results(tables, tables, summary(settings={"labels": "own"}), tmp_path, [])
    study = Results({}, tables, summary(settings={"labels": "truth"}), tmp_path, [], {"settings": {"labels": "own"}})
    for found in (run, study):
        (said,) = [note for note in warnings(found) if "labels=own" in note]
        assert "from conv_a (60.0%) to conv_b (90.0%)" in said
    truth = Results(tables, tables, summary(settings={"labels": "truth"}), tmp_path, [])
    assert not any("labels=own" in note for note in warnings(truth))


def test_a_weak_attack_is_told_once(tmp_path):
    tables = {"models": models_table(FEW, success=0.6), "pairs": pairs_table(FEW)}
    findings = measured(tables, summary())
    assert any("the attack is weak" in finding for finding in findings)
    own = Results(tables, tables, summary(findings=findings), tmp_path, [])
    study = Results({}, tables, summary(findings=["something else"]), tmp_path, [], summary())
    assert [len([note for note in warnings(found) if "Weak attack" in note]) for found in (own, study)] == [0, 1]
