"""A finished run, read from its folder: all of it is from one writing, and every file is checked."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from sat_exp.errors import UserError
from sat_exp.runs import manifest, predictions, summary, tables
from sat_exp.runs.manifest import Manifest, remedy
from sat_exp.settings.types import RESERVED
from sat_exp.similarity import Predictions

SUMMARY = "summary.json"
TABLE = "tables/{}.parquet"


@dataclass(frozen=True)
class Run:
    """A finished run.

    manifest: the files of its results. summary: the content of `summary.json`, with the types of `summary.Summary`.
    contents: the bytes of its summary and of its Parquet tables by file, or of all its files. studied: the run that it
    is a study of, where `with_studied` has read it.
    """

    folder: Path
    manifest: Manifest
    summary: dict[str, Any]
    contents: dict[str, bytes]
    studied: "Run | None" = None

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """The finished run in `folder`; UserError where there is none, where a file is damaged, missing or unreadable,
        and where other processes keep writing to the folder."""

        def whole(now: Manifest) -> Run:
            wanted = [name for name in now.files if name == SUMMARY or name.endswith(".parquet")]
            contents = {name: manifest.verified(folder, name, now) for name in wanted}
            if SUMMARY not in contents:
                raise UserError(f"{folder} has no {SUMMARY}: {remedy(folder)}")
            try:
                return cls(folder, now, summary.decoded(contents[SUMMARY]), contents)
            except ValueError as error:
                raise UserError(f"{folder / SUMMARY} {error}: {remedy(folder)}") from error

        return manifest.settled(folder, whole)

    @staticmethod
    def newest(outputs: Path, file: str) -> list[Path]:
        """The folders of the runs under `outputs` that have a `file`, the one written last first. A folder whose
        manifest or summary is damaged is one of them: `open` then says so."""
        found: dict[Path, float] = {}
        for at, folders, names in os.walk(outputs):
            place = Path(at)
            folders[:] = [name for name in folders if name not in RESERVED and not name.startswith(".")]
            with suppress(UserError):
                now = Manifest.read(place) if manifest.NAME in names else None
                if now is None or file not in now.files:
                    continue
            try:
                found[place] = (place / SUMMARY).stat().st_mtime  # drawing a run again leaves it as it is
            except OSError:
                found[place] = float("inf")  # it is about to be written
        return sorted(found, key=found.__getitem__, reverse=True)

    def with_studied(self) -> "Run":
        """This run with the run that it is a study of, if any; UserError where that is gone, damaged, or has other
        results now."""
        place = self.measured
        if place is None or place.suffix == ".csv":
            return self
        studied = Run.open(place)
        if self.summary.get("measured_digest", studied.digest) != studied.digest:
            raise UserError(f"{self.folder} is a study of other results than {place} holds now: {remedy(self.folder)}")
        return replace(self, studied=studied)

    def held(self) -> "Run":
        """This run with every file in memory, so that it stays the same when its folder changes."""
        return replace(self, contents={name: self.content(name) for name in self.files})

    def table(self, name: str) -> pd.DataFrame | None:
        """The table of that name, None where the run has none; UserError where it does not fit its schema."""
        file = TABLE.format(name)
        if file not in self.contents:
            return None
        try:
            table = tables.decoded(self.contents[file])
        except ValueError as error:
            raise UserError(f"{self.folder / file} {error}: {remedy(self.folder)}") from error
        if fault := tables.fault(name, table, self.summary):
            raise UserError(f"{self.folder / file} has {fault}: {remedy(self.folder)}")
        return table

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name; UserError where one does not fit its schema, or a table that it requires is missing."""
        names = [Path(file).stem for file in self.files if file.endswith(".parquet")]
        read = {name: table for name in names if (table := self.table(name)) is not None}
        if fault := tables.incomplete(read):
            raise UserError(f"{self.folder} has {fault}: {remedy(self.folder)}")
        return read

    def require(self, *fields: str) -> None:
        """UserError for the first of the fields, such as settings.labels, that the summary lacks."""
        for field in fields:
            value: Any = self.summary
            for part in field.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is None:
                raise UserError(f"{self.folder / SUMMARY} has no {field}: {remedy(self.folder)}")

    @property
    def files(self) -> list[str]:
        """The names of its files, sorted."""
        return sorted(self.manifest.files)

    @property
    def measured(self) -> Path | None:
        """The folder of the run, or the CSV file of a matrix, that it is a study of; None for a measurement."""
        place = self.summary.get("measured")
        return None if place is None else Path(place)

    @property
    def digest(self) -> str:
        """The digest of the files that studies of the run are computed from."""
        names = (TABLE.format("pairs"), predictions.NAME)
        return manifest.digest_of({name: self.manifest.files[name] for name in names if name in self.manifest.files})

    def predictions(self) -> Predictions | None:
        """The predictions of its models, None where the run has none."""
        if predictions.NAME not in self.manifest.files:
            return None
        return predictions.read(self.content(predictions.NAME), f"{self.folder / predictions.NAME}")

    def content(self, name: str) -> bytes:
        """The bytes of one of its files; UserError where it is damaged, or was replaced since the run was read."""
        if name in self.contents:
            return self.contents[name]
        if name not in self.manifest.files:
            raise UserError(f"{self.folder / name} is none of the run's files: {remedy(self.folder)}")

        def same(now: Manifest) -> bytes:
            if now.files.get(name) != self.manifest.files[name]:
                raise UserError(f"{self.folder} was written again while it was read: run this command again")
            return manifest.verified(self.folder, name, now)

        return manifest.settled(self.folder, same)

    def copy(self, names: Iterable[str], into: Path) -> None:
        """Copy some of its files, under the same names, into the folder `into`."""
        for name in names:
            content, target = self.content(name), into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    @contextmanager
    def copied(self, names: Iterable[str]) -> Iterator[Path]:
        """A temporary folder with copies of some of its files."""
        with TemporaryDirectory() as place:
            self.copy(names, Path(place))
            yield Path(place)
