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
from sat_exp.tracking import Tracking

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
    """What the runs have, from the (config, summary) of each: models, and the keys of figures, tables, study_figures
    and study_tables, those of studies."""
    found: dict[str, set[str]] = defaultdict(set)
    names = {study.name for study in registry.studies()}
    for config, summary in runs:
        of = "study_" if "measured" in config or config.get("task") in names else ""
        for key in summary:
            kind, _, name = key.partition("/")
            if kind == "models" and name.endswith("/clean_accuracy"):
                found["models"].add(name.removesuffix("/clean_accuracy"))
            elif kind in ("figures", "tables"):
                found[of + kind].add(key)
    return found


def parts(found: Mapping[str, set[str]]) -> Parts:
    """The panels of a dashboard, without those that no run has results for."""
    columns = [reports.ParallelCoordinatesPlotColumn(metric, display_name=name) for name, metric in AXES.items()]
    sweep = [
        reports.ParallelCoordinatesPlot(title="attack and results", columns=columns, layout=layout(wide=True)),
        scatter("white-box success", "clean accuracy"),
        scatter("epsilon", "SAT"),
    ]
    models = [bars(found["models"], column) for column in ("white_box_success", "clean_accuracy")]
    own, of_studies = found["figures"], found["study_figures"] - found["figures"]
    matrix = pictures({"figures/matrix"} & own, wide=True) + tables({"tables/pairs"} & found["tables"])
    whole: Parts = {
        "Sweep": ("One line or point per run: the attack's numbers, and means over models and pairs.", sweep),
        "Models": ("One bar per model and run.", models if found["models"] else []),
        "Matrix": ("SAT of all pairs; below are the rates in both directions with their intervals.", matrix),
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


def bars(models: Iterable[str], column: str) -> reports.BarPlot:
    metrics: list[Any] = [f"models/{model}/{column}" for model in sorted(models)]
    title = column.replace("_", " ")
    return reports.BarPlot(
        title=title, metrics=metrics, range_x=(0, 1), max_bars_to_show=100, layout=layout(wide=False)
    )


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
    content = parts(logged(runs))
    return {
        "workspace": save_workspace(owner, project, title, content),
        "report": save_report(owner, project, title, content),
    }
