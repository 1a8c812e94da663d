"""Reading files of a run's folder while other processes may write to it."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sat_exp import files
from sat_exp.errors import UserError
from sat_exp.runs import manifest
from sat_exp.runs.manifest import Manifest, remedy

MOST = 4 << 30
"""Bytes of one file."""

DRAFTS = ".writing-*"
PATIENCE = 5.0
"""Seconds that a reader waits for another process to finish its writing."""

PAUSE = 0.02

Result = TypeVar("Result")


def settled(folder: Path, use: Callable[[Manifest], Result]) -> Result:
    """The result of `use` for the folder's manifest, computed again where another writing came in between."""
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
    """The bytes of a file; UserError where they are not those that the manifest states."""
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


def absent(folder: Path) -> str:
    """Why a folder without a manifest is not a finished run."""
    if not folder.is_dir():
        return f"there is no folder {folder}: give the folder of a finished run"
    if any((folder / name).exists() for name in (*manifest.RESULTS, ".hydra")) or any(folder.glob(DRAFTS)):
        return f"{folder} is unfinished, or was made by an older version: {remedy(folder)}"
    return f"{folder} holds no run: give the folder of a finished run"
