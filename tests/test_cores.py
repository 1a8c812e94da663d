"""Work in other processes: in order, with the same numbers as here, and with its errors."""

import os
import time

import numpy as np
import pytest
from sklearn import get_config

from sat_exp.cores import computed, delayed
from sat_exp.statistics.clustering import k_means


@pytest.fixture(params=["1", "2"])
def cores(monkeypatch, request) -> int:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", request.param)
    return int(request.param)


def test_jobs_run_in_other_processes_unless_there_is_one_core(cores):
    found = {
        process
        for process, _ in computed("jobs", (delayed(lambda: (os.getpid(), time.sleep(0.2)))() for _ in range(4)), 4)
    }
    assert (found == {os.getpid()}) == (cores == 1)
    assert len(found) <= cores


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
