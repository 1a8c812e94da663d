"""Pages of runs in the Chromium of the system. Every message on the console fails the test that caused it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sat_exp import runs
from sat_exp.report import draw

from ..report.made_run import models_table, pairs_table, summary, write_examples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAMES = {
    f"{place}_{name}_{variant}": name
    for place, name in enumerate(["resnet", "convnext", "mixer", "visformer"])
    for variant in ("adamw", "sgd_seed1", "distilled")
}
LABELLED = {"conv_a": "ConvNet", "<b>x</b>": "ConvNet", "conv_b": "ConvNet", "mix_b": "mixer"} | NAMES
"""The families of models: two with examples, two whose pair is missing, and further ones with long names."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium is installed"))


@dataclass
class Browser:
    """Opens files, in one tab for each width and colour; `said` collects console messages and errors of all tabs."""

    chromium: Any
    said: list[str] = field(default_factory=list)
    tabs: dict[tuple[int, bool], Any] = field(default_factory=dict)

    def open(self, file: Path, fragment: str = "", width: int = 1400, dark: bool = False) -> Any:
        if (width, dark) not in self.tabs:
            self.tabs[width, dark] = self.tab(width, dark)
        page = self.tabs[width, dark]
        page.goto("about:blank")  # another fragment alone would not load the file again
        page.mouse.move(0, 0)
        page.goto(file.as_uri() + fragment)
        page.locator("main:not([aria-busy])").wait_for()
        return page

    def tab(self, width: int, dark: bool) -> Any:
        settings = {"viewport": {"width": width, "height": 900}, "color_scheme": "dark" if dark else "light"}
        page = self.chromium.new_context(**settings, reduced_motion="reduce", offline=True).new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        return page


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield Browser(launched)
        launched.close()


@pytest.fixture
def browser(chromium) -> Iterator[Browser]:
    chromium.said.clear()
    yield chromium
    assert not chromium.said


def write(place: Path, names: dict[str, str]) -> Path:
    """A run with a plane, components and examples."""
    rng = np.random.default_rng(5)
    with runs.drafted(place) as draft:
        shown = write_examples(draft, 1, 32, 16)
        seen = [(row.model, target, row.image, 0) for row in shown.itertuples() for target in names]
        family = {name: place for place, name in enumerate(dict.fromkeys(names.values()))}
        plane = [
            {"model": name, "method": method, "x": family[kind] % 2 + rng.normal(0, 0.02), "y": rng.normal(0, 0.05)}
            for method in ("mds", "tsne")
            for name, kind in names.items()
        ]
        tables = {
            "models": models_table(names),
            "pairs": pairs_table(names),
            "examples": shown,
            "example_predictions": pd.DataFrame(seen, columns=["source", "target", "image", "prediction"]),
            "components": pd.DataFrame({"model": list(names), "stem": "conv", "activation": list(names.values())}),
            "embedding": pd.DataFrame(plane),
        }
        runs.fill(draft, summary(), tables)
    return place


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    place = write(tmp_path_factory.mktemp("page") / "run", LABELLED)
    draw(place)
    return place


@pytest.fixture(scope="session")
def report(folder, tmp_path_factory) -> Path:
    """The page alone, as it is sent to somebody."""
    return Path(shutil.copy(folder / "report.html", tmp_path_factory.mktemp("sent") / "report.html"))
