"""The file of a run's predictions, `predictions.npz`: how it is written, and how one from other people is read."""

import math
import re
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np

from sat_exp.errors import UserError
from sat_exp.runs import text
from sat_exp.similarity import Predictions

NAME = "predictions.npz"
PARTS = ("models", "labels", "clean", "directions", "adversarial", "shown")
GOALS = "goals"
"""The one array that only runs of a targeted attack have: int32 [S, N], one row per source in alphabetical order."""

MOST = 16 << 30
"""Bytes of all arrays once they are unpacked: the predictions of every model of a large pool for 50,000 images."""

HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<|][iufU]\d{1,6})', 'fortran_order': (True|False), "
    rb"'shape': \((?P<shape>(\d{1,12},? ?){0,8})\), \} *\n"
)
UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What reading an archive raises that is damaged or was made to do harm."""


def write(predictions: Predictions, file: Path) -> None:
    """Write all arrays; labels that are unknown are an empty array."""
    ways = sorted(predictions.adversarial)
    parts = {
        "models": np.array(predictions.names),
        "labels": np.array([]) if predictions.labels is None else predictions.labels,
        "clean": np.array([predictions.clean[name] for name in predictions.names], np.int32),
        "directions": np.array(ways),
        "adversarial": np.array([predictions.adversarial[way] for way in ways], np.int32),
        "shown": np.array([predictions.unattacked(*way) for way in ways], np.int32),
    }
    if predictions.goals:
        parts[GOALS] = np.array([predictions.goals[source] for source in sources(ways)], np.int32)
    np.savez_compressed(file, **parts)  # type: ignore[arg-type]


def read(content: bytes, name: str) -> Predictions:
    """The predictions in the bytes of a file, which messages call `name`; UserError for any other content."""
    try:
        parts = unpacked(content)
        check(parts)
        names, ways = parts["models"].tolist(), [tuple(way) for way in parts["directions"].tolist()]
        return Predictions(
            names,
            parts["labels"] if len(parts["labels"]) else None,
            dict(zip(names, parts["clean"], strict=True)),
            dict(zip(ways, parts["adversarial"], strict=True)),
            dict(zip(ways, parts["shown"], strict=True)),
            dict(zip(sources(ways), parts[GOALS], strict=True)) if GOALS in parts else {},
        )
    except UNREADABLE as error:
        raise UserError(f"{name} holds no predictions of a run: run its command again") from error


def sources(ways: list[tuple[str, str]]) -> list[str]:
    """The sources of the directions, each once, in alphabetical order."""
    return sorted({source for source, _ in ways})


def unpacked(content: bytes) -> dict[str, np.ndarray]:
    """The arrays in an archive; nothing that is read is a pickle.

    ValueError, before anything is unpacked, where an array is not as large as its header states or holds neither
    numbers nor text, or where all are larger than `MOST`.
    """
    with zipfile.ZipFile(BytesIO(content)) as archive:
        optional = [GOALS] if f"{GOALS}.npy" in archive.namelist() else []
        members = {part: archive.getinfo(f"{part}.npy") for part in (*PARTS, *optional)}
        if sum(member.file_size for member in members.values()) > MOST:
            raise ValueError("larger than any predictions")
        for member in members.values():
            with archive.open(member) as packed:
                shape, dtype = header(packed)
                size = packed.tell() + math.prod(shape) * dtype.itemsize
            if dtype.kind not in "iufU" or not dtype.itemsize or size != member.file_size:
                raise ValueError(f"{member.filename} is not {dtype} {shape}")
    with np.load(BytesIO(content), allow_pickle=False) as stored:
        return {part: stored[part] for part in members}


def header(packed: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype that an array's header states, in exactly the form in which NumPy writes numbers and text."""
    version, length = packed.read(8), int.from_bytes(packed.read(2), "little")
    stated = HEADER.fullmatch(packed.read(length))
    if version != b"\x93NUMPY\x01\x00" or stated is None:
        raise ValueError("no array of numbers or text")
    shape = tuple(int(number) for number in stated["shape"].split(b",") if number.strip())
    return shape, np.dtype(stated["dtype"].decode())


def check(parts: dict[str, np.ndarray]) -> None:
    """ValueError where the arrays do not fit together.

    M names, N labels or none, clean int [M, N], and for D directions between the models adversarial and shown int
    [D, N]; goals int [S, N] for S sources. Classes are 0 or more; adversarial predictions, those of other clean images
    and goals are −1 for images that were not attacked.
    """
    if parts["models"].ndim != 1 or parts["labels"].ndim != 1 or parts["clean"].ndim != 2:
        raise ValueError("arrays of other shapes")
    models, directions, images = len(parts["models"]), len(parts["directions"]), parts["clean"].shape[1]
    names, ways = set(parts["models"].tolist()), [tuple(way) for way in parts["directions"].reshape(-1, 2).tolist()]
    if parts["models"].dtype.kind != "U" or any(text.faults(name, name=True) for name in names):
        raise ValueError("names that are no names of models")
    if len(names) < models or len(set(ways)) < directions or not set().union(*ways) <= names:
        raise ValueError("a model or a direction twice, or directions between other models")
    if len(parts["labels"]) not in (0, images) or (len(parts["labels"]) and parts["labels"].dtype.kind not in "iu"):
        raise ValueError("labels of other images")
    check_classes("clean", parts["clean"], (models, images), least=0)
    if directions and (parts["directions"].dtype.kind != "U" or parts["directions"].shape != (directions, 2)):
        raise ValueError("directions of another shape")
    for part in ("adversarial", "shown") if directions else ():
        check_classes(part, parts[part], (directions, images), least=-1)
    if GOALS in parts:
        check_classes(GOALS, parts[GOALS], (len(sources(ways)), images), least=-1)


def check_classes(part: str, classes: np.ndarray, shape: tuple[int, int], least: int) -> None:
    """ValueError where an array is not of whole numbers from `least` on, or of another shape."""
    if classes.dtype.kind != "i" or classes.shape != shape or (classes < least).any():
        raise ValueError(f"{part} holds no classes of shape {shape}: {classes.dtype} {classes.shape}")
