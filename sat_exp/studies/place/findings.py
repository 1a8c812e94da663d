"""The findings of a placement in words, and on the terminal."""

from pathlib import Path

from sat_exp.studies.place.placement import Placement
from sat_exp.tasks import printing

SHOWN = 5
FORMATS = {"model": "", "sat": ".2f", "sat_low": ".2f", "sat_high": ".2f", "fooled_by": ".1%", "fools": ".1%"}


def sentences(placed: Placement) -> list[str]:
    texts = []
    for row in placed.rates.itertuples():
        verb = "fools the others on" if row.role == "source" else "is fooled by the others on"
        texts.append(
            f"{placed.model} {verb} {row.mean_rate:.1%} of the images on average, rank {row.rank} of {row.models} "
            f"(most: {row.most}, {row.most_rate:.1%}; least: {row.least}, {row.least_rate:.1%})."
        )
    cluster = placed.clusters.iloc[0]
    margin = f", {placed.margin:.2f} above the next" if placed.margin == placed.margin else ""
    return [
        *texts,
        f"It falls into cluster {placed.cluster} of {len(placed.clusters)}, with which its mean SAT is "
        f"{cluster.mean_sat:.2f}{margin}: {cluster.members}.",
        f"Its mean SAT with all others is {placed.mean_sat:.2f}, rank {placed.rank} of {placed.models}.",
    ]


def show(placed: Placement, page: Path) -> None:
    """Print the nearest models and the findings."""
    console = printing.console()
    console.print(printing.table(f"nearest to {placed.model}", placed.nearest.head(SHOWN), FORMATS))
    for text in sentences(placed):
        console.print(text, highlight=False)
    console.print(f"report: {page}", soft_wrap=True)
