"""Operations on a small store, in this process or in another one that may be killed during an operation.

The other process runs this file by runpy, with `connection` among its globals.
"""

import multiprocessing
import os
import runpy
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from sat_exp.store import Damaged, Store, StoredArray, StoredRow, inventory
from sat_exp.store.store import LOCKS

ARRAYS: dict[str, tuple[tuple[int, ...], str, int]] = {"images": ((10, 3), "uint8", 4), "logits": ((6,), "float32", 2)}
"""Kinds, each of one array: shape, dtype, rows of a chunk."""

TABLE, COLUMNS, TARGETS = "predictions", 5, 3
CHUNKS_OF_RACE = 12
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename": 1, "os.link": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}
"""Audit events that change a folder, and which of their arguments is the path that changes."""


def array(store: Store, kind: str, chunk: int | None = None) -> StoredArray:
    shape, dtype, own = ARRAYS[kind]
    return store.open(kind, {"of": kind}, shape=shape, dtype=dtype, chunk=chunk or own, name=kind)


def row(store: Store, target: int) -> StoredRow:
    table = store.table(TABLE, {"of": "vit"}, columns=COLUMNS, dtype="int32", name="vit")
    return table.row({"target": target}, f"target {target}")


def values_of(kind: str) -> np.ndarray:
    shape, dtype, _ = ARRAYS[kind]
    return np.random.default_rng(len(kind)).integers(1, 99, shape).astype(dtype)


def row_of(target: int) -> np.ndarray:
    return np.arange(COLUMNS, dtype=np.int32) + 100 * target


def write(store: Store, kind: str, chunk: int) -> None:
    found = array(store, kind)
    found.write(chunk, values_of(kind)[found.span(chunk)])


def mend(store: Store, rows: int) -> np.ndarray:
    """Read an array, and write again what is damaged or missing, until all of it could be read."""
    shape = (rows, 3, 5, 5)
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    facts = {"images": "ab", "numbers": {"epsilon": 8, "step_size": 1.5}}
    found = store.open("adversarial", facts, shape=shape, dtype="uint8", chunk=4)
    while True:
        for chunk in found.missing():
            found.write(chunk, values[found.span(chunk)])
        with suppress(Damaged):
            return found.read_all()


def check(store: Store) -> list[str]:
    return [
        line for path in sorted({item.path for item in inventory.items(store)}) for line in inventory.check(store, path)
    ]


def prune(store: Store, pattern: str) -> int:
    return inventory.remove(store, pattern)[1]


OPERATIONS: dict[str, Any] = {
    "open": lambda store, kind, chunk: array(store, kind, chunk).chunk,
    "missing": lambda store, kind: array(store, kind).missing(),
    "mend": mend,
    "write": write,
    "read": lambda store, kind, chunk: array(store, kind).read(chunk),
    "gather": lambda store, kind, rows: array(store, kind).gather(rows),
    "digest": lambda store, kind: array(store, kind).digest,
    "note": lambda store, kind, number: array(store, kind).note(number=number),
    "row missing": lambda store, target: row(store, target).missing(),
    "write row": lambda store, target: row(store, target).write(0, row_of(target)),
    "read row": lambda store, target: row(store, target).read_all(),
    "listed": lambda store: len(row(store, 0).table.listed()),
    "items": inventory.items,
    "check": check,
    "prune": prune,
}


def perform(store: Store, operation: str, *arguments: Any) -> tuple[str, Any]:
    """("ok", what the operation gives), or ("damaged", why)."""
    try:
        return "ok", OPERATIONS[operation](store, *arguments)
    except Damaged as damage:
        return "damaged", damage.reason


class Bomb:
    """Kills this process before event number `at` of those that change files below `folder`.

    Events of locks are not counted: how many there are depends on what the process locked before.
    """

    def __init__(self) -> None:
        self.folder, self.left = "", -1
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.left < 0 or (event != "open" and event not in CHANGES):
            return
        path = arguments[CHANGES.get(event, 0)]
        if isinstance(path, int) or not os.fsdecode(path).startswith(self.folder):
            return
        if f"/{LOCKS}" in os.fsdecode(path):
            return
        if event == "open" and not arguments[2] & WRITING:
            return
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def serve(connection: Connection) -> None:
    """Do what is asked, until nothing is."""
    bomb, stores = Bomb(), {}
    with suppress(EOFError):
        while True:
            folder, at, operation, arguments = connection.recv()
            store = stores.setdefault(folder, Store.at(folder))
            bomb.folder, bomb.left = str(folder), -1 if at is None else at
            answer = perform(store, operation, *arguments)
            bomb.left = -1
            connection.send(answer)


class Worker:
    """Another process."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["sat_exp.store.inventory", "runpy"])
        self.start()

    def start(self) -> None:
        self.connection, other = self.context.Pipe()
        globals_ = {"connection": other}
        self.process = self.context.Process(
            target=runpy.run_path, args=(__file__, globals_, "worker"), daemon=True
        )  # fmt: skip
        self.process.start()
        other.close()

    def perform(self, folder: Path, operation: str, *arguments: Any, at: int | None = None) -> tuple[str, Any]:
        """As the function; ("killed", None) where the process died before event `at`, and another one is there now."""
        self.ask(folder, operation, *arguments, at=at)
        return self.answer()

    def ask(self, folder: Path, operation: str, *arguments: Any, at: int | None = None) -> None:
        self.connection.send((folder, at, operation, arguments))

    def answer(self) -> tuple[str, Any]:
        try:
            return self.connection.recv()
        except EOFError:
            self.process.join()
            assert self.process.exitcode == -signal.SIGKILL
            self.start()
            return "killed", None

    def stop(self) -> None:
        self.connection.close()
        self.process.join(20)


if __name__ == "worker":
    serve(globals()["connection"])
