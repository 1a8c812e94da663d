"""Which of a run's files are mirrored, and in what state."""

import multiprocessing

import pytest

from sat_exp import runs, tracking
from sat_exp.tracking import Tracking

from .recording import pointer, record, warnings_of


def test_a_damaged_file_is_not_mirrored(tmp_path, caplog, fill, read_log):
    fill(tmp_path)
    (tmp_path / "figures/matrix.csv").write_text("model,resnet\nresnet,3.5\nmixer,\n")
    with record(tmp_path) as run:
        run.log_results(runs.Run.open(tmp_path))
    (warning,) = warnings_of(caplog)
    assert "figures/matrix.csv is damaged" in warning.getMessage()
    found = read_log(run.folder)
    assert "matrix-quickstart" not in found.artifacts
    assert found.media("tables/pairs").is_file()


def test_processes_with_one_pointer_leave_it_whole(tmp_path, monkeypatch):
    """Every process writes it at its beginning and at its end; a reader never sees a part of it."""
    monkeypatch.setattr(tracking.owner.logger, "warning", pytest.fail)
    context = multiprocessing.get_context("fork")

    def turns(own: int) -> None:
        for turn in range(40):
            with record(tmp_path, Tracking("disabled"), name=f"{own}-{turn}" * 500):
                assert pointer(tmp_path)["state"] in ("running", "finished")

    started = [context.Process(target=turns, args=(own,)) for own in range(3)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0, 0]
    assert pointer(tmp_path)["state"] == "finished"
    assert [path.name for path in tmp_path.iterdir()] == ["tracking.json"]


def test_what_is_mirrored_is_what_the_run_wrote(tmp_path, fill, read_log):
    """Another process may write the folder again before W&B has all of it."""
    fill(tmp_path, name="mine")
    mine = runs.Run.open(tmp_path).held()
    written = {name: mine.content(name) for name in mine.files}
    fill(tmp_path, name="another's", warnings=[])
    with record(tmp_path) as run:
        run.log_results(mine)
    found = read_log(run.folder)
    assert found.summary["warnings"] == 1
    files = found.artifacts["matrix-mine"].files
    assert files["summary.json"].read_bytes() == written["summary.json"] != (tmp_path / "summary.json").read_bytes()
    assert all(staged.read_bytes() == written[name] for name, staged in files.items())
