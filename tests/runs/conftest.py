"""A small finished run in a folder."""

from pathlib import Path

import numpy as np
import pytest

from sat_exp import runs

from ..schemas import table_of

MODELS = ["a", "b", "c"]
IMAGES = 20


def predicted(seed: int) -> runs.Predictions:
    rng = np.random.default_rng(seed)
    clean = {name: rng.integers(0, 10, IMAGES).astype(np.int32) for name in MODELS}
    ways = [(source, target) for source in MODELS for target in MODELS]
    adversarial = {way: rng.integers(-1, 10, IMAGES).astype(np.int32) for way in ways}
    return runs.Predictions(
        MODELS, rng.integers(0, 10, IMAGES), clean, adversarial, {way: clean[way[1]] for way in ways}
    )


def write(folder: Path, number: int = 1) -> None:
    """A run with a file of every kind; every file holds `number`."""
    tables = {"models": table_of("models", images=number), "pairs": table_of("pairs", images=number)}
    pictures = {f"examples/{index}/clean.png": np.full((1, 4, 4), number % 256, np.uint8) for index in range(2)}
    with runs.drafted(folder) as place:
        runs.fill(place, {"number": number}, tables, pictures, predicted(number))
        (place / "figures").mkdir()
        (place / "figures/drawn.csv").write_text(f"number\n{number}\n")
        (place / "report.html").write_text(str(number))


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path / "run")
    return tmp_path / "run"
