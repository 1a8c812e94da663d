"""The command line in this process, and the location of the published matrix."""

from dataclasses import dataclass
from pathlib import Path

QUICK = ("dataset=fashion_mnist", "attack=pgd", "dataset.size=40", "attack.steps=4", "hardware.threads=1")

PUBLISHED = Path(__file__).parents[2] / "shared" / "reference" / "sat_matrix_69.csv"
"""The published matrix, read where it lies next to the checkout."""


@dataclass(frozen=True)
class Outcome:
    """status: what the process would exit with. text: all it printed, on both streams."""

    status: int
    text: str
