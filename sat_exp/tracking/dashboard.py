"""A W&B workspace and a W&B report of a project, with panels for the results of its runs (see `results`)."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import wandb
import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

from sat_exp.runs import registry
from sat_exp.tracking import Tracking, charts

AXES: dict[str, reports.Config | reports.SummaryMetric] = {
    "epsilon": reports.Config("attack.epsilon"),
    "norm": reports.Config("attack.threat.norm"),
    "steps": reports.Config("attack.steps"),
    "clean accuracy": reports.SummaryMetric("mean/models/clean_accuracy"),
    "white-box success": reports.SummaryMetric("mean/models/white_box_success"),
    "SAT": reports.SummaryMetric("mean/pairs/sat"),
}


Parts = dict[str, tuple[str, Sequence[Any]]]
"""The sections of the workspace and of the report: by name, a sentence about the panels, and the panels."""


def logged(runs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, set[str]]:
    """The keys that the runs have, from the (config, summary) of each: of charts, figures, tables, study_figures and
    study_tables, the last two of studies."""
    found: dict[str, set[str]] = defaultdict(set)
    names = {study.name for study in registry.studies()}
    for config, summary in runs:
        of = "study_" if "measured" in config or config.get("task") in names else ""
        for key in summary:
            kind = key.partition("/")[0]
            if kind in ("charts", "figures", "tables"):
                found[kind if kind == "charts" else of + kind].add(key)
    return found


def parts(found: Mapping[str, set[str]], entity: str) -> Parts:
    """The panels of a dashboard, without those that no run has results for. entity: the account with the charts."""
    columns = [reports.ParallelCoordinatesPlotColumn(metric, display_name=name) for name, metric in AXES.items()]
    sweep = [
        reports.ParallelCoordinatesPlot(title="attack and results", columns=columns, layout=layout(wide=True)),
        scatter("white-box success", "clean accuracy"),
        scatter("epsilon", "SAT"),
    ]
    models = chart("sources", found, entity)
    own, of_studies = found["figures"], found["study_figures"] - found["figures"]
    matrix = [*chart("matrix", found, entity), *chart("plane", found, entity)]
    matrix += pictures({"figures/matrix"} & own, wide=True)
    matrix += tables({"tables/neighbours", "tables/pairs"} & found["tables"])
    whole: Parts = {
        "Sweep": ("One line or point per run: the attack's numbers, and means over models and pairs.", sweep),
        "Models": ("One line per model and run: the model as a source and as a target.", models),
        "Matrix": ("SAT of all pairs, every number on hover; the tables have neighbours and intervals.", matrix),
        "Figures": ("The other figures of measurements.", pictures(own - {"figures/matrix"}, wide=False)),
        "Studies": ("The figures of studies.", pictures(of_studies, wide=False)),
        "Examples": ("Images before and after the attack.", tables({"tables/examples"} & found["tables"])),
        "Tables of studies": ("Every number of the studies.", tables(found["study_tables"] - found["tables"])),
    }
    return {name: (text, panels) for name, (text, panels) in whole.items() if panels}


def layout(wide: bool) -> reports.Layout:
    """The full or the half width of a report. The library moves panels to free places, so that they do not overlap."""
    return reports.Layout(w=24, h=14) if wide else reports.Layout(w=12, h=10)


def scatter(x: str, y: str) -> reports.ScatterPlot:
    return reports.ScatterPlot(title=f"{y} by {x}", x=AXES[x], y=AXES[y], layout=layout(wide=False))


def chart(name: str, found: Mapping[str, set[str]], entity: str) -> list[Any]:
    """The panel of a custom chart in a list; [] where no run has its table."""
    if (key := charts.key(name)) not in found["charts"]:
        return []
    return [
        reports.CustomChart(
            query={"summaryTable": {"tableKey": key}},
            chart_name=f"{entity}/{charts.preset(name)}",
            chart_fields=charts.fields(name),
            chart_strings={"title": charts.TITLES[name]},
            layout=layout(wide=True),
        )
    ]


def pictures(keys: Iterable[str], wide: bool) -> list[reports.MediaBrowser]:
    return [
        reports.MediaBrowser(title=key.removeprefix("figures/"), media_keys=[key], num_columns=1, layout=layout(wide))
        for key in sorted(keys)
    ]


def tables(keys: Iterable[str]) -> list[reports.WeavePanelSummaryTable]:
    return [reports.WeavePanelSummaryTable(table_name=key, layout=layout(wide=True)) for key in sorted(keys)]


def save_workspace(entity: str, project: str, title: str, content: Parts) -> str:
    """The address of the saved view of that title, which is created or gets new sections. Filters, colours and columns
    that were set in the browser stay."""
    fresh = workspaces.Workspace(entity=entity, project=project, name=title)
    # W&B's name of a view is random; one made from the title, for which there is no public way, is found again.
    fresh._internal_name = f"nw-{hashlib.sha256(title.encode()).hexdigest()[:11]}-v"
    try:
        view = workspaces.Workspace.from_url(fresh.url)
    except ValueError:  # there is none of that name
        view = fresh
    view.sections = [
        workspaces.Section(
            name=name,
            panels=list(panels),
            is_open=place < 3,
            layout_settings=workspaces.SectionLayoutSettings(columns=min(2, len(panels)), rows=2),
        )
        for place, (name, (_, panels)) in enumerate(content.items())
    ]
    return view.save().url


def save_report(entity: str, project: str, title: str, content: Parts) -> str:
    """The address of the report of that title, which is created or replaced."""
    report = reports.Report(entity=entity, project=project, title=title, width="fluid")
    for known in wandb.Api().reports(f"{entity}/{project}"):
        if known.display_name == title:
            report.id = known.id
    report.blocks = [reports.TableOfContents()]
    for name, (text, panels) in content.items():
        runs = reports.Runset(entity=entity, project=project, name="all runs")
        grid = reports.PanelGrid(runsets=[runs], panels=list(panels))
        report.blocks += [reports.H2(name), reports.P(text), grid]
    return report.save().url


def create(settings: Tracking, title: str) -> dict[str, str]:
    """The addresses of a workspace and of a report for all runs of the project; LookupError where it has none.

    A refusal by the server is raised as W&B raises it, often as a bare Exception.
    """
    api = wandb.Api(timeout=math.ceil(settings.connect_seconds))
    owner, project = settings.entity or api.default_entity or "", settings.project
    runs = [(run.config, dict(run.summary)) for run in api.runs(f"{owner}/{project}", lazy=False)]
    if not runs:
        raise LookupError(f"{owner}/{project} has no runs")
    charts.create(owner, settings.connect_seconds)
    content = parts(logged(runs), owner)
    return {
        "workspace": save_workspace(owner, project, title, content),
        "report": save_report(owner, project, title, content),
    }
