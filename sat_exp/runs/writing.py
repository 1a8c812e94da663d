"""The one writer of a run's folder: results are written to a draft, a folder within it, and published at once.

A writing that is interrupted leaves the earlier results, or none that a reader accepts; the next writing repairs that.
When several processes write to one folder, the results of the last to finish remain.
"""

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image

from sat_exp import strict_json
from sat_exp.errors import FULL, UserError
from sat_exp.runs import manifest, predictions, text
from sat_exp.runs import tables as parquet
from sat_exp.runs.manifest import DRAFTS, RESULTS, Manifest
from sat_exp.runs.run import SUMMARY, Run
from sat_exp.similarity import Predictions

LOCK = ".writing.lock"
ALIVE = ".alive"
OLD = ".old"
LONGEST_WAIT = 60.0  # seconds to wait for another process that publishes its results, which takes far less


@contextmanager
def drafted(folder: Path, replacing: Run | None = None) -> Iterator[Path]:
    """A draft folder; its files become the results of `folder` when the body ends without an error.

    replacing: the run that is there now, where the new results are made from it. UserError where it was replaced
    meanwhile, where the disk is full, and where a file cannot be written for another reason.
    """
    try:
        with draft(folder) as place:
            yield place
            seal(place)
            publish(place, folder, replacing)
    except OSError as error:
        cure = "free some space" if error.errno in FULL else "correct that"
        raise UserError(
            f"cannot write results to {folder}: {error.strerror or error}; {cure} and run it again"
        ) from error


def fill(
    place: Path,
    summary: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    pictures: Mapping[str, np.ndarray] | None = None,
    predicted: Predictions | None = None,
) -> None:
    """Write results into a draft, tables as Parquet and CSV, without control characters in texts; ValueError for a
    table that does not fit its schema. pictures: uint8 [C, H, W] by file."""
    clean = {name: text.cleaned_table(table) for name, table in tables.items()}
    parquet.check_written(clean, summary)
    (place / "tables").mkdir(parents=True, exist_ok=True)
    for name, table in clean.items():
        parquet.write(table, place / "tables" / f"{name}.parquet")
        table.to_csv(place / "tables" / f"{name}.csv", index=False)
    for file, pixels in (pictures or {}).items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(place / file)
    if predicted is not None:
        predictions.write(predicted, place / predictions.NAME)
    (place / SUMMARY).write_text(strict_json.dumps(text.cleaned(summary)), encoding="utf-8")


def seal(place: Path) -> None:
    """Write the manifest of the files in a draft, so that it can be read as a run."""
    (place / manifest.NAME).write_bytes(Manifest.of(place).encoded())


def refuse_foreign(folder: Path) -> None:
    """UserError where a folder holds files with the names of results that no run has written: they would be lost."""
    ours = (manifest.NAME, "tracking.json", LOCK)
    if any(os.path.lexists(folder / name) for name in ours):
        return
    if foreign := [name for name in RESULTS if os.path.lexists(folder / name)]:
        raise UserError(f"{folder} holds {foreign[0]}, which no run has written: give another name=, or move it")


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A new folder in `folder`, removed at the end; the drafts of dead writers are removed too."""
    refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / DRAFTS.replace("*", uuid.uuid4().hex)
    alive = FileLock(place / ALIVE)
    with locked(folder):
        for other in folder.glob(DRAFTS):
            if dead(other):
                shutil.rmtree(other, ignore_errors=True)
        place.mkdir()
        alive.acquire()
    try:
        yield place
    finally:
        alive.release()
        shutil.rmtree(place, ignore_errors=True)


def dead(place: Path) -> bool:
    """Whether the writer of a draft has ended. The caller holds the folder's lock, under which a draft and the lock of
    its writer are made."""
    try:
        with FileLock(place / ALIVE, timeout=0):
            return True
    except (Timeout, FileNotFoundError, FileExistsError):  # its writer is alive, or removes it at this moment
        return False


def publish(place: Path, folder: Path, replacing: Run | None) -> None:
    """Move the results in the draft `place` to `folder`. The old manifest goes first, the new one comes last, and there
    is none in between."""
    with locked(folder):
        if replacing is not None:
            now = Manifest.read(folder)
            if now is None or now.identity != replacing.manifest.identity:
                raise UserError(f"{folder} was written again meanwhile: run this command again")
        old = place / OLD
        old.mkdir()
        for name in (manifest.NAME, *RESULTS):
            if (folder / name).exists() or (folder / name).is_symlink():
                (folder / name).rename(old / name)
        for name in (*RESULTS, manifest.NAME):
            if (place / name).exists():
                (place / name).rename(folder / name)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / LOCK, timeout=LONGEST_WAIT):
            yield
    except Timeout as error:
        raise UserError(f"another process holds {folder / LOCK}: wait until it ends, and run this again") from error
