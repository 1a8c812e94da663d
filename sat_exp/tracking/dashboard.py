"""A W&B workspace and a W&B report of a project, with panels for what its runs have logged (see `results`)."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import wandb
import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

from sat_exp.tracking.owner import Tracking

AXES: dict[str, reports.Config | reports.SummaryMetric] = {
    "epsilon": reports.Config("attack.epsilon"),
    "norm": reports.Config("attack.threat.norm"),
    "steps": reports.Config("attack.steps"),
    "clean accuracy": reports.SummaryMetric("mean/models/clean_accuracy"),
    "white-box success": reports.SummaryMetric("mean/models/white_box_success"),
    "SAT": reports.SummaryMetric("mean/pairs/sat"),
}


STUDIES = ("ensemble", "distill")
"""Tasks that measure what they study themselves; the others name a measurement."""


@dataclass
class Logged:
    """What the runs of a project hold: models, and keys of figures and tables of measurements and of studies."""

    runs: int = 0
    models: set[str] = field(default_factory=set)
    figures: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    study_figures: set[str] = field(default_factory=set)
    study_tables: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Part:
    """A section of the workspace, a heading of the report; text: what its panels show, in a sentence."""

    name: str
    text: str
    panels: Sequence[Any]


def logged(runs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Logged:
    """What is in (config, summary) of each run."""
    found = Logged()
    for config, summary in runs:
        found.runs += 1
        study = "measured" in config or config.get("task") in STUDIES
        for key in summary:
            kind, _, name = key.partition("/")
            if kind == "models" and name.endswith("/clean_accuracy"):
                found.models.add(name.removesuffix("/clean_accuracy"))
            elif kind == "figures":
                (found.study_figures if study else found.figures).add(key)
            elif kind == "tables":
                (found.study_tables if study else found.tables).add(key)
    return found


def parts(found: Logged) -> list[Part]:
    """The panels of a dashboard; what no run has logged is left out."""
    columns = [reports.ParallelCoordinatesPlotColumn(metric, display_name=name) for name, metric in AXES.items()]
    sweep = [
        reports.ParallelCoordinatesPlot(title="attack and what came of it", columns=columns, layout=wide()),
        scatter("white-box success", "clean accuracy"),
        scatter("epsilon", "SAT"),
    ]
    all_parts = [
        Part(
            "Sweep", "A line, or a point, is a run: the attack's numbers, and means over its models and pairs.", sweep
        ),
        Part(
            "Models",
            "A bar is a model in one run.",
            [bars(found.models, column) for column in ("white_box_success", "clean_accuracy")] if found.models else [],
        ),
        Part(
            "Matrix",
            "SAT of all pairs; below it the rates in both directions with their intervals.",
            pictures({"figures/matrix"} & found.figures, wide) + tables({"tables/pairs"} & found.tables),
        ),
        Part("Figures", "What else a measurement draws.", pictures(found.figures - {"figures/matrix"}, half)),
        Part("Studies", "What studies of finished matrices draw.", pictures(found.study_figures - found.figures, half)),
        Part("Examples", "Images before and after the attack.", tables({"tables/examples"} & found.tables)),
        Part("Tables of studies", "Every number of the studies.", tables(found.study_tables - found.tables)),
    ]
    return [part for part in all_parts if part.panels]


def wide() -> reports.Layout:
    """The whole of a report's width; the library moves layouts to where there is room, so no two panels share one."""
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
    """Create the saved view of that title, or give the one made before new sections; its address.

    A view is found again by its internal name, which is made from the title here and at random by the library. Filters,
    colours and columns that were set in the browser stay.
    """
    fresh = workspaces.Workspace(entity=entity, project=project, name=title)
    fresh._internal_name = f"nw-{hashlib.sha256(title.encode()).hexdigest()[:11]}-v"
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
    """Create the report of that title, or write the one made before anew; its address."""
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
    """The addresses of a workspace and a report for all that the project's runs hold; LookupError where it has none.

    Whatever the server refuses comes as it is raised by W&B, often a bare Exception.
    """
    api = wandb.Api(timeout=math.ceil(settings.connect_seconds))
    owner, project = settings.entity or api.default_entity or "", settings.project
    runs = api.runs(f"{owner}/{project}", lazy=False)
    found = logged((run.config, dict(run.summary)) for run in runs)
    if not found.runs:
        raise LookupError(f"{owner}/{project} has no runs")
    content = parts(found)
    return {
        "workspace": save_workspace(owner, project, title, content),
        "report": save_report(owner, project, title, content),
    }
