"""Work in other processes: in order, with the same numbers as here, and with its errors."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from sklearn import get_config

from sat_exp import cores as module
from sat_exp.cores import computed, forked, in_threads, prepare
from sat_exp.statistics.clustering import k_means


@pytest.fixture(params=["1", "2"])
def cores(monkeypatch, request) -> int:
    """The number of cores; with two, processes start after the first job."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", request.param)
    monkeypatch.setattr(module, "START", 0.01)
    monkeypatch.setattr(module, "_prepared", Event())
    return int(request.param)


def process() -> int:
    time.sleep(0.05)
    return os.getpid()


def slow() -> int:
    time.sleep(3)  # until the other process has started
    return os.getpid()


def test_other_processes_share_the_work_unless_there_is_one_core(cores):
    first, *others = computed("jobs", [process] * 5 + [slow])
    assert first == os.getpid()
    assert (len({*others}) == 2) == (cores == 2)
    assert os.getpid() in others


def test_short_work_starts_no_process(cores, monkeypatch):
    monkeypatch.setattr(module, "START", 3.0)
    assert {*computed("jobs", [process] * 5)} == {os.getpid()}


def test_prepared_processes_have_the_module_and_share_from_the_beginning(cores, monkeypatch):
    monkeypatch.setattr(module, "START", 100)
    prepare("wave")
    if cores == 2:
        assert module._prepared.wait(30)
    found = dict(computed("jobs", [loaded] * 20))
    assert len(found) == cores
    assert all(has for process, has in found.items() if process != os.getpid())


def loaded() -> tuple[int, bool]:
    time.sleep(0.05)
    return os.getpid(), "wave" in sys.modules


def test_results_have_the_order_of_the_jobs(cores):
    def waited(seconds):
        time.sleep(seconds)
        return seconds

    assert computed("jobs", [partial(waited, seconds) for seconds in (0.3, 0, 0.1)]) == [0.3, 0, 0.1]


def test_numbers_do_not_depend_on_the_process(cores):
    vectors = np.random.default_rng(0).normal(size=(40, 5))
    (found,) = computed("jobs", [partial(k_means, vectors, 5, 3, 20)])
    assert found.tolist() == k_means(vectors, 5, 3, 20).tolist()


def test_scikit_learn_checks_nothing_twice_and_its_settings_are_restored(cores):
    assert computed("jobs", [get_config])[0]["assume_finite"]
    assert not get_config()["assume_finite"]


def test_an_error_of_a_job_is_raised(cores):
    with pytest.raises(ZeroDivisionError):
        computed("jobs", [process] * 5 + [partial(divmod, 1, 0)] * 5)


@pytest.mark.parametrize("error", [IndexError, KeyError])
def test_an_error_of_a_job_ends_the_others(cores, error):
    def failing() -> None:
        time.sleep(0.01)
        raise error

    with pytest.raises(error):
        computed("jobs", [process, failing, *[process] * 100])


def test_threads_give_results_in_order(cores):
    assert list(in_threads(lambda seconds: time.sleep(seconds) or seconds, [0.2, 0, 0.1])) == [0.2, 0, 0.1]


def note(folder: Path, number: int) -> None:
    time.sleep(0.05)
    (folder / str(number)).write_text(str(os.getpid()))


def test_copies_of_the_process_share_work_whose_results_are_files(cores, tmp_path):
    forked("jobs", [partial(note, tmp_path, number) for number in range(8)])
    processes = {int(file.read_text()) for file in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 8
    assert len(processes) == (cores if sys.platform == "linux" else 1)
    assert os.getpid() in processes


def test_what_a_killed_copy_left_is_done_here(cores, tmp_path):
    here = os.getpid()

    def deadly(number: int) -> None:
        time.sleep(0.05)
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        note(tmp_path, number)

    forked("jobs", [partial(deadly, number) for number in range(6)])
    assert {file.read_text() for file in tmp_path.iterdir()} == {str(here)}
    assert len(list(tmp_path.iterdir())) == 6


def test_an_error_in_a_copy_is_raised_here(cores, tmp_path):
    with pytest.raises(ZeroDivisionError):
        forked("jobs", [partial(note, tmp_path, 0), partial(divmod, 1, 0), partial(note, tmp_path, 2)])


def test_no_work_is_no_error(cores):
    forked("jobs", [])
