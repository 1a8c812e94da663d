"""The benchmarks run, at the smallest size: that they print tables is checked, not their figures."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py"))

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a script in this process, as `python benchmarks/SCRIPT` does, and return what it prints."""

    def run(script: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        monkeypatch.syspath_prepend(BENCHMARKS)
        monkeypatch.setenv("COLUMNS", "150")
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_states_its_options(script, run, capsys):
    with pytest.raises(SystemExit) as end:
        run(script, "--help")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {script}")


def test_a_step_is_compared_with_the_peers(run):
    pytest.importorskip("torchattacks")
    sizes = ("--models", "test_resnet", "--batch", "1", "--steps", "1", "--rounds", "1")
    printed = run("peers.py", "--parts", "step", *sizes)
    assert "torchattacks, frozen" in printed
    assert "attack step, BN CNNs" in printed
    assert "evaluation" in printed


@pytest.mark.slow
def test_both_do_the_same_study():
    """Without a random start the script with torchattacks and sat_exp find the same rates."""
    pytest.importorskip("torchattacks")
    sizes = ("--networks", "2", "--small-images", "16", "--small-steps", "2", "--turns", "1")
    command = [sys.executable, str(BENCHMARKS / "peers.py"), "--parts", "small", *sizes]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rates = {way: line for way, _, line in (line.partition(": ") for line in printed.splitlines())}
    assert rates["torchattacks"] == rates["sat_exp"] == rates["Measurement"]
    assert "white box" in rates["sat_exp"]


@pytest.mark.slow
@pytest.mark.parametrize("series", ["steps", "pixels", "scored_models"])
def test_growth_is_compared_with_the_law(series):
    command = [sys.executable, str(BENCHMARKS / "growth.py"), "--series", series, "--scale", "0.02", "--repeats", "1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "exponent" in printed
    assert "of the law" in printed


def test_the_law_of_growth():
    """Ten times the images take ten times as long; twice the models more than twice as long."""
    growth = runpy.run_path(str(BENCHMARKS / "growth.py"))
    costs = {"step": [1.0] * 12, "forward": [1.0] * 12}
    for name, least, most in (("images", 1.0, 1.0), ("models", 1.3, 1.7), ("steps", 0.5, 1.0), ("pixels", 1.0, 1.0)):
        points = growth["series"](1)[name]
        times = growth["law"](points, [costs] * len(points))["seconds"]
        assert least - 1e-9 <= growth["exponent"](growth["varied"](name, points), times) <= most + 1e-9


def test_measures_are_compared_with_computing_each_pair_anew_and_with_libraries(run):
    sizes = ("--models", "4", "--images", "40", "--features", "8", "--pixels", "8")
    printed = run("measures.py", *sizes, "--measures", "cka", "sat")
    assert "all pairs of 4 models" in printed
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]
    assert [(row[0], bool(row[4]), row[-1]) for row in rows] == [("cka", True, "1.0"), ("sat", False, "1.0")]


def test_parts_that_do_not_fit_are_counted_once_per_block():
    """Eight models in blocks of four: eight preparations, and four for the last block."""
    benchmark = runpy.run_path(str(BENCHMARKS / "measures.py"))
    assert benchmark["preparations"](8, benchmark["HELD"] // 4) == 12
