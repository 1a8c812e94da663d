"""A run's folder has the results of exactly one writing, or is recognised as incomplete, whatever its writers do."""

import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_exp import runs
from sat_exp.errors import UserError
from sat_exp.runs import manifest, writing

from .conftest import write

ROUNDS = 30
FORK = multiprocessing.get_context("fork")


def said(run: runs.Run) -> set[int]:
    """What its files say, each read on its own."""
    tables = {int(value) for table in run.tables().values() for value in table["images"]}
    files = {int(run.content("report.html")), int(run.content("figures/drawn.csv").split()[1])}
    known = run.predictions()
    assert known is not None
    first = np.random.default_rng(run.summary["number"]).integers(0, 10, len(known.clean["a"]))
    assert (known.clean["a"] == first).all()
    return tables | files | {run.summary["number"]}


def take_turns(folder: Path, own: int, failures) -> None:
    """Write and read a folder in a loop, and send what went wrong."""
    for turn in range(ROUNDS):
        try:
            write(folder, own + turn)
            run = runs.Run.open(folder)
            one = {run.summary["number"]} | {int(value) for table in run.tables().values() for value in table["images"]}
            if len(one) > 1:
                failures.put(f"a mix of {one}")
        except Exception as error:
            failures.put(repr(error))
    failures.put(None)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_that_write_and_read_one_folder_all_end_well(tmp_path, processes):
    failures = FORK.Queue()
    started = [FORK.Process(target=take_turns, args=(tmp_path, 1000 * own, failures)) for own in range(processes)]
    for process in started:
        process.start()
    told = []
    while told.count(None) < processes:
        told.append(failures.get(timeout=120))
    for process in started:
        process.join()
    assert [failure for failure in told if failure] == []
    (number,) = said(runs.Run.open(tmp_path))
    assert number % 1000 == ROUNDS - 1, "what is there is not what the last to finish wrote"
    assert not list(tmp_path.glob(".writing-*"))


def test_a_draft_that_ends_while_another_writer_looks_at_it_is_no_error(tmp_path):
    """A lock whose folder is removed at that moment raises FileExistsError, and so does a file where a draft may be."""
    (tmp_path / ".writing-x").write_text("")
    assert not writing.dead(tmp_path / ".writing-x")
    write(tmp_path, 1)
    assert said(runs.Run.open(tmp_path)) == {1}


def test_a_writer_killed_at_any_moment_leaves_one_writing_or_none(tmp_path):
    """Killed by time, from the first file to the last rename; the next writing mends what is left."""
    chance, seen = random.Random(0), {"whole": 0, "unfinished": 0}
    started = time.perf_counter()
    write(tmp_path, 0)
    length = time.perf_counter() - started
    for number in range(1, 26):
        writer = FORK.Process(target=write, args=(tmp_path, number))
        writer.start()
        time.sleep(chance.uniform(0, 1.5 * length))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        if (tmp_path / "manifest.json").exists():
            (whole,) = said(runs.Run.open(tmp_path))
            assert whole in (number, 100 + number - 1, 0)
            seen["whole"] += 1
        else:
            with pytest.raises(UserError, match="is unfinished"):
                runs.Run.open(tmp_path)
            seen["unfinished"] += 1
        write(tmp_path, 100 + number)
        assert said(runs.Run.open(tmp_path)) == {100 + number}
        assert not list(tmp_path.glob(".writing-*")), "what a dead writer left is not removed"
    assert seen["whole"]


@pytest.mark.parametrize("survived", range(14))
def test_a_writer_killed_between_two_renames_leaves_one_writing_or_none(folder, survived, monkeypatch):
    """Killed before each of the 14 renames that publish: seven take away what is there, seven bring what is new."""

    def dying() -> None:
        left = [survived]
        rename = Path.rename

        def counted(path, target):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return rename(path, target)

        Path.rename = counted  # type: ignore[method-assign]
        write(folder, 2)

    writer = FORK.Process(target=dying)
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    monkeypatch.setattr(manifest, "PATIENCE", 0.05)
    if survived == 0:
        assert said(runs.Run.open(folder)) == {1}
    else:
        with pytest.raises(UserError, match="is unfinished"):
            runs.Run.open(folder)
    write(folder, 3)
    assert said(runs.Run.open(folder)) == {3}
    assert not list(folder.glob(".writing-*"))


def test_a_living_writers_draft_is_left_alone(tmp_path):
    with runs.drafted(tmp_path) as slow:
        runs.fill(slow, {"number": 1}, {})
        write(tmp_path, 2)
        assert runs.Run.open(tmp_path).summary["number"] == 2
        assert (slow / "summary.json").is_file()
    assert runs.Run.open(tmp_path).summary["number"] == 1, "the last to finish does not report"
    assert runs.Run.open(tmp_path).files == ["summary.json"], "files of the writing before are left"


def test_a_body_that_fails_leaves_the_earlier_results(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def fail() -> None:
        with runs.drafted(folder) as place:
            runs.fill(place, {"number": 2}, {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_other_files_of_the_folder_are_left_alone(folder):
    for name in (".hydra/config.yaml", "sat_exp.log", "tracking.json", "wandb/run/files"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "tables/stale.csv").write_text("old")
    write(folder, 2)
    for name in (".hydra/config.yaml", "sat_exp.log", "tracking.json", "wandb/run/files"):
        assert (folder / name).read_text() == name
    assert not (folder / "tables/stale.csv").exists()


@pytest.mark.parametrize("name", ["manifest.json", "summary.json", "tables", "predictions.npz", "report.html"])
def test_what_stands_in_the_place_of_a_result_gives_way(folder, name):
    """A folder where a file belongs, a file where a folder does, a link that leads nowhere."""
    place = folder / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    if name == "tables":
        place.write_text("no folder")
    elif name == "report.html":
        place.symlink_to("nowhere")
    else:
        (place / "inner").mkdir(parents=True)
    write(folder, 2)
    assert said(runs.Run.open(folder)) == {2}


def test_a_full_disk_is_one_line_and_the_earlier_results_stay(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(UserError, match="No space left on device; free some space and run it again"):
        write(folder, 2)
    assert said(runs.Run.open(folder)) == {1}
    assert not list(folder.glob(".writing-*"))


def test_results_are_not_replaced_by_what_was_made_of_older_ones(folder):
    old = runs.Run.open(folder)

    def copy_slowly() -> None:
        with runs.drafted(folder, replacing=old) as place:
            old.copy(old.files, place)
            write(folder, 2)

    with pytest.raises(UserError, match="was written again meanwhile"):
        copy_slowly()
    assert said(runs.Run.open(folder)) == {2}


def test_a_held_lock_is_not_waited_for_without_end(folder, monkeypatch):
    monkeypatch.setattr(writing, "LONGEST_WAIT", 0.05)
    held = FORK.Event()
    ended = FORK.Event()

    def hold() -> None:
        with writing.locked(folder):
            held.set()
            ended.wait(60)

    holder = FORK.Process(target=hold)
    holder.start()
    held.wait(60)
    with pytest.raises(UserError, match=r"another process holds .*\.writing\.lock"):
        write(folder, 2)
    ended.set()
    holder.join()


def test_the_same_results_have_the_same_manifest(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name, 5)
    one, two = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "two"))
    assert one == two
    stated = json.loads(one)["files"]
    assert stated["report.html"]["bytes"] == 1
    assert "manifest.json" not in stated
