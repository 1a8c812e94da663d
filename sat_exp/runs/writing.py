"""The one writer of a run's folder: all results are made in a draft, a folder within it, and take their places at once.

A writing that is cut short leaves the run's earlier results, or none that a reader accepts; the next one mends that.
Of several processes that write to one folder the last to finish is the one whose results are there.
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
from sat_exp.runs.manifest import RESULTS, Manifest
from sat_exp.runs.reading import DRAFTS, SUMMARY, Run
from sat_exp.similarity import Predictions

LOCK = ".writing.lock"
ALIVE = ".alive"
OLD = ".old"

LONGEST_WAIT = 60.0
"""Seconds to wait for another process that moves its results into place, which takes far less."""


@contextmanager
def drafted(folder: Path, replacing: Run | None = None) -> Iterator[Path]:
    """A folder to make a run's results in; they become those of `folder` when the body ends without an error.

    replacing: what is there now, where the new results are made from it. UserError where it is not there any more,
    where the disk is full, and where a file cannot be written for another reason.
    """
    try:
        with draft(folder) as place:
            yield place
            seal(place)
            publish(place, folder, replacing)
    except OSError as error:
        cure = "free some space" if error.errno in FULL else "mend that"
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
    """Put results into a draft: tables as Parquet and CSV, pictures (uint8 [C, H, W] by file), predictions, summary.

    What a terminal would obey is taken out of texts."""
    (place / "tables").mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        clean = text.cleaned_table(table)
        parquet.write(clean, place / "tables" / f"{name}.parquet")
        clean.to_csv(place / "tables" / f"{name}.csv", index=False)
    for file, pixels in (pictures or {}).items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(place / file)
    if predicted is not None:
        predictions.write(predicted, place / predictions.NAME)
    (place / SUMMARY).write_text(strict_json.dumps(text.cleaned(summary)), encoding="utf-8")


def seal(place: Path) -> None:
    """Write the manifest of what a draft holds by now, so that it can be read as a run."""
    Manifest.of(place).write(place)


def refuse_foreign(folder: Path) -> None:
    """UserError where a folder holds files that are called like results and that no run has written: they would go."""
    ours = (manifest.NAME, "tracking.json", LOCK)
    if any(os.path.lexists(folder / name) for name in ours):
        return
    if foreign := [name for name in RESULTS if os.path.lexists(folder / name)]:
        raise UserError(f"{folder} holds {foreign[0]}, which is no run's: give another name=, or move that elsewhere")


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A new folder in `folder` that is removed in the end; drafts whose writer is dead are removed as well."""
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
    """Whether the writer of a draft lives no more; asked by the holder of the folder's lock only, under which drafts
    are made together with their writers' locks."""
    try:
        with FileLock(place / ALIVE, timeout=0):
            return True
    except Timeout:
        return False
    except FileNotFoundError:  # its writer has just removed it
        return False


def publish(place: Path, folder: Path, replacing: Run | None) -> None:
    """Move the results in the draft `place` to their places in `folder`: the old manifest goes first, the new one comes
    last, so that in between there is none."""
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
