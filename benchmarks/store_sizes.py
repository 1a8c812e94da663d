"""Measure the store with very many artefacts, and with one row of predictions for every pair of a pool.

    python benchmarks/store_sizes.py [--artefacts 100000] [--models 69] [--rows 5000]

First: the predictions of all pairs are written and read, in one table per source, and compared with an array of zarr
and a .npy file per pair. Second: `--artefacts` small arrays and as many locks are listed and pruned, in a process that
may open 64 files, and compared with os.walk and shutil.rmtree on the same files. Files are read from the page cache.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from rich.console import Console
from rich.table import Table
from zarr.codecs import Crc32cCodec

from sat_exp.store import Store, inventory, key_of
from sat_exp.store.encoding import encode, sign, zarr_metadata

DESCRIPTORS = 64
NPY = "a .npy file per pair"


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def populate(folder: Path, artefacts: int) -> None:
    """Write arrays of ten values in one chunk, each with its notes and a lock."""
    chunk = encode(np.arange(10, dtype=np.uint8))
    (folder / "locks").mkdir(parents=True)
    for number in range(artefacts):
        facts = {"number": number, "shape": [10], "dtype": "uint8"}
        key = key_of(facts)
        place = folder / "logits" / key
        place.mkdir(parents=True)
        (place / "zarr.json").write_bytes(sign(zarr_metadata(facts, (10,), "uint8", 10)))
        (place / "notes.json").write_bytes(sign({"attributes": {"notes": {"name": f"model {number}"}}}))
        (place / "0").write_bytes(chunk)
        (folder / "locks" / f"{key}.lock").touch()


def measured(work: Callable[[Path], Any], folder: Path) -> tuple[float, float]:
    """The seconds that the work takes in a new process, and the growth of its memory in MB."""
    context = multiprocessing.get_context("fork")
    ours, other = context.Pipe()
    process = context.Process(target=measure, args=(work, folder, other))
    process.start()
    other.close()
    result = ours.recv()
    process.join()
    return result


def measure(work: Callable[[Path], Any], folder: Path, connection: Any) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = timed(lambda: work(folder))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    connection.send((seconds, grown))


def walk(folder: Path) -> None:
    for path, _, files in os.walk(folder):
        for name in files:
            os.stat(f"{path}/{name}")  # noqa: PTH116


def many(artefacts: int, console: Console) -> None:
    root = Path(tempfile.mkdtemp(prefix="store-"))
    try:
        for name in ("pruned", "removed"):
            populate(root / name, artefacts)
        walking, listing = measured(walk, root / "pruned"), measured(listed, root / "pruned")
        pruning, removing = measured(pruned, root / "pruned"), measured(shutil.rmtree, root / "removed")
    finally:
        shutil.rmtree(root)
    title = f"{artefacts:,} arrays of three files each, and as many locks; at most {DESCRIPTORS} open files"
    table = Table("work", title=title, title_justify="left")
    for heading in ("seconds", "µs per array", "memory, MB", "ratio"):
        table.add_column(heading, justify="right")
    for name, (seconds, memory), (basis, _) in (
        ("os.walk and os.stat", walking, walking), ("the store lists", listing, walking),
        ("shutil.rmtree", removing, removing), ("the store prunes", pruning, removing),
    ):  # fmt: skip
        each = 1e6 * seconds / artefacts
        table.add_row(name, f"{seconds:.1f}", f"{each:.0f}", f"{memory:.0f}", f"{seconds / basis:.2f}")
    console.print(table)


def listed(folder: Path) -> None:
    inventory.items(Store.at(folder))


def pruned(folder: Path) -> None:
    inventory.remove(Store.at(folder), "logits")


class Rows:
    """The project's tables: one per source, with one row per target."""

    def __init__(self, folder: Path, columns: int) -> None:
        self.store, self.columns = Store.at(folder), columns

    def row(self, source: int, target: int) -> Any:
        table = self.store.table("predictions", {"source": source}, columns=self.columns, dtype="int32")
        return table.row({"target": target}, f"model {target}")

    def write(self, source: int, target: int, values: np.ndarray) -> None:
        self.row(source, target).write(0, values)

    def read(self, source: int, target: int) -> np.ndarray:
        return self.row(source, target).read_all()


class Arrays:
    """An array of zarr with checksums per pair."""

    def __init__(self, folder: Path, columns: int) -> None:
        self.folder = folder

    def write(self, source: int, target: int, values: np.ndarray) -> None:
        where = self.folder / f"{source}/{target}"
        zarr.create_array(where, shape=values.shape, chunks=values.shape, dtype="int32", compressors=Crc32cCodec())[
            :
        ] = values

    def read(self, source: int, target: int) -> np.ndarray:
        return np.asarray(zarr.open_array(self.folder / f"{source}/{target}", mode="r")[:])


class Files:
    """A .npy file per pair."""

    def __init__(self, folder: Path, columns: int) -> None:
        self.folder = folder

    def write(self, source: int, target: int, values: np.ndarray) -> None:
        with suppress(FileExistsError):
            (self.folder / str(source)).mkdir(parents=True)
        np.save(self.folder / f"{source}/{target}.npy", values)

    def read(self, source: int, target: int) -> np.ndarray:
        return np.load(self.folder / f"{source}/{target}.npy")


def passes(layout: Callable[[Path, int], Any], models: int, columns: int) -> tuple[float, float, int]:
    """Seconds to write all pairs, seconds to read them through a new handle, and the number of files."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    pairs = [(source, target) for source in range(models) for target in range(models)]
    values = np.random.default_rng(0).integers(0, 1000, columns, np.int32)
    try:
        kept = layout(folder, columns)
        write = timed(lambda: [kept.write(*pair, values) for pair in pairs])
        kept = layout(folder, columns)
        read = timed(lambda: [kept.read(*pair) for pair in pairs])
        assert all(np.array_equal(kept.read(*pair), values) for pair in pairs[:: models + 1])
        return write, read, sum(path.is_file() for path in folder.rglob("*"))
    finally:
        shutil.rmtree(folder)


def pairs(models: int, columns: int, repeats: int, console: Console) -> None:
    layouts: dict[str, Any] = {
        "the store, a table per source": Rows,
        "zarr, an array per pair": Arrays,
        NPY: Files,
    }
    turns: dict[str, list[tuple[float, float, int]]] = {name: [] for name in layouts}
    for _ in range(repeats):
        for name, layout in layouts.items():
            turns[name].append(passes(layout, models, columns))
    best = {name: [min(column) for column in zip(*each, strict=True)] for name, each in turns.items()}
    title = f"predictions of {models}×{models} pairs, {columns:,} images each"
    table = Table("layout", title=title, title_justify="left")
    for heading in ("files", "write, s", "read, s", "write ratio", "read ratio"):
        table.add_column(heading, justify="right")
    basis = best[NPY]
    for name, (write, read, files) in best.items():
        ratios = (f"{write / basis[0]:.2f}", f"{read / basis[1]:.2f}")
        table.add_row(name, f"{files:,}", f"{write:.2f}", f"{read:.2f}", *ratios)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artefacts", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=69)
    parser.add_argument("--rows", type=int, default=5_000, help="images, hence predictions per pair")
    parser.add_argument("--repeats", type=int, default=2, help="repeats for the pairs; the fastest counts")
    options = parser.parse_args()
    console = Console()
    pairs(options.models, options.rows, options.repeats, console)
    many(options.artefacts, console)


if __name__ == "__main__":
    main()
