"""The files of a finished training, weights and a record: reading, writing, and quarantine of damaged ones."""

import errno
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from sat_exp import files, strict_json
from sat_exp.errors import UserError, one_line
from sat_exp.models.weights import ON_RECORD as WEIGHTS
from sat_exp.models.weights import ZIP, digest, read_torch
from sat_exp.store import key_of

QUARANTINE = "quarantine"
FORMAT, CHECKSUM = "format", "checksum"

log = logging.getLogger(__name__)


def read_record(path: Path, *numbers: str) -> dict[str, Any] | None:
    """The record at `path`; None where there is none. A damaged record, or one without all `numbers`, is moved to the
    quarantine. One of an older version, without checksum and format, is accepted. UserError where it cannot be read."""
    only_a_file(path)
    try:
        record = strict_json.loads(path.read_bytes())
        stated = record.pop(CHECKSUM, None)
        if (stated is not None or FORMAT in record) and stated != key_of(record):
            raise ValueError("its checksum fails")
        record.pop(FORMAT, None)
        if missing := [name for name in numbers if type(record.get(name)) not in (int, float)]:
            raise ValueError(f"it has no number {missing[0]}")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; move it elsewhere") from error
    except (ValueError, AttributeError, TypeError) as error:
        set_aside(path, f"{path} is damaged ({error})")
        return None
    return record


def write_record(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a record with its checksum, atomically."""
    plain = strict_json.loads(strict_json.dumps({FORMAT: 1} | dict(facts)).encode())
    files.write_atomic(path, strict_json.dumps(plain | {CHECKSUM: key_of(plain)}).encode())


def write_weights(path: Path, state: Mapping[str, Tensor]) -> str:
    """The SHA-256, in hex, of weights that are written atomically. An existing file is moved to the quarantine."""
    if os.path.lexists(path):
        set_aside(path, f"{path} has no sound record")
    files.write_atomic(path, save(dict(state)))
    return digest(path)


def weights_are(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether the weights at `path` have the record's checksum; others are moved to the quarantine."""
    only_a_file(path)
    if not path.is_file():
        return False
    if WEIGHTS not in record or digest(path) == record[WEIGHTS]:
        return True
    set_aside(path, f"{path} is damaged (its checksum fails)")
    return False


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The content of PyTorch's file at `path`, on the CPU; None where there is none. A damaged file, by its checksums,
    which PyTorch ignores, is moved to the quarantine. UserError where it cannot be read."""
    only_a_file(path)
    try:
        with path.open("rb") as file:
            if file.read(len(ZIP)) != ZIP:  # PyTorch would read it in its old format
                raise ValueError("it is no archive")
        content = read_torch(path)
        if not isinstance(content, dict):
            raise TypeError("it is no checkpoint")
    except FileNotFoundError:
        return None
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # the error for a wrong offset in an archive
            raise UserError(f"cannot read {path}: {error.strerror}; move it elsewhere") from error
        set_aside(path, f"{path} is damaged ({one_line(error)})")
        return None
    return content


def only_a_file(path: Path) -> None:
    """Move anything at `path` that is not a file to the quarantine: a folder, a pipe, a broken link."""
    if os.path.lexists(path) and not path.is_file():
        set_aside(path, f"{path} is damaged (it is no file)")


def folder(path: Path) -> Path:
    """The folder at `path`, made where needed; anything else there is moved to the quarantine."""
    if os.path.lexists(path) and not path.is_dir():
        set_aside(path, f"{path} is damaged (it is no folder)")
    path.mkdir(parents=True, exist_ok=True)
    return path


def set_aside(path: Path, reason: str) -> None:
    """Move a file or folder to `quarantine` next to it, with a file that states the reason, and log a warning."""
    log.warning("%s: it is computed again", reason)
    place = path.parent / QUARANTINE / f"{path.name}.{time.time_ns()}"
    try:
        place.parent.mkdir(exist_ok=True)
        place.with_name(f"{place.name}.why").write_text(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {reason}\n")
        with suppress(FileNotFoundError):  # another process has
            path.rename(place)
    except OSError as error:
        obstacle = f"it cannot be moved to {place.parent}: {error.strerror}"
        raise UserError(f"{reason}; {obstacle}; move it elsewhere") from error
