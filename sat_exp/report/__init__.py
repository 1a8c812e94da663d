"""Figures and one self-contained HTML page of a run, from the tables, examples and summary in its folder.

The page draws the measurement's own figures and those of every registered study.
"""

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from sat_exp import runs
from sat_exp.cores import forked
from sat_exp.progress import waiting
from sat_exp.report import headline, page, theme
from sat_exp.report.figures import drawings
from sat_exp.report.results import Results
from sat_exp.runs import Run

__all__ = ["Report", "draw", "draw_draft", "drawings"]

PAGE = "report.html"


@dataclass(frozen=True)
class Report:
    """The folder of a run, the names of its figures, and the cautions about its numbers."""

    folder: Path
    names: list[str]
    warnings: list[str]

    @property
    def page(self) -> Path:
        return self.folder / PAGE

    @property
    def figures(self) -> dict[str, Path]:
        """The PNG file of every figure by name. An SVG file, and a CSV file of the numbers, have the same stem."""
        return {name: self.folder / "figures" / f"{name}.png" for name in self.names}


def draw(folder: Path) -> Report:
    """Draw the figures and the page of a finished run again; the same run gives the same bytes.

    UserError where the folder has no finished run, where a file is damaged, or where the run was replaced meanwhile.
    """
    run = Run.open(folder).with_studied()
    run.tables()
    with runs.drafted(folder, replacing=run) as place:
        run.copy([name for name in run.files if name != PAGE and not name.startswith("figures/")], place)
        shutil.copystat(folder / runs.SUMMARY, place / runs.SUMMARY)
        drawn = draw_draft(place, run.studied)
    return replace(drawn, folder=folder)


def draw_draft(place: Path, studied: Run | None) -> Report:
    """Write figures/*.png, *.svg and *.csv and report.html into a draft of a run's results.

    studied: the run that it is a study of. UserError where the draft has no tables.
    """
    runs.seal(place)
    with TemporaryDirectory() as pictures:
        with waiting("drawing"):
            results = Results.of(replace(Run.open(place), studied=studied), Path(pictures))
            drawn = drawings(results)
        untrained = results.models is not None and not results.models["pretrained"].astype(bool).all()
        note = "untrained networks: these numbers say nothing about trained ones" if untrained else ""
        jobs = [partial(theme.save, drawing, place / "figures" / name, note) for name, drawing in drawn.items()]
        forked("figures", jobs)
        files = {name: place / "figures" / f"{name}.png" for name in drawn}
        with waiting("page"):
            (place / PAGE).write_text(page.render(results, drawn, files), encoding="utf-8")
    return Report(place, list(files), headline.warnings(results))
