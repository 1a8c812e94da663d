"""The result of `sat_exp.measure`."""

import os
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sat_exp import measurement as measuring
from sat_exp import report, runs, similarity
from sat_exp.errors import UserError
from sat_exp.measurement import Examples, Measured, Measurement, Scoring
from sat_exp.report.results import Results
from sat_exp.similarity import Predictions
from sat_exp.similarity.scores import square
from sat_exp.tasks.recording import described, write


@dataclass(frozen=True, repr=False)
class Result:
    """The scores of all pairs of models, their figures and their report. measured, measurement, examples: the
    predictions with all stored arrays, what made them, and a few images. settings: as in the summary of a run."""

    measured: Measured
    measurement: Measurement
    scoring: Scoring
    examples: Examples
    settings: dict[str, Any]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table of the run by name."""
        return measuring.tables(self.measured, self.measurement, self.scoring) | self.examples.tables

    @property
    def models(self) -> pd.DataFrame:
        """One row per model: clean accuracy and white-box success with intervals, norms, speed."""
        return self.tables["models"]

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row per unordered pair, each model with itself included: transfer rates and SAT with intervals."""
        if "pairs" in self.tables:
            return self.tables["pairs"]
        return measuring.pair_table(self.measured, self.measurement.images.labels, self.scoring)

    @cached_property
    def sat(self) -> pd.DataFrame:
        """The symmetric matrix of SAT, float64, models × models."""
        return similarity.matrix(self.pairs)

    @cached_property
    def transfer_rates(self) -> pd.DataFrame:
        """The fraction of the source's adversarial images that fools the target, float64, sources × targets."""
        rates = square(self.pairs, "transfer_rate_ab", "transfer_rate_ba")
        return rates.rename_axis(index="source", columns="target")

    @cached_property
    def predictions(self) -> Predictions:
        """The class that each model predicts for each image, clean and attacked."""
        return self.measured.predicted(self.measurement.images.labels)

    @property
    def failures(self) -> dict[str, str]:
        """The models that could not be measured, each with the reason."""
        return self.measured.failures

    @property
    def warnings(self) -> list[str]:
        """What limits the numbers: rounded images, failed models, weak gradients."""
        return self.facts["warnings"]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The part of the summary that describes the measurement."""
        return measuring.facts(self.measurement, self.measured)

    def plot(self, name: str | None = None) -> Figure:
        """A figure of the report: by default the matrix, for fewer than three models the first one. Notebooks show it.
        UserError, with the names that there are, for another name."""
        with TemporaryDirectory() as place:
            folder, pictures = Path(place, "run"), Path(place, "pictures")
            folder.mkdir()
            runs.fill(folder, self.summary("figure"), self.tables, self.examples.pictures, self.predictions)
            runs.seal(folder)
            drawings = report.drawings(Results.of(runs.Run.open(folder), pictures))
        chosen = next(iter(drawings), None) if name is None else name
        if chosen not in drawings:
            raise UserError(f"there is no figure {name}: choose one of {', '.join(drawings) or 'none'}")
        return in_notebook(drawings[chosen].figure)

    def report(self, folder: str | os.PathLike[str]) -> Path:
        """Write the run's folder as the command line does (page, figures, tables, predictions, examples) and return the
        path of the page. UserError where the folder holds other files of these names."""
        place = Path(folder).absolute()
        drawn, _ = write(place, self.summary(place.name), self.tables, self.examples.pictures, self.predictions)
        return drawn.page

    def summary(self, name: str) -> dict[str, Any]:
        """The summary of a run called `name`."""
        images, untrained = self.measurement.images, not self.models["pretrained"].all()
        title = f"Similarity of {len(self.models)} models on {len(images)} images of {images.name}"
        description = described(
            task="matrix",
            name=name,
            title=title + " (untrained networks)" * untrained,
            command="",
            settings=self.settings,
            choices={},
        )
        return description | self.facts

    def __repr__(self) -> str:
        return f"{self.heading}\n{self.sat.round(2)}"

    @property
    def heading(self) -> str:
        """The result in one line."""
        attack = self.measurement.attack
        return (
            f"SAT of {len(self.models)} models on {len(self.measurement.images)} images, {type(attack).__name__} "
            f"({attack.threat})"
        )

    def _repr_html_(self) -> str:
        """The matrix of SAT as a table, for notebooks."""
        return f"<p>{self.heading}</p>{self.sat.round(2).to_html()}"


def in_notebook(figure: Figure) -> Figure:
    """`figure`, which notebooks show as PNG also where pyplot was never imported."""

    def png() -> bytes:
        content = BytesIO()
        figure.savefig(content, format="png", bbox_inches="tight")
        return content.getvalue()

    vars(figure)["_repr_png_"] = png
    return figure
