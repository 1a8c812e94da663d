"""Processes that end while they read, and processes that find the same damage at the same time."""

import subprocess
import sys

import numpy as np
import pytest

from sat_exp.store import Store

from .helpers import file_of, files, fill, flip, open_array, quarantined
from .worker import CHUNKS_OF_RACE, Worker

ENDINGS = {
    "sys.exit": "raise SystemExit(0)",
    "exception": "raise ValueError('in the main thread')",
    "os._exit": "os._exit(0)",
    "daemon": "threading.Thread(target=lambda: list(reading), daemon=True).start(); time.sleep(0.02)",
    "thread": "threading.Thread(target=lambda: list(reading)).start(); raise SystemExit(0)",
    "interrupt": "os.kill(os.getpid(), signal.SIGINT); time.sleep(1)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)",
    "unread": "",
}
PREFETCHING = """
import os, signal, sys, threading, time
from pathlib import Path
import torch
from sat_exp.modules.clock import Clock
from sat_exp.modules.prediction import EvaluationBatches
from sat_exp.modules.streaming import Ahead
from sat_exp.store import Store
from sat_exp.store.folder import Folder

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
store = Store.at(Path(sys.argv[1]))
shape, read = dict(shape=(200, 3, 5, 5), dtype="uint8", chunk=2, name="some"), Folder.read
images = store.open("adversarial", {"images": "ab"}, **shape)
output = store.table("predictions", {}, columns=200, dtype="int32").row({"target": "vit"}, "vit")
Folder.read = lambda self, name: (time.sleep(0.002), read(self, name))[1]

def end(ending):
    work = EvaluationBatches([(images, {"vit": output})], 2)
    reading = iter(Ahead(work, Clock(torch.device("cpu")), "vit", 1, pinned=False))
    for _ in range(3):
        next(reading)
    exec(ending, globals() | locals())

for ending in sys.argv[2:]:
    if (process := os.fork()) == 0:
        break
    os.waitpid(process, 0)
else:
    ending = None
if ending is not None:
    end(ending)
"""


def test_a_process_that_ends_while_it_prefetches_loses_no_chunk(store: Store) -> None:
    """At the end of an interpreter no thread can be started and no work be submitted, whatever is stored."""
    values = np.random.default_rng(0).integers(0, 256, (200, 3, 5, 5), np.uint8)
    array = store.open("adversarial", {"images": "ab"}, shape=values.shape, dtype="uint8", chunk=2, name="some")
    for chunk in array.missing():
        array.write(chunk, values[array.span(chunk)])
    store.table("predictions", {}, columns=200, dtype="int32")
    before = files(store)
    command = [sys.executable, "-c", PREFETCHING, str(store.backend.root), *ENDINGS.values()]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "in the main thread" in ended.stderr
    assert "KeyboardInterrupt" in ended.stderr
    assert "amaged" not in ended.stderr
    assert files(store) == before
    np.testing.assert_array_equal(array.read_all(), values)


@pytest.mark.parametrize("sealed", [False, True])
def test_processes_that_find_the_same_damage_move_only_that(store: Store, sealed: bool) -> None:
    """Each writes again what it found damaged, so that another may already find it mended."""
    workers = [Worker() for _ in range(3)]
    array = open_array(store, rows=4 * CHUNKS_OF_RACE)
    values = fill(array)
    digest = array.digest if sealed else None
    good = {chunk: file_of(array, chunk).read_bytes() for chunk in range(array.chunks)}
    damaged = []
    for turn in range(8):
        for chunk in range(array.chunks):
            if (chunk + turn) % 2:
                flip(file_of(array, chunk), turn + 1)
                damaged.append(file_of(array, chunk).read_bytes())
        for worker in workers:
            worker.ask(store.backend.root, "mend", array.rows)
        read = [worker.answer() for worker in workers]
        assert [status for status, _ in read] == ["ok"] * len(workers)
        assert all(np.array_equal(found, values) for _, found in read)
        assert {chunk: file_of(array, chunk).read_bytes() for chunk in good} == good
        assert sorted(quarantined(store).values()) == sorted(damaged)
    for worker in workers:
        worker.stop()
    if sealed:
        assert open_array(Store.at(store.backend.root), rows=array.rows).digest == digest
    assert not list(store.backend.root.rglob("*.partial"))
