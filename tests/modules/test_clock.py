"""The clock: activities one after the other add up to the whole, those of threads do not count in it."""

import time
from collections import Counter
from threading import Thread

import pandas as pd
import pytest
import torch

from sat_exp.measurement.tables import efficiency, time_table
from sat_exp.modules.clock import ALONE, Clock
from sat_exp.report.figures import time as figure


def test_what_no_activity_takes_is_other() -> None:
    clock = Clock(torch.device("cpu"))
    started = time.perf_counter()
    with clock.whole("a"):
        with clock.on_device("a", "attack"):
            time.sleep(0.05)
        with clock.here("b", "load"):
            time.sleep(0.02)
        time.sleep(0.03)
    whole = time.perf_counter() - started
    assert clock.seconds["a", "attack"] >= 0.05
    assert clock.seconds["b", "load"] >= 0.02
    assert clock.seconds["a", "other"] >= 0.03
    assert sum(clock.of((*ALONE, "other"))) == pytest.approx(whole, abs=0.01)


def test_threads_add_up_beside_the_whole() -> None:
    clock = Clock(torch.device("cpu"))

    def reading() -> None:
        with clock.here("a", "read"):
            time.sleep(0.1)

    with clock.whole("a"):
        threads = [Thread(target=reading) for _ in range(4)]
        for thread in threads:
            thread.start()
        with clock.on_device("a", "transfer"):
            for thread in threads:
                thread.join()
    assert clock.seconds["a", "read"] >= 0.4
    assert clock.seconds["a", "other"] < 0.1


def test_a_failure_counts_what_was_done() -> None:
    clock = Clock(torch.device("cpu"))
    with pytest.raises(ArithmeticError), clock.here("a", "load"):
        raise ArithmeticError
    assert clock.seconds["a", "load"] > 0


def test_table_and_efficiency() -> None:
    seconds = Counter({("a", "attack"): 6, ("b", "transfer"): 2, ("a", "load"): 1, ("b", "other"): 1, ("b", "read"): 9})
    table = time_table(seconds)
    assert table["model"].tolist() == ["a", "b"]
    assert table.set_index("model").loc["b", ["transfer", "other", "read", "attack"]].tolist() == [2, 1, 9, 0]
    assert efficiency(seconds) == figure.efficiency(table) == 0.8
    assert efficiency(Counter({("a", "load"): 3})) is None
    drawn = figure.draw(table)
    assert "80% of them" in drawn.caption
    pd.testing.assert_series_equal(drawn.data["model"], pd.Series(["a", "b"], name="model"))
