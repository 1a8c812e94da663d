"""Fixtures for all tests. The package is imported first, so that a test file may import torchvision."""

import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

import sat_exp as package  # noqa: F401
from sat_exp.__main__ import main

from . import fashion_mnist as fashion
from .buckets import served
from .command import PUBLISHED, Outcome

os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")  # pytest's own processes use the cores


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The test runs on one thread, because the last bits of sums depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    """SAT of the paper's 69 models as published, [69, 69]."""
    if not PUBLISHED.is_file():
        pytest.skip(f"needs the published matrix at {PUBLISHED}")
    return pd.read_csv(PUBLISHED, index_col=0)


@pytest.fixture(scope="session")
def outputs(tmp_path_factory) -> Path:
    """One output folder for all tests, so that they share a store."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment in which clients find an S3 server on loopback with a bucket `study`."""
    with served() as environment:
        yield environment


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a bucket."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return f"s3://study/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def sat_exp(monkeypatch, capfd, tmp_path, outputs) -> Callable[..., Outcome]:
    """A function that runs the command line in this process, in a folder other than the checkout."""

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


@pytest.fixture
def fashion_mnist(tmp_path):
    """A folder with the four files: 1,500 of the bundled images to train on, 300 others to test on."""
    root = tmp_path / "fashion"
    root.mkdir()
    return fashion.write(root, 1500, 300)
