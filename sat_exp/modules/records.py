"""What a training leaves in its folder, weights and a record, and how damage to them is told and set aside."""

import errno
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from sat_exp import strict_json
from sat_exp.errors import UserError, one_line
from sat_exp.models.weights import ON_RECORD as WEIGHTS
from sat_exp.models.weights import ZIP, digest, read_torch
from sat_exp.store import key_of

QUARANTINE = "quarantine"
FORMAT, CHECKSUM = "format", "checksum"

log = logging.getLogger(__name__)


def read_record(path: Path, *numbers: str) -> dict[str, Any] | None:
    """The record at `path`, as it was given; None where there is none, or it is damaged and now set aside, which it is
    too where it lacks one of the `numbers`.

    A record of an older version, which has neither a checksum nor a format, is taken as it is. UserError where it
    cannot be read.
    """
    only_a_file(path)
    try:
        record = strict_json.loads(path.read_bytes())
        stated = record.pop(CHECKSUM, None)
        if (stated is not None or FORMAT in record) and stated != key_of(record):
            raise ValueError("its checksum fails")
        record.pop(FORMAT, None)
        if lacking := [name for name in numbers if type(record.get(name)) not in (int, float)]:
            raise ValueError(f"it does not say {lacking[0]}")
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
    if os.path.lexists(path):
        set_aside(path, f"{path} has no sound record")
    replaced(path, lambda partial: save_file(dict(state), partial))
    path.chmod(0o644)
    return digest(path)


def weights_are(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether the weights at `path` are those that the record states; others are set aside."""
    only_a_file(path)
    if not path.is_file():
        return False
    if WEIGHTS not in record or digest(path) == record[WEIGHTS]:
        return True
    set_aside(path, f"{path} is damaged (its checksum fails)")
    return False


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What PyTorch's file at `path` holds, on the CPU; None where there is none, or it is damaged and now set aside.

    The checksums in it, which PyTorch does not look at, are checked. UserError where it cannot be read.
    """
    only_a_file(path)
    try:
        with path.open("rb") as file:
            if file.read(len(ZIP)) != ZIP:  # PyTorch would take it for a file of its old format
                raise ValueError("it is no archive")
        content = read_torch(path)
        if not isinstance(content, dict):
            raise TypeError("it is no checkpoint")
    except FileNotFoundError:
        return None
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which a wrong place in an archive is
            raise UserError(f"cannot read {path}: {error.strerror}; move it elsewhere") from error
        set_aside(path, f"{path} is damaged ({one_line(error)})")
        return None
    return content


def only_a_file(path: Path) -> None:
    """Set aside what lies at `path` where it is no file: a folder, a pipe, a link to nothing."""
    if os.path.lexists(path) and not path.is_file():
        set_aside(path, f"{path} is damaged (it is no file)")


def folder(path: Path) -> Path:
    """The folder at `path`; what lies there is set aside where it is none."""
    if os.path.lexists(path) and not path.is_dir():
        set_aside(path, f"{path} is damaged (it is no folder)")
    path.mkdir(parents=True, exist_ok=True)
    return path


def set_aside(path: Path, reason: str) -> None:
    """Move what lies at `path` to the folder `quarantine` next to it, with a line that says why; named in a warning.

    UserError where that cannot be done.
    """
    log.warning("%s: it is made again", reason)
    place = path.parent / QUARANTINE / f"{path.name}.{time.time_ns()}"
    try:
        place.parent.mkdir(exist_ok=True)
        place.with_name(f"{place.name}.why").write_text(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {reason}\n")
        with suppress(FileNotFoundError):  # another process has
            path.rename(place)
    except OSError as error:
        raise UserError(
            f"{reason}; it cannot be moved to {place.parent}: {error.strerror}; move it elsewhere"
        ) from error


def replaced(path: Path, write: Callable[[Path], Any]) -> None:
    """Have `write` write a file under another name, then give it its own."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
