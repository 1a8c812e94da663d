"""Work in other processes: in order, with the same numbers as here, and with its errors."""

import os
import time
from threading import Event

import numpy as np
import pytest
from sklearn import get_config

from sat_exp import cores as module
from sat_exp.cores import computed, delayed, prepare
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


def test_jobs_run_in_other_processes_unless_there_is_one_core(cores):
    first, *others = computed("jobs", [delayed(process)() for _ in range(5)], 5)
    assert first == os.getpid()
    assert (os.getpid() in others) == (cores == 1)


def test_short_work_starts_no_process(cores, monkeypatch):
    monkeypatch.setattr(module, "START", 3.0)
    assert {*computed("jobs", [delayed(process)() for _ in range(5)], 5)} == {os.getpid()}


def test_prepared_processes_do_all_jobs(cores):
    prepare("json")
    found = {*computed("jobs", [delayed(process)() for _ in range(5)], 5)}
    assert (os.getpid() in found) == (cores == 1)


def test_results_have_the_order_of_the_jobs(cores):
    def waited(seconds):
        time.sleep(seconds)
        return seconds

    assert computed("jobs", (delayed(waited)(seconds) for seconds in (0.3, 0, 0.1)), 3) == [0.3, 0, 0.1]


def test_numbers_do_not_depend_on_the_process(cores):
    vectors = np.random.default_rng(0).normal(size=(40, 5))
    (found,) = computed("jobs", [delayed(k_means)(vectors, 5, 3, 20)], 1)
    assert found.tolist() == k_means(vectors, 5, 3, 20).tolist()


def test_scikit_learn_checks_nothing_twice_and_its_settings_are_restored(cores):
    assert computed("jobs", [delayed(get_config)()], 1)[0]["assume_finite"]
    assert not get_config()["assume_finite"]


def test_an_error_of_a_job_is_raised(cores):
    with pytest.raises(ZeroDivisionError):
        computed("jobs", [delayed(divmod)(1, 0)], 1)
