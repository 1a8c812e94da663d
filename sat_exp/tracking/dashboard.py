"""A W&B workspace and a W&B report of a project, with panels for the results of its runs (see `results`)."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import wandb
import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

from sat_exp.runs import registry
from sat_exp.tracking import Tracking, internals

AXES: dict[str, reports.Config | reports.SummaryMetric] = {
    "epsilon": reports.Config("attack.epsilon"),
    "norm": reports.Config("attack.threat.norm"),
    "steps": reports.Config("attack.steps"),
    "clean accuracy": reports.SummaryMetric("mean/models/clean_accuracy"),
    "white-box success": reports.SummaryMetric("mean/models/white_box_success"),
    "SAT": reports.SummaryMetric("mean/pairs/sat"),
}


@dataclass
class Logs:
    """The results in the runs of a project: models, and keys of figures and tables of measurements and of studies."""

    runs: int = 0
    models: set[str] = field(default_factory=set)
    figures: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    study_figures: set[str] = field(default_factory=set)
    study_tables: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Part:
    """A section of the workspace and of the report; text: a sentence about its panels."""

    name: str
    text: str
    panels: Sequence[Any]


def logged(runs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Logs:
    """The results in (config, summary) of each run."""
    logs, names = Logs(), {study.name for study in registry.studies()}
    for config, summary in runs:
        logs.runs += 1
        study = "measured" in config or config.get("task") in names
        for key in summary:
            kind, _, name = key.partition("/")
            if kind == "models" and name.endswith("/clean_accuracy"):
                logs.models.add(name.removesuffix("/clean_accuracy"))
            elif kind == "figures":
                (logs.study_figures if study else logs.figures).add(key)
            elif kind == "tables":
                (logs.study_tables if study else logs.tables).add(key)
    return logs


def parts(logs: Logs) -> list[Part]:
    """The panels of a dashboard, without those that no run has results for."""
    columns = [reports.ParallelCoordinatesPlotColumn(metric, display_name=name) for name, metric in AXES.items()]
    sweep = [
        reports.ParallelCoordinatesPlot(title="attack and results", columns=columns, layout=wide()),
        scatter("white-box success", "clean accuracy"),
        scatter("epsilon", "SAT"),
    ]
    all_parts = [
        Part("Sweep", "One line or point per run: the attack's numbers, and means over models and pairs.", sweep),
        Part(
            "Models",
            "One bar per model and run.",
            [bars(logs.models, column) for column in ("white_box_success", "clean_accuracy")] if logs.models else [],
        ),
        Part(
            "Matrix",
            "SAT of all pairs; below are the rates in both directions with their intervals.",
            pictures({"figures/matrix"} & logs.figures, wide) + tables({"tables/pairs"} & logs.tables),
        ),
        Part("Figures", "The other figures of measurements.", pictures(logs.figures - {"figures/matrix"}, half)),
        Part("Studies", "The figures of studies.", pictures(logs.study_figures - logs.figures, half)),
        Part("Examples", "Images before and after the attack.", tables({"tables/examples"} & logs.tables)),
        Part("Tables of studies", "Every number of the studies.", tables(logs.study_tables - logs.tables)),
    ]
    return [part for part in all_parts if part.panels]


def wide() -> reports.Layout:
    """The full width of a report. The library moves panels to free places, so that they do not overlap."""
    return reports.Layout(w=24, h=14)


def half() -> reports.Layout:
    return reports.Layout(w=12, h=10)


def scatter(x: str, y: str) -> reports.ScatterPlot:
    return reports.ScatterPlot(title=f"{y} by {x}", x=AXES[x], y=AXES[y], layout=half())


def bars(models: Iterable[str], column: str) -> reports.BarPlot:
    metrics: list[Any] = [f"models/{model}/{column}" for model in sorted(models)]
    title = column.replace("_", " ")
    return reports.BarPlot(title=title, metrics=metrics, range_x=(0, 1), max_bars_to_show=100, layout=half())


def pictures(keys: Iterable[str], layout: Callable[[], reports.Layout]) -> list[reports.MediaBrowser]:
    return [
        reports.MediaBrowser(title=key.removeprefix("figures/"), media_keys=[key], num_columns=1, layout=layout())
        for key in sorted(keys)
    ]


def tables(keys: Iterable[str]) -> list[reports.WeavePanelSummaryTable]:
    return [reports.WeavePanelSummaryTable(table_name=key, layout=wide()) for key in sorted(keys)]


def save_workspace(entity: str, project: str, title: str, content: Sequence[Part]) -> str:
    """The address of the saved view of that title, which is created or gets new sections. Filters, colours and columns
    that were set in the browser stay."""
    fresh = workspaces.Workspace(entity=entity, project=project, name=title)
    internals.name_by_title(fresh, title)
    try:
        view = workspaces.Workspace.from_url(fresh.url)
    except ValueError:  # there is none of that name
        view = fresh
    view.sections = [
        workspaces.Section(
            name=part.name,
            panels=list(part.panels),
            is_open=place < 3,
            layout_settings=workspaces.SectionLayoutSettings(columns=min(2, len(part.panels)), rows=2),
        )
        for place, part in enumerate(content)
    ]
    return view.save().url


def save_report(entity: str, project: str, title: str, content: Sequence[Part]) -> str:
    """The address of the report of that title, which is created or replaced."""
    report = reports.Report(entity=entity, project=project, title=title, width="fluid")
    for known in wandb.Api().reports(f"{entity}/{project}"):
        if known.display_name == title:
            report.id = known.id
    report.blocks = [reports.TableOfContents()]
    for part in content:
        runs = reports.Runset(entity=entity, project=project, name="all runs")
        grid = reports.PanelGrid(runsets=[runs], panels=list(part.panels))
        report.blocks += [reports.H2(part.name), reports.P(part.text), grid]
    return report.save().url


def create(settings: Tracking, title: str) -> dict[str, str]:
    """The addresses of a workspace and of a report for all runs of the project; LookupError where it has none.

    A refusal by the server is raised as W&B raises it, often as a bare Exception.
    """
    api = wandb.Api(timeout=math.ceil(settings.connect_seconds))
    owner, project = settings.entity or api.default_entity or "", settings.project
    runs = api.runs(f"{owner}/{project}", lazy=False)
    logs = logged((run.config, dict(run.summary)) for run in runs)
    if not logs.runs:
        raise LookupError(f"{owner}/{project} has no runs")
    content = parts(logs)
    return {
        "workspace": save_workspace(owner, project, title, content),
        "report": save_report(owner, project, title, content),
    }
