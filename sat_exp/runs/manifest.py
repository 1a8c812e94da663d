"""The commit record of a run's folder: `manifest.json`, the SHA-256 and the size of every file of its results.

Files are read against it while other processes may write to the folder.
"""

import hashlib
import json
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml

from sat_exp import files, strict_json
from sat_exp.errors import UserError
from sat_exp.runs import text

NAME = "manifest.json"
FORMAT = 1
RESULTS = ("tables", "figures", "examples", "predictions.npz", "summary.json", "report.html")
"""The results in a run's folder; other files in it are not a part of the run."""

MOST = 64 << 20  # bytes of a manifest, a hundred times those of a large pool
TABLE = re.compile(r"tables/\w{1,100}\.(parquet|csv)", re.ASCII)
MOST_TYPED = 64 << 10  # bytes of the file with the command of a run
MOST_OF_FILE = 4 << 30  # bytes of one file of the results
DRAFTS = ".writing-*"
PATIENCE = 5.0  # seconds that a reader waits for another process to finish its writing
PAUSE = 0.02

Result = TypeVar("Result")


@dataclass(frozen=True)
class Manifest:
    """files: SHA-256 and size in bytes by name, relative to the folder and with slashes. identity: of the file on disk
    that it was read from, different for every writing."""

    files: Mapping[str, tuple[str, int]]
    identity: tuple[int, int] | None = None

    @classmethod
    def of(cls, folder: Path) -> "Manifest":
        """The manifest of the results that are in a folder now."""
        paths = [path for name in RESULTS for path in [folder / name, *folder.glob(f"{name}/**/*")] if path.is_file()]
        return cls({path.relative_to(folder).as_posix(): summed(path) for path in paths})

    def encoded(self) -> bytes:
        files = {name: {"sha256": digest, "bytes": size} for name, (digest, size) in sorted(self.files.items())}
        whole = {"format": FORMAT, "files": files, "sha256": digest_of(files)}
        return strict_json.dumps(whole).encode()

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """The manifest in a folder, None where it has none; UserError for a damaged one and for another format."""
        path = folder / NAME
        try:
            with files.opened(path, MOST) as file:
                status, content = os.fstat(file.fileno()), file.read(MOST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): {remedy(folder)}") from error
        return cls(decoded(content, path), (status.st_ino, status.st_mtime_ns))


@lru_cache(maxsize=8)
def decoded(content: bytes, path: Path) -> Mapping[str, tuple[str, int]]:
    """The files that a manifest names; UserError where a single byte of it was changed. It is decoded once, and read
    before every file of the run."""
    try:
        stated: Any = strict_json.loads(content)
        if isinstance(stated, dict) and stated.get("format", FORMAT) != FORMAT:
            raise UserError(f"{path} is of another version of sat_exp: {remedy(path.parent)}")
        named = {name: (str(facts["sha256"]), int(facts["bytes"])) for name, facts in stated["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path) from error
    if Manifest(named).encoded() != content or not all(map(belongs, named)):
        raise damaged(path)
    return MappingProxyType(named)


def damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged: {remedy(path.parent)}")


def belongs(name: str) -> bool:
    """Whether a name is that of a result: it does not lead out of the folder, and the name of a table is one word."""
    parts = name.split("/")
    if parts[0] not in RESULTS or {"", ".", ".."} & set(parts) or any(text.faults(part, name=True) for part in parts):
        return False
    return parts[0] != "tables" or TABLE.fullmatch(name) is not None


def summed(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def digest_of(files: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def remedy(folder: Path) -> str:
    """The advice how to restore the results of a folder: its command."""
    again = "run its command again"
    try:
        content = files.contents(folder / ".hydra" / "overrides.yaml", MOST_TYPED).decode("utf-8")
        typed = yaml.safe_load(content)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return again
    if not isinstance(typed, list) or not all(isinstance(part, str) and not text.faults(part) for part in typed):
        return again
    return f"{again}: {shlex.join(['python', '-m', 'sat_exp', *typed])}"


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
        content = files.contents(path, MOST_OF_FILE)
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
    if any((folder / name).exists() for name in (*RESULTS, ".hydra")) or any(folder.glob(DRAFTS)):
        return f"{folder} is unfinished, or was made by an older version: {remedy(folder)}"
    return f"{folder} holds no run: give the folder of a finished run"
