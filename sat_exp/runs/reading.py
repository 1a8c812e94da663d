"""The one reader of a run's folder: what it gives is of one writing, and every file of it is as that wrote it."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from sat_exp import files
from sat_exp.errors import UserError
from sat_exp.runs import columns, manifest, predictions, summary, tables
from sat_exp.runs.manifest import Manifest, remedy
from sat_exp.settings.types import SET_APART
from sat_exp.similarity import SAT_FLOOR, Predictions

SUMMARY = "summary.json"
TABLE = "tables/{}.parquet"
MOST = 4 << 30
"""Bytes of one file."""

DRAFTS = ".writing-*"
PATIENCE = 5.0
"""Seconds that a reader waits for another process to finish its writing."""

PAUSE = 0.02

Result = TypeVar("Result")


@dataclass(frozen=True)
class Run:
    """A finished run.

    manifest: which files its results are. summary: what `summary.json` says, of the types of `summary.Summary`; what is
    not there may be asked for by `require`. contents: the bytes of its Parquet tables
    and its summary, by file, or of all its files. studied: the run that it is a study of, where one was given.
    """

    folder: Path
    manifest: Manifest
    summary: dict[str, Any]
    contents: dict[str, bytes]
    studied: "Run | None" = None

    def table(self, name: str) -> pd.DataFrame | None:
        """The table of that name, whatever it holds; None where the run has none."""
        file = TABLE.format(name)
        return self.decoded(file) if file in self.contents else None

    def checked_table(self, name: str) -> pd.DataFrame | None:
        """The same; UserError where it does not hold what a table of that name does."""
        table = self.table(name)
        return None if table is None else self.checked(name, table)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name, whatever it holds."""
        return {Path(file).stem: self.decoded(file) for file in self.files if file.endswith(".parquet")}

    def checked_tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name; UserError where one does not hold what one of that name does."""
        found = {name: self.checked(name, table) for name, table in self.tables().items()}
        if fault := columns.alone(found):
            raise UserError(f"{self.folder} has {fault}: {remedy(self.folder)}")
        return found

    def decoded(self, file: str) -> pd.DataFrame:
        try:
            return tables.decoded(self.contents[file])
        except ValueError as error:
            raise UserError(f"{self.folder / file} {error}: {remedy(self.folder)}") from error

    def checked(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        floor = (self.summary.get("settings", {}).get("score") or {}).get("floor", SAT_FLOOR)
        if fault := columns.fault(name, table, float(np.log(floor))):
            raise UserError(f"{self.folder / TABLE.format(name)} has {fault}: {remedy(self.folder)}")
        return table

    def require(self, *fields: str) -> None:
        """UserError for the first of these fields, such as settings.labels, that its summary lacks."""
        if lacking := summary.lacking(self.summary, *fields):
            raise UserError(f"{self.folder / SUMMARY} has no {lacking}: {remedy(self.folder)}")

    @property
    def files(self) -> list[str]:
        """The names of its files, sorted."""
        return sorted(self.manifest.files)

    @property
    def measured(self) -> Path | None:
        """The run's folder, or the CSV file of a matrix, that it is a study of; None for what is no study."""
        place = self.summary.get("measured")
        return None if place is None else Path(place)

    @property
    def digest(self) -> str:
        """A digest of what studies of the run are computed from."""
        return self.manifest.digest(TABLE.format("pairs"), predictions.NAME)

    def predictions(self) -> Predictions | None:
        """What its models predict, None where the run keeps none."""
        if predictions.NAME not in self.manifest.files:
            return None
        return predictions.read(self.content(predictions.NAME), str(self.folder / predictions.NAME))

    def content(self, name: str) -> bytes:
        """The bytes of one of its files; UserError where it is not as written, or where another writing took its place
        since the run was read."""
        if name in self.contents:
            return self.contents[name]
        if name not in self.manifest.files:
            raise UserError(f"{self.folder / name} is none of the run's files: {remedy(self.folder)}")

        def same(now: Manifest) -> bytes:
            if now.files.get(name) != self.manifest.files[name]:
                raise UserError(f"{self.folder} was written again while it was read: run this command again")
            return verified(self.folder, name, now)

        return settled(self.folder, same)

    def held(self) -> "Run":
        """The same run with every file in memory, whatever becomes of its folder."""
        return replace(self, contents={name: self.content(name) for name in self.files})

    def copy(self, names: Iterable[str], into: Path) -> None:
        """Copies of some of its files, as written, under the same names in the folder `into`."""
        for name in names:
            content, target = self.content(name), into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    @contextmanager
    def copied(self, names: Iterable[str]) -> Iterator[Path]:
        """A temporary folder that holds such copies."""
        with TemporaryDirectory() as place:
            self.copy(names, Path(place))
            yield Path(place)


def read(folder: Path) -> Run:
    """The finished run in `folder`.

    UserError of one line where it holds none, where a file that is read is damaged, missing or unreadable, and where
    other processes keep writing to it.
    """

    def whole(now: Manifest) -> Run:
        wanted = [name for name in now.files if name == SUMMARY or name.endswith(".parquet")]
        contents = {name: verified(folder, name, now) for name in wanted}
        if SUMMARY not in contents:
            raise UserError(f"{folder} has no {SUMMARY}: {remedy(folder)}")
        return Run(folder, now, stated(contents[SUMMARY], folder / SUMMARY), contents)

    return settled(folder, whole)


def studied(run: Run) -> Run:
    """`run` with the run that it is a study of; UserError where that is gone, damaged, or holds other results now."""
    place = run.measured
    if place is None or place.suffix == ".csv":
        return run
    measured = read(place)
    if run.summary.get("measured_digest", measured.digest) != measured.digest:
        raise UserError(f"{run.folder} is a study of other results than {place} holds now: {remedy(run.folder)}")
    return replace(run, studied=measured)


def newest(outputs: Path, holding: str) -> list[Path]:
    """The folders of the finished runs under `outputs` that hold the file `holding`, what was written last first; those
    too whose manifest or summary cannot be read, which `read` then says."""
    found = []
    for place, folders, names in os.walk(outputs):
        folders[:] = [name for name in folders if name not in SET_APART and not name.startswith(".")]
        if manifest.NAME in names and may_hold(Path(place), holding):
            found.append(Path(place))
    return sorted(found, key=written, reverse=True)


def may_hold(folder: Path, file: str) -> bool:
    try:
        now = Manifest.read(folder)
    except UserError:
        return True
    return now is not None and file in now.files


def written(folder: Path) -> float:
    """When a run was: drawing it again leaves its summary as it is. A summary that is missing is about to come."""
    try:
        return (folder / SUMMARY).stat().st_mtime
    except OSError:
        return float("inf")


def settled(folder: Path, use: Callable[[Manifest], Result]) -> Result:
    """What `use` makes of the folder's manifest, with no writing in between: where one came in between, once more."""
    deadline = time.monotonic() + PATIENCE
    while True:
        now = Manifest.read(folder)
        over = time.monotonic() > deadline
        if now is None:
            if over or not any(folder.glob(DRAFTS)):
                raise UserError(absent(folder))
        else:
            try:
                return use(now)
            except UserError:
                after = Manifest.read(folder)
                if over or (after is not None and after.identity == now.identity):
                    raise
        time.sleep(PAUSE)


def verified(folder: Path, name: str, now: Manifest) -> bytes:
    """The bytes of a file, which are those that `now` names; UserError for others."""
    path = folder / name
    try:
        content = files.contents(path, MOST)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: {remedy(folder)}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy(folder)}") from error
    if (hashlib.sha256(content).hexdigest(), len(content)) != now.files[name]:
        raise UserError(f"{path} is damaged: {remedy(folder)}")
    return content


def stated(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return summary.decoded(content)
    except ValueError as error:
        raise UserError(f"{path} {error}: {remedy(path.parent)}") from error


def absent(folder: Path) -> str:
    """Why a folder without a manifest is no finished run."""
    if not folder.is_dir():
        return f"there is no folder {folder}: give the folder of a finished run"
    if any((folder / name).exists() for name in (*manifest.RESULTS, ".hydra")) or any(folder.glob(DRAFTS)):
        return f"{folder} is unfinished, or was made by an older version: {remedy(folder)}"
    return f"{folder} holds no run: give the folder of a finished run"
