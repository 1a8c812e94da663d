"""The file of groups, and the pair values that are read from finished runs."""

import numpy as np
import pytest

from sat_exp.errors import UserError
from sat_exp.studies.benchmark.groups import read_groups, strata

from .made import HEAD, opened, written


def test_values_are_larger_for_more_similar_models_and_both_orders_count(tmp_path):
    run = opened(tmp_path / "one", measures=("agreement", "disagreement", "directed"))
    (found,), cautions = strata(read_groups(written(tmp_path)), {"one": run})
    assert set(found.values) == {"sat", "agreement", "disagreement", "directed"}
    assert found.models == ["a0", "a1", "b0", "b1"]
    for values in found.values.values():
        assert np.isnan(np.diag(values)).all()
        np.testing.assert_array_equal(values, values.T)
    table = run.table("measures").set_index(["measure", "model_a", "model_b"])["value"]
    assert found.values["agreement"][0, 2] == table["agreement", "a0", "b0"]
    assert found.values["disagreement"][0, 2] == -table["disagreement", "a0", "b0"]
    both = table["directed", "a0", "b0"], table["directed", "b0", "a0"]
    assert both[0] != both[1]
    assert found.values["directed"][0, 2] == pytest.approx(np.mean(both))
    assert cautions == ["unknown measures, whose larger values count as more similar: directed"]


def test_measures_that_one_run_lacks_are_left_out_and_said(tmp_path):
    file = written(tmp_path, "t,x,a0,a\nt,x,a1,a\nt,x,b0,b\nt,y,c0,a\nt,y,c1,a\nt,y,d0,b\n")
    runs = {
        "one": opened(tmp_path / "one", measures=("agreement", "same_error")),
        "two": opened(tmp_path / "two", measures=("agreement",), names=("c0", "c1", "d0")),
    }
    found, cautions = strata(read_groups(file), runs)
    assert [(one.name, one.run, set(one.values)) for one in found] == [
        ("x", "one", {"sat", "agreement"}),
        ("y", "two", {"sat", "agreement"}),
    ]
    assert cautions == ["measures that not every run has are left out: same_error"]


def test_a_run_without_measures_has_sat(tmp_path):
    (found,), cautions = strata(read_groups(written(tmp_path)), {"one": opened(tmp_path / "one", measures=())})
    assert (set(found.values), cautions) == ({"sat"}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows, or an empty cell"),
        ("t,x,a0,a\nt,x,a1,\n", "has no rows, or an empty cell"),
        ("t,x,a0,a\nt,x,a0,b\nt,x,a1,b\n", "lists a0 twice in the test t"),
        ("t,x,a0,a\nt,x,a1,a\n", "the stratum x of the test t needs two groups or more"),
        ("t,x,a0,a\nt,x,b0,b\n", "the stratum x of the test t needs two groups or more"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_groups(written(tmp_path, text))


def test_a_file_without_a_column_is_refused(tmp_path):
    (tmp_path / "wrong.csv").write_text("test,model,group\nt,a,b\n")
    with pytest.raises(UserError, match="has no column stratum"):
        read_groups(tmp_path / "wrong.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_groups(tmp_path / "bytes.csv")


def test_runs_that_do_not_fit_the_groups_are_refused(tmp_path):
    groups = read_groups(written(tmp_path))
    lacking = opened(tmp_path / "lacking", names=("a0", "a1", "b0"))
    with pytest.raises(UserError, match=r"no run has all models of the stratum x of the test t \(lacking lacks b1\)"):
        strata(groups, {"lacking": lacking})
    twice = {name: opened(tmp_path / name) for name in ("one", "two")}
    with pytest.raises(UserError, match="one and two both have all models of the stratum x"):
        strata(groups, twice)


def test_the_head_is_that_of_the_documentation():
    assert HEAD == "test,stratum,model,group\n"
