"""The custom charts: their tables, and their specifications as Vega-Lite compiles them."""

import json

import numpy as np
import pandas as pd
import pytest
import vl_convert

from sat_exp import runs, tracking
from sat_exp.tracking import Tracking, charts


@pytest.fixture
def run(tmp_path, fill):
    fill(tmp_path)
    return runs.Run.open(tmp_path)


@pytest.fixture
def tables(run):
    embedding = pd.DataFrame({"model": ["resnet", "vit.in1k", "mixer"], "method": "classical", "x": 0.0, "y": 1.0})
    found = charts.tables(run)
    placed = charts.placed(embedding, found["sources"], charts.neighbours(run.table("pairs")))
    return found | {"plane": placed.assign(run="quickstart")}


def test_the_matrix_has_every_direction_with_its_own_rate(run):
    pairs, table = run.table("pairs"), charts.tables(run)["matrix"].set_index(["source", "target"])
    assert len(table) == 9
    for pair in pairs.to_dict("records"):
        a, b = pair["model_a"], pair["model_b"]
        assert table.loc[(a, b), "transfer_rate"] == pair["transfer_rate_ab"]
        if a != b:
            assert table.loc[(b, a), "transfer_rate"] == pair["transfer_rate_ba"]
            np.testing.assert_equal(table.loc[(b, a), "sat"], pair["sat"])


def test_similar_models_are_next_to_each_other_in_the_matrix():
    likes = {("a", "c"): 4.0, ("b", "d"): 4.0}
    names = "abcd"
    pairs = [(a, b, likes.get((a, b), 1.0)) for i, a in enumerate(names) for b in names[i:]]
    table = pd.DataFrame(pairs, columns=["model_a", "model_b", "sat"]).assign(sat_low=0, sat_high=0, images=9)
    found = charts.directions(table.assign(transfer_rate_ab=0.1, transfer_rate_ba=0.2))
    order = list(dict.fromkeys(found["source"]))
    assert list(dict.fromkeys(found["target"])) == order
    assert abs(order.index("a") - order.index("c")) == abs(order.index("b") - order.index("d")) == 1


def test_a_direction_that_was_not_measured_is_not_in_the_matrix(run):
    pairs = run.table("pairs")
    pairs.loc[1, "transfer_rate_ba"] = np.nan
    found = charts.directions(pairs)
    assert len(found) == 8
    assert not len(found.query("source == @pairs.model_b[1] and target == @pairs.model_a[1]"))


@pytest.mark.parametrize("version", ["5.8", "6.4"])
@pytest.mark.parametrize("chart", charts.TITLES)
def test_a_specification_is_vega_lite_and_draws_every_row(chart, version, tables):
    table = tables[chart]
    assert set(charts.fields(chart)) <= set(table.columns)
    whole = charts.filled(chart, table, "a title")
    assert "${" not in json.dumps(whole)
    svg = vl_convert.vegalite_to_svg(whole, vl_version=version)
    assert "a title" in svg
    described = [f"{name}: {value}" for name, value in zip(("model", "source"), ("vit.in1k",) * 2, strict=True)]
    assert any(text in svg for text in described), "a mark has its model in its description"


@pytest.mark.parametrize("entity", [None, "someone"])
def test_a_chart_is_recorded_where_the_account_is_known(run, tmp_path, read_log, entity):
    with tracking.run(
        Tracking("offline", entity=entity), name="n", job_type="matrix", directory=tmp_path, config={}
    ) as recorded:
        recorded.log_results(run)
    found = read_log(recorded.folder)
    table = json.loads(found.media("charts/matrix_table").read_text())
    assert table["columns"] == list(charts.tables(run)["matrix"])
    drawn = found.config.get("_wandb", {}).get("visualize", {})
    assert set(drawn) == ({"charts/matrix", "charts/sources"} if entity else set())
    if entity:
        config = drawn["charts/matrix"]["panel_config"]
        assert config["panelDefId"] == f"someone/{charts.preset('matrix')}"
        assert config["fieldSettings"]["sat"] == "sat"
        assert "charts/matrix_table" in json.dumps(config["userQuery"])


def test_an_online_run_gives_its_account_the_charts(run, tmp_path, monkeypatch, server, fresh_wandb):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    with tracking.run(
        Tracking("online", upload_seconds=5), name="n", job_type="matrix", directory=tmp_path, config={}
    ) as recorded:
        recorded.log_results(run)
    made = [sent for name, sent in server.asked if name == "CreateCustomChart"]
    assert {sent["entity"] for sent in made} == {"someone"}
    assert {sent["chartName"] for sent in made} == {charts.preset(name) for name in charts.TITLES}


@pytest.mark.parametrize(("message", "refused"), [("chart already exists", False), ("permission denied", True)])
def test_only_a_chart_that_exists_may_be_refused(monkeypatch, message, refused):
    import wandb

    def create(*_):
        raise RuntimeError(message)

    class Api:
        create_custom_chart = staticmethod(create)

    monkeypatch.setattr(wandb, "Api", lambda **_: Api)
    if refused:
        with pytest.raises(RuntimeError, match="denied"):
            charts.create("someone", 1)
    else:
        charts.create("someone", 1)
