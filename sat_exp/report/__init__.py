"""Figures and one self-contained HTML page of a run, drawn from the tables, examples and summary in its folder."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from sat_exp.report import figures, page, results, theme
from sat_exp.report.results import between_models, one_way

__all__ = ["Report", "between_models", "draw", "one_way"]


UNTRAINED = "untrained networks: these numbers say nothing about trained ones"


@dataclass(frozen=True)
class Report:
    """Where the page lies, the PNG file of every figure by name (an SVG file of the same stem lies beside it), and what
    a reader must know before trusting the numbers."""

    page: Path
    figures: dict[str, Path]
    warnings: list[str]


def draw(run: Path) -> Report:
    """Writes figures/*.png, figures/*.svg and report.html into a run folder; the same run gives the same bytes.

    Reads tables/models.parquet, tables/pairs.parquet, summary.json and examples.npz; what is missing is left out of
    the page, but one of the tables must be there.
    """
    found = results.read(run)
    styles = theme.family_styles(found.families)
    note = UNTRAINED if found.untrained else ""
    files = {name: theme.save(figure, run / "figures" / name, note) for name, figure in _figures(found, styles).items()}
    html = run / "report.html"
    html.write_text(page.render(found, styles, files), encoding="utf-8")
    return Report(html, files, page.warnings(found))


def _figures(found: results.Results, styles: figures.Styles) -> dict[str, Figure]:
    """The figures that the run has data for, in the order of the page; two models make no matrix to cluster."""
    drawn = {}
    compared = None if found.pairs is None else between_models(found.pairs).dropna(subset=["sat"])
    if found.pairs is not None and compared is not None and len({*compared["model_a"], *compared["model_b"]}) > 2:
        drawn["matrix"] = figures.matrix(found.pairs, styles)
        drawn["nearest"] = figures.nearest(found.pairs, styles)
    if found.pairs is not None and len(one_way(found.pairs)):
        drawn["transfer"] = figures.transfer(found.pairs, styles)
    if found.models is not None and found.models["clean_accuracy"].notna().any():
        drawn["accuracy"] = figures.accuracy(found.models, styles)
    if found.examples is not None and len(found.examples["labels"]):
        drawn["examples"] = figures.examples(found.examples, found.summary.get("class_names", []))
    return drawn
