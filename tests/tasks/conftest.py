import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sat_exp.__main__ import main

QUICK = ("dataset=fashion_mnist", "attack=pgd", "dataset.size=40", "attack.steps=4", "hardware.threads=1")


@dataclass(frozen=True)
class Outcome:
    """status: what the process would exit with. text: all it printed, on both streams."""

    status: int
    text: str


@pytest.fixture(scope="session")
def outputs(tmp_path_factory) -> Path:
    """One output folder, hence one store, for all tests."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture
def sat_exp(monkeypatch, capfd, tmp_path, outputs) -> Callable[..., Outcome]:
    """Runs the command line in this process, from another folder than the checkout's."""

    def run(*arguments: str) -> Outcome:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["sat_exp", *arguments, f"output_dir={outputs}", "tracking=disabled"])
        capfd.readouterr()
        try:
            main()
            status, message = 0, ""
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            message = end.code if isinstance(end.code, str) else ""
        finally:
            logging.getLogger().handlers.clear()  # Hydra's write to streams that end with the test
        streams = capfd.readouterr()
        return Outcome(status, streams.out + streams.err + message)

    return run
