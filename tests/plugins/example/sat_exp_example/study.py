"""Hubs: models from which, or to which, adversarial examples transfer more than to others."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from omegaconf import DictConfig

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.settings.types import FileName, FilePath
from sat_exp.similarity.scores import transfer_rates
from sat_exp.tasks import printing
from sat_exp.tasks.finished import chosen
from sat_exp.tasks.recording import recorded


def hubs(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per model: the mean transfer rates from it to the others, and from the others to it."""
    ways = transfer_rates(pairs)
    rates = {"from_it": ways.groupby("source")["rate"].mean(), "to_it": ways.groupby("target")["rate"].mean()}
    return pd.DataFrame(rates).rename_axis("model").reset_index()


def check(config: DictConfig, *, run: str | None, **_: Any) -> None:
    chosen(config, run)


def run(config: DictConfig, *, name: FileName, run: FilePath | None) -> None:
    """Compute the table of a finished run, draw it, and print where the page is."""
    studied = chosen(config, run)
    with recorded(config, f"Hubs of {studied.folder.name}") as recording:
        tables = {"example_hubs": hubs(studied.tables()["pairs"])}
        drawn = recording.finish({}, tables, studied=studied)
    printing.console().print(f"report: {drawn.page}", soft_wrap=True)


def drawings(results: Results) -> dict[str, Drawing]:
    """The figure of the study; none for another run."""
    return {"example_hubs": scatter(results.own["example_hubs"])} if "example_hubs" in results.own else {}


@theme.style()
def scatter(table: pd.DataFrame) -> Drawing:
    """Each model by the mean transfer rates from it and to it."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(table["from_it"], table["to_it"], color=theme.GOOD)
    axes.set(xlabel="mean transfer rate from the model", ylabel="mean transfer rate to the model")
    return Drawing(figure, table, "Hubs", "Models on the right fool others; models at the top are fooled by others.")
