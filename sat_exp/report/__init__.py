"""Figures and one self-contained HTML page of a run, drawn from the tables, examples and summary in its folder."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sat_exp import runs
from sat_exp.report import cautions, examples, figures, page, results, theme
from sat_exp.report.origin import Origin
from sat_exp.report.results import between_models, one_way
from sat_exp.report.theme import Drawing
from sat_exp.studies.analyze import figures as structure
from sat_exp.studies.compare import figures as comparison
from sat_exp.studies.distill import figures as distillation
from sat_exp.studies.ensemble import figures as ensembles

__all__ = ["Report", "between_models", "draw", "draw_draft", "one_way"]

PAGE = "report.html"

UNTRAINED = "untrained networks: these numbers say nothing about trained ones"


@dataclass(frozen=True)
class Report:
    """The folder of a run, the names of its figures, and what a reader must know before trusting the numbers."""

    folder: Path
    names: list[str]
    warnings: list[str]

    @property
    def page(self) -> Path:
        return self.folder / PAGE

    @property
    def figures(self) -> dict[str, Path]:
        """The PNG file of every figure by name; an SVG file and the numbers as a CSV file of the same stem are next to
        it."""
        return {name: self.folder / "figures" / f"{name}.png" for name in self.names}


def draw(folder: Path) -> Report:
    """Draw the figures and the page of a finished run again; the same run gives the same bytes.

    UserError where the folder holds no finished run, where a file of it is damaged, or where it was written again
    meanwhile.
    """
    run = runs.studied(runs.read(folder))
    run.checked_tables()
    with runs.drafted(folder, replacing=run) as place:
        run.copy([name for name in run.files if name != PAGE and not name.startswith("figures/")], place)
        shutil.copystat(folder / runs.SUMMARY, place / runs.SUMMARY)
        drawn = draw_draft(place, run.studied)
    return replace(drawn, folder=folder)


def draw_draft(place: Path, studied: runs.Run | None) -> Report:
    """Write figures/*.png, *.svg and *.csv and report.html into a draft of a run's results; studied: the run that it is
    a study of.

    What can be drawn follows from the tables that the runs have. UserError where the draft has none.
    """
    runs.seal(place)
    with TemporaryDirectory() as pictures:
        found = results.of(replace(runs.read(place), studied=studied), Path(pictures))
        note = UNTRAINED if found.untrained else ""
        drawn = drawings(found)
        files = {name: theme.save(drawing, place / "figures" / name, note) for name, drawing in drawn.items()}
        (place / PAGE).write_text(page.render(found, drawn, files), encoding="utf-8")
    return Report(place, list(files), cautions.warnings(found))


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
    drawn |= structure.drawings(found)
    drawn |= comparison.drawings(found)
    drawn |= ensembles.drawings(found)
    drawn |= distillation.drawings(found)
    if "examples" in own:
        drawn["examples"] = examples.examples(own["examples"], found.examples, found.class_names)
    return drawn
