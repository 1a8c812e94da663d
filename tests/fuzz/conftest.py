"""The files that the cases name, and the table of all cases."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import cases, reported
from .harness import Case

TALLY = pytest.StashKey[dict[str, Counter[tuple[str, str]]]]()
TRIED, REFUSED = "tried", "refused"


def counts_of(config: pytest.Config) -> dict[str, Counter[tuple[str, str]]]:
    return config.stash.setdefault(TALLY, {TRIED: Counter(), REFUSED: Counter()})


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Callable[[Case, bool], None]:
    """Counts a case: whether it was refused as it should be."""
    counts = counts_of(pytestconfig)

    def count(case: Case, refused: bool) -> None:
        counts[TRIED][case.kind, case.group] += 1
        counts[REFUSED][case.kind, case.group] += refused

    return count


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for {given}."""
    folder = cases.given(tmp_path_factory.mktemp("given"))
    for _, path, text in reported.files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of cases, in Markdown."""
    counts = counts_of(terminalreporter.config)
    if counts[TRIED]:
        terminalreporter.section("wrong settings")
        for line in table(counts):
            terminalreporter.write_line(line)


def table(counts: dict[str, Counter[tuple[str, str]]]) -> Iterator[str]:
    """A row for each kind of wrongness, a column for each group; refused of tried."""
    kinds = list(dict.fromkeys(kind for kind, _ in counts[TRIED]))
    groups = sorted({group for _, group in counts[TRIED]})
    yield "| | " + " | ".join(groups) + " | all |"
    yield "|---|" + "---:|" * (len(groups) + 1)
    for kind in kinds:
        yield f"| {kind} | " + " | ".join(cells(counts, [kind], groups)) + " |"
    yield "| all | " + " | ".join(cells(counts, kinds, groups)) + " |"


def cells(counts: dict[str, Counter[tuple[str, str]]], kinds: list[str], groups: list[str]) -> Iterator[str]:
    for chosen in [*([group] for group in groups), groups]:
        pairs = [(kind, group) for kind in kinds for group in chosen]
        tried, refused = (sum(counts[what][pair] for pair in pairs) for what in (TRIED, REFUSED))
        yield "" if not tried else str(tried) if tried == refused else f"{refused} of {tried}"
