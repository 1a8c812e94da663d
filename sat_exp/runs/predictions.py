"""What the models of a run predict: `predictions.npz`."""

import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from sat_exp.errors import UserError
from sat_exp.runs import text

if TYPE_CHECKING:
    from sat_exp.measurement import Measured

NAME = "predictions.npz"
PARTS = ("models", "labels", "clean", "directions", "adversarial", "shown")
MOST = 16 << 30
"""Bytes of all arrays once they are unpacked: what every model of a large pool says of 50,000 images."""


@dataclass(frozen=True)
class Predictions:
    """What a run's models predict, as `similarity.score` takes it; labels are None where they are unknown."""

    names: list[str]
    labels: np.ndarray | None
    clean: dict[str, np.ndarray]
    adversarial: dict[tuple[str, str], np.ndarray]
    shown: dict[tuple[str, str], np.ndarray]

    @classmethod
    def of(cls, measured: "Measured", labels: np.ndarray | None) -> "Predictions":
        clean = {model.name: model.clean for model in measured.models}
        return cls(list(clean), labels, clean, measured.predictions, measured.shown)

    def write(self, file: Path) -> None:
        ways = sorted(self.adversarial)
        np.savez_compressed(
            file,
            models=np.array(self.names),
            labels=np.array([]) if self.labels is None else self.labels,
            clean=np.array([self.clean[name] for name in self.names], np.int32),
            directions=np.array(ways),
            adversarial=np.array([self.adversarial[way] for way in ways], np.int32),
            shown=np.array([self.shown[way] for way in ways], np.int32),
        )

    @classmethod
    def read(cls, file: Path | IO[bytes], name: str = "") -> "Predictions":
        """From a file, or an open one that messages call `name`; UserError for one that holds no such predictions."""
        try:
            parts = unpacked(file)
            check(parts)
        except UNREADABLE as error:
            where = name or str(file)
            raise UserError(f"{where} holds no predictions of a run: run its command again") from error
        names = [str(model) for model in parts["models"]]
        ways = [(str(source), str(target)) for source, target in parts["directions"]]
        return cls(
            names,
            parts["labels"] if len(parts["labels"]) else None,
            dict(zip(names, parts["clean"], strict=True)),
            dict(zip(ways, parts["adversarial"], strict=True)),
            dict(zip(ways, parts["shown"], strict=True)),
        )

    @classmethod
    def decode(cls, content: bytes, name: str) -> "Predictions":
        return cls.read(BytesIO(content), name)


HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<|][iufU]\d{1,6})', 'fortran_order': (True|False), "
    rb"'shape': \((?P<shape>(\d{1,12},? ?){0,8})\), \} *\n"
)

UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What reading an archive that is damaged, or was made to harm, raises."""


def unpacked(file: Path | IO[bytes]) -> dict[str, np.ndarray]:
    """The arrays in an archive. ValueError, before anything is unpacked, where they are larger than `MOST`, or not as
    large as they say, or anything but numbers and text: nothing that is read is a pickle."""
    with zipfile.ZipFile(file) as archive:
        members = {part: archive.getinfo(f"{part}.npy") for part in PARTS}
        if sum(member.file_size for member in members.values()) > MOST:
            raise ValueError("larger than any predictions")
        for member in members.values():
            with archive.open(member) as packed:
                shape, dtype = header(packed)
                size = packed.tell() + math.prod(shape) * dtype.itemsize
            if dtype.kind not in "iufU" or size != member.file_size:
                raise ValueError(f"{member.filename} says it is {dtype} {shape}")
    if not isinstance(file, Path):
        file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        return {part: stored[part] for part in PARTS}


def header(packed: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype that an array says it has, in the very words in which NumPy says them of numbers and text."""
    version, length = packed.read(8), int.from_bytes(packed.read(2), "little")
    said = HEADER.fullmatch(packed.read(length))
    if version != b"\x93NUMPY\x01\x00" or said is None:
        raise ValueError("no array of numbers or text")
    shape = tuple(int(number) for number in said["shape"].split(b",") if number.strip())
    return shape, np.dtype(said["dtype"].decode())


def check(parts: dict[str, np.ndarray]) -> None:
    """ValueError where the arrays do not fit together: M names, N labels or none, int [M, N], D directions between the
    models, int [D, N] twice; and for numbers below 0 that are no classes."""
    if parts["models"].ndim != 1 or parts["labels"].ndim != 1 or parts["clean"].ndim != 2:
        raise ValueError("arrays of other shapes")
    models, directions, images = len(parts["models"]), len(parts["directions"]), parts["clean"].shape[1]
    shapes = {"clean": (models, images)}
    if directions:
        shapes |= {"adversarial": (directions, images), "shown": (directions, images), "directions": (directions, 2)}
    for part, shape in shapes.items():
        if parts[part].dtype.kind not in "iU" or parts[part].shape != shape:
            raise ValueError(f"{part} is {parts[part].dtype} {parts[part].shape}")
    if len(parts["labels"]) not in (0, images) or (len(parts["labels"]) and parts["labels"].dtype.kind not in "iu"):
        raise ValueError("labels of other images")
    names = parts["models"].tolist()
    plain = parts["models"].dtype.kind == "U" and not any(text.faults(name, name=True) for name in names)
    if len(set(names)) < models or not plain:
        raise ValueError("names of models that are not, or not unique")
    ways = [tuple(way) for way in parts["directions"].reshape(-1, 2).tolist()]
    if len(set(ways)) < directions or not {name for way in ways for name in way} <= set(names):
        raise ValueError("directions between other models, or twice")
    least = {"clean": 0} | ({"adversarial": -1, "shown": -1} if directions else {})
    for part, lowest in least.items():
        if parts[part].dtype.kind != "i" or (parts[part] < lowest).any():
            raise ValueError(f"{part} are no classes")
