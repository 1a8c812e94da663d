"""Figures and one self-contained HTML page of a run, drawn from the tables, examples and summary in its folder."""

from dataclasses import dataclass
from pathlib import Path

from sat_exp.report import (
    cautions,
    comparison,
    distillation,
    ensembles,
    examples,
    figures,
    page,
    results,
    structure,
    theme,
)
from sat_exp.report.origin import Origin
from sat_exp.report.results import between_models, one_way
from sat_exp.report.theme import Drawing

__all__ = ["Report", "between_models", "draw", "one_way"]


UNTRAINED = "untrained networks: these numbers say nothing about trained ones"


@dataclass(frozen=True)
class Report:
    """Where the page lies, the PNG file of every figure by name (an SVG file and the numbers as a CSV file of the same
    stem lie beside it), and what a reader must know before trusting the numbers."""

    page: Path
    figures: dict[str, Path]
    warnings: list[str]


def draw(run: Path) -> Report:
    """Writes figures/*.png, *.svg and *.csv and report.html into a run folder; the same run gives the same bytes.

    What can be drawn follows from the tables that the run has. UserError where it has none.
    """
    found = results.read(run)
    note = UNTRAINED if found.untrained else ""
    drawn = drawings(found)
    files = {name: theme.save(drawing, run / "figures" / name, note) for name, drawing in drawn.items()}
    html = run / "report.html"
    html.write_text(page.render(found, drawn, files), encoding="utf-8")
    return Report(html, files, cautions.warnings(found))


def drawings(found: results.Results) -> dict[str, Drawing]:
    """The figures that the run's own tables hold data for, in the order of the page; two models make no matrix."""
    own, styles, origin = found.own, theme.family_styles(found.families.values()), Origin.of(found)
    drawn: dict[str, Drawing] = {}
    if "pairs" in own:
        compared = between_models(own["pairs"]).dropna(subset="sat")
        if len({*compared["model_a"], *compared["model_b"]}) > 2:
            drawn["matrix"] = figures.matrix(own["pairs"], styles, origin)
            drawn["nearest"] = figures.nearest(own["pairs"], origin)
        if len(one_way(own["pairs"])):
            drawn["transfer"] = figures.transfer(own["pairs"], styles, origin)
    if "models" in own and own["models"]["clean_accuracy"].notna().any():
        drawn["accuracy"] = figures.accuracy(own["models"], styles, origin)
    if "cluster_stability" in own:
        drawn |= structure.drawings(own, found.families, styles)
    if "pairs_compared" in own:
        words = [found.summary.get(role, "") for role in ("measured_name", "reference_name", "aside", "errors")]
        drawn["comparison"] = comparison.comparison(own["pairs_compared"], *words)
    if "ensembles_binned" in own:
        drawn |= ensembles.drawings(own)
    if "pickers" in own:
        drawn |= distillation.drawings(own)
    if "examples" in own:
        drawn["examples"] = examples.examples(own["examples"], found.examples, found.class_names)
    return drawn
