"""What a training leaves in its folder, weights and a record, and how damage to them is told and set aside."""

import hashlib
import logging
import os
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sat_exp import strict_json
from sat_exp.errors import UserError, one_line
from sat_exp.store import key_of

QUARANTINE = "quarantine"
FORMAT, CHECKSUM, WEIGHTS = "format", "checksum", "weights_sha256"
ZIP = b"PK\x03\x04"
UNREADABLE = "PytorchStreamReader failed"
"""What PyTorch's error about a damaged file begins with."""

log = logging.getLogger(__name__)


def read_record(path: Path) -> dict[str, Any] | None:
    """The record at `path`, as it was given; None where there is none, or it is damaged and now set aside.

    A record of an older version, which has neither a checksum nor a format, is taken as it is. UserError where it
    cannot be read.
    """
    try:
        record = strict_json.loads(path.read_bytes())
        stated = record.pop(CHECKSUM, None)
        if (stated is not None or FORMAT in record) and stated != key_of(record):
            raise ValueError("its checksum fails")
        record.pop(FORMAT, None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; move it elsewhere") from error
    except (ValueError, AttributeError, TypeError) as error:
        set_aside(path, f"{path} is damaged ({error})")
        return None
    return record


def write_record(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a record under its checksum, all at once."""
    plain = strict_json.loads(strict_json.dumps({FORMAT: 1} | dict(facts)).encode())
    whole = strict_json.dumps(plain | {CHECKSUM: key_of(plain)})
    replaced(path, lambda partial: partial.write_text(whole))


def write_weights(path: Path, state: Mapping[str, Tensor]) -> str:
    """Write weights all at once; their SHA-256, in hex. What is there already is set aside."""
    if path.is_file():
        set_aside(path, f"{path} has no sound record")
    replaced(path, lambda partial: save_file(dict(state), partial))
    path.chmod(0o644)
    return digest(path)


def weights_are(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether the weights at `path` are those that the record states; others are set aside."""
    if not path.is_file():
        return False
    if WEIGHTS not in record or digest(path) == record[WEIGHTS]:
        return True
    set_aside(path, f"{path} is damaged (its checksum fails)")
    return False


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What PyTorch's file at `path` holds, on the CPU; None where there is none, or it is damaged and now set aside.

    The checksums in it, which PyTorch does not look at, are checked.
    """
    if not path.is_file():
        return None
    content = path.read_bytes()
    try:
        if not content.startswith(ZIP):  # PyTorch would take it for a file of its old format
            raise zipfile.BadZipFile("it is no zip archive")
        with zipfile.ZipFile(BytesIO(content)) as parts:
            if (part := parts.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of {part} fails")
        return torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        damage: Exception = error
    except RuntimeError as error:
        if UNREADABLE not in str(error):
            raise
        damage = error
    set_aside(path, f"{path} is damaged ({one_line(damage)})")
    return None


def set_aside(path: Path, reason: str) -> None:
    """Move a file to the folder `quarantine` next to it, with a line that says why; named in a warning."""
    log.warning("%s: it is made again", reason)
    place = path.parent / QUARANTINE / f"{path.name}.{time.time_ns()}"
    place.parent.mkdir(exist_ok=True)
    place.with_name(f"{place.name}.why").write_text(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {reason}\n")
    with suppress(FileNotFoundError):  # another process has
        path.rename(place)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replaced(path: Path, write: Callable[[Path], Any]) -> None:
    """Have `write` write a file under another name, then give it its own."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
