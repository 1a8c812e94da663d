"""The workspace and the report that W&B's libraries send to a server."""

import json

import pytest

from sat_exp.tracking import Tracking, charts

pytest.importorskip("wandb_workspaces")
TITLE = "Review"
MEASURED = {
    "charts/matrix_table": {"_type": "table-file"},
    "charts/sources_table": {"_type": "table-file"},
    "mean/pairs/sat": 3.1,
    "figures/matrix": {"_type": "image-file"},
    "figures/accuracy": {"_type": "image-file"},
    "figures/transfer": {"_type": "image-file"},
    "tables/pairs": {"_type": "table-file"},
    "tables/examples": {"_type": "table-file"},
}
STUDIED = {"figures/importance": {"_type": "image-file"}, "tables/importance": {"_type": "table-file"}}


def node(name, config, summary):
    config = json.dumps({key: {"value": value} for key, value in config.items()})
    return {"id": name, "name": name, "displayName": name, "config": config, "summaryMetrics": json.dumps(summary)}


@pytest.fixture
def online(monkeypatch, server, fresh_wandb):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    server.runs += [node("run1", {"attack": {"epsilon": 8}}, MEASURED), node("run2", {"measured": "run1"}, STUDIED)]
    server.runs += [node("run3", {"task": "distill"}, {"figures/gain": {"_type": "image-file"}})]
    return server


@pytest.fixture
def create(online):
    from sat_exp.tracking import dashboard

    return lambda: dashboard.create(Tracking(), TITLE)


def spec(server, kind):
    (view,) = [view for view in server.views.values() if view["type"] == kind]
    assert view["displayName"] == TITLE
    return json.loads(view["spec"])


def sections(server):
    bank = spec(server, "project-view")["section"]["panelBankConfig"]
    return {section["name"]: section["panels"] for section in bank["sections"] if section["panels"]}


def grids(server):
    blocks = [block for block in spec(server, "runs")["blocks"] if block["type"] == "panel-grid"]
    return [block["metadata"]["panelBankSectionConfig"]["panels"] for block in blocks]


def test_panels_show_what_the_runs_logged(create, online):
    create()
    found = sections(online)
    assert list(found) == ["Sweep", "Models", "Matrix", "Figures", "Studies", "Examples", "Tables of studies"]
    columns = [column["accessor"] for column in found["Sweep"][0]["config"]["columns"]]
    assert columns[:2] == ["config:attack.value.epsilon", "config:attack.value.threat.norm"]
    assert columns[-1] == "summary:mean/pairs/sat"
    drawn = [found["Models"][0], found["Matrix"][0]]
    for panel, name in zip(drawn, ("sources", "matrix"), strict=True):
        assert panel["viewType"] == "Vega2"
        assert panel["config"]["panelDefId"] == f"someone/{charts.preset(name)}"
        assert panel["config"]["fieldSettings"] == charts.fields(name)
        assert f"charts/{name}_table" in json.dumps(panel["config"]["userQuery"])
    assert found["Matrix"][1]["config"]["mediaKeys"] == ["figures/matrix"]
    assert "tables/pairs" in json.dumps(found["Matrix"][2])
    shown = [panel["config"]["mediaKeys"] for panel in found["Figures"]]
    assert shown == [["figures/accuracy"], ["figures/transfer"]]
    assert [panel["config"]["mediaKeys"] for panel in found["Studies"]] == [["figures/gain"], ["figures/importance"]]
    assert "tables/importance" in json.dumps(found["Tables of studies"])


def test_the_account_gets_the_charts(create, online):
    create()
    made = {sent["chartName"]: json.loads(sent["spec"]) for name, sent in online.asked if name == "CreateCustomChart"}
    assert made == {charts.preset(name): json.loads(charts.specification(name)) for name in charts.TITLES}


def test_the_report_has_the_same_panels_and_none_covers_another(create, online):
    create()
    assert [len(panels) for panels in grids(online)] == [len(panels) for panels in sections(online).values()]
    for panels in grids(online):
        taken = set()
        for place in (panel["layout"] for panel in panels):
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert not cells & taken
            taken |= cells


def test_the_same_command_again_writes_both_anew(create, online):
    first = create()
    online.runs.append(node("run4", {}, {"charts/plane_table": {"_type": "table-file"}}))
    assert create() == first
    assert len(online.views) == 2
    assert charts.preset("plane") in sections(online)["Matrix"][1]["config"]["panelDefId"]
    assert first["workspace"].startswith(f"http://127.0.0.1:{online.server_port}/someone/sat_exp?nw=")


def test_what_was_set_in_the_browser_stays(create, online):
    create()
    view = next(view for view in online.views.values() if view["type"] == "project-view")
    changed = json.loads(view["spec"])
    changed["section"]["runSets"][0]["search"]["query"] = "swin"
    view["spec"] = json.dumps(changed)
    create()
    assert spec(online, "project-view")["section"]["runSets"][0]["search"]["query"] == "swin"


def test_a_project_without_runs_has_nothing_to_show(create, online):
    online.runs.clear()
    with pytest.raises(LookupError, match="someone/sat_exp has no runs"):
        create()
    assert not online.views
