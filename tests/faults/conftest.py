"""The undisturbed runs with which trials are compared, and the table of all trials."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .. import fashion_mnist
from .harness import DISTILL, MATRIX, PAIR, Undisturbed, undisturbed

TALLY = pytest.StashKey[Counter[tuple[str, str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash.setdefault(TALLY, Counter())


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Callable[[str, str, str], None]:
    """Counts a trial: the fault, where it struck, what came of it."""
    counts = pytestconfig.stash.setdefault(TALLY, Counter())

    def count(fault: str, place: str, outcome: str) -> None:
        counts[fault, place, outcome] += 1

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of trials, in Markdown."""
    counts = terminalreporter.config.stash.get(TALLY, Counter())
    if not counts:
        return
    terminalreporter.section("faults")
    for line in table(counts):
        terminalreporter.write_line(line)


def table(counts: Counter[tuple[str, str, str]]) -> Iterator[str]:
    yield "| fault | where | outcome | times |"
    yield "|---|---|---|---:|"
    for (fault, place, outcome), times in counts.items():
        yield f"| {fault} | {place} | {outcome} | {times} |"


@pytest.fixture(scope="session")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Fashion-MNIST's four files: 300 of the bundled images to train on, 100 others to test on."""
    return fashion_mnist.write(tmp_path_factory.mktemp("fashion"), 300, 100)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The matrix of two models."""
    return undisturbed(tmp_path_factory.mktemp("pair") / "trial", PAIR)


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The matrix of three models."""
    return undisturbed(tmp_path_factory.mktemp("matrix") / "trial", MATRIX)


@pytest.fixture(scope="session")
def distillation(tmp_path_factory: pytest.TempPathFactory, fashion: Path) -> Undisturbed:
    """A student alone and from two teachers, with what similarity says of it."""
    arguments = (*DISTILL, f"dataset.root={fashion}")
    return undisturbed(tmp_path_factory.mktemp("distillation") / "trial", arguments)
