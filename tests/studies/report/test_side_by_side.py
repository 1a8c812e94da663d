"""The tables of runs side by side, and the sentences about them."""

import numpy as np
import pandas as pd
import pytest

from sat_exp.runs import Run
from sat_exp.studies.report import findings
from sat_exp.studies.report.side_by_side import side_by_side

from .conftest import ATTACK, NAMES


def tables_of(folders, reasons=None):
    runs = {folder.name: Run.open(folder) for folder in folders}
    return side_by_side(runs, reasons or dict.fromkeys(runs, ""), resamples=50)


def test_differences_do_not_depend_on_the_order_of_models(tmp_path, make):
    shuffled = [NAMES[place] for place in (2, 0, 3, 1)]
    tables = tables_of([make(tmp_path / "a"), make(tmp_path / "b", shift=-0.25, names=shuffled)])
    (row,) = tables["run_agreement"].to_dict("records")
    assert (row["run"], row["reference"], row["models"], row["pairs"]) == ("b", "a", 4, 6)
    assert row["spearman"] == pytest.approx(1.0)
    assert row["offset"] == pytest.approx(-0.25)
    assert row["same_nearest"] == 4
    differences = tables["pair_differences"]
    np.testing.assert_allclose(differences["difference"], -0.25)
    of_b = tables["run_pairs"].query("run == 'b'")
    assert (of_b["model_a"] <= of_b["model_b"]).all()


def test_the_largest_difference_comes_first(tmp_path, make):
    runs = [make(tmp_path / "a"), make(tmp_path / "b", shift=0.1), make(tmp_path / "c", shift=-0.5)]
    differences = tables_of(runs)["pair_differences"]
    assert differences["run"].tolist() == ["c"] * 6 + ["b"] * 6


def test_every_run_has_its_settings_and_its_means(tmp_path, make):
    stronger = ATTACK | {"epsilon": 16, "threat": ATTACK["threat"] | {"epsilon": 16}}
    folders = [make(tmp_path / "a"), make(tmp_path / "b", success=0.5, attack=stronger), make(tmp_path / "c")]
    runs = tables_of(folders, {"a": "", "b": "", "c": "it is odd"})["runs"].set_index("run")
    assert runs["epsilon"].tolist() == [8, 16, 8]
    assert runs["version"].tolist() == ["1.2.3"] * 3
    assert runs["white_box_success"].tolist() == [1.0, 0.5, 1.0]
    assert runs["weak_attacks"].tolist() == [0, 4, 0]
    assert runs["comparable"].tolist() == [True, True, False]
    assert runs.loc["c", "reason"] == "it is odd"
    assert runs.loc["a", "sat"] == pytest.approx(
        Run.open(folders[0]).table("pairs").query("model_a != model_b").sat.mean()
    )


def test_a_run_that_is_not_comparable_is_in_no_other_table(tmp_path, make):
    folders = [make(tmp_path / name) for name in "abc"]
    tables = tables_of(folders, {"a": "", "b": "it is odd", "c": ""})
    for name in ("run_models", "run_pairs", "run_agreement", "pair_differences"):
        assert "b" not in set(tables[name]["run"]), name


def test_too_few_common_models_have_no_rank_correlation(tmp_path, make):
    tables = tables_of([make(tmp_path / "a"), make(tmp_path / "b", names=NAMES[:2])])
    assert set(tables) == {"runs", "run_models", "run_pairs"}
    assert len(tables["run_models"]) == 6


def test_the_settings_that_differ_are_named(tmp_path, make):
    stronger = ATTACK | {"epsilon": 16, "threat": ATTACK["threat"] | {"epsilon": 16}}
    folders = [make(tmp_path / "a"), make(tmp_path / "b", attack=stronger), make(tmp_path / "c")]
    tables = tables_of(folders, {"a": "", "b": "", "c": "it is odd"})
    assert findings.sentences(tables)[0] == "a, b differ in ε (8, 16)."
    same = tables_of([folders[0], folders[2]])
    assert findings.sentences(same)[0] == "a, c have the same attack, images and protocol."


def test_a_weak_agreement_is_called_uncertain(pair_table):
    (sentence,) = [findings.ordered(pair_table)]
    assert sentence == "SAT in b and in a has a rank correlation of 0.90 (0.50 to 1.00) over 36 pairs of 9 models."
    uncertain = findings.ordered(pair_table.assign(spearman_low=-0.1))
    assert uncertain.startswith("It is uncertain that b and a order the pairs alike")


def test_few_models_are_too_few_to_rely_on(pair_table):
    assert findings.ordered(pair_table.assign(models=3, pairs=3)).endswith(
        "over 3 pairs of 3 models, too few to rely on."
    )


def test_the_run_that_agrees_least_is_named(pair_table):
    two = pd.concat([pair_table, pair_table.assign(run="c", spearman=0.2)], ignore_index=True)
    assert findings.ordered(two).startswith("SAT in c and in a has a rank correlation of 0.20")
    assert "the least of 2 runs" in findings.ordered(two)
