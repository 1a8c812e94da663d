"""What the models of a run predict: `predictions.npz`."""

import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from sat_exp.errors import UserError

if TYPE_CHECKING:
    from sat_exp.measurement import Measured

NAME = "predictions.npz"
PARTS = ("models", "labels", "clean", "directions", "adversarial", "shown")


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
            with np.load(file, allow_pickle=False) as stored:
                parts = {part: stored[part] for part in PARTS}
            check(parts)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
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


def check(parts: dict[str, np.ndarray]) -> None:
    """ValueError where the arrays do not fit together: M names, N labels or none, int [M, N], D directions between the
    models, int [D, N] twice."""
    models, directions, images = len(parts["models"]), len(parts["directions"]), parts["clean"].shape[-1]
    shapes = {"clean": (models, images)}
    if directions:
        shapes |= {"adversarial": (directions, images), "shown": (directions, images), "directions": (directions, 2)}
    for part, shape in shapes.items():
        if parts[part].dtype.kind not in "iU" or parts[part].shape != shape:
            raise ValueError(f"{part} is {parts[part].dtype} {parts[part].shape}")
    if len(parts["labels"]) not in (0, images):
        raise ValueError("labels of other images")
    if len(set(parts["models"].tolist())) < models or parts["models"].dtype.kind != "U":
        raise ValueError("names of models that are not, or not unique")
    if not set(parts["directions"].ravel().tolist()) <= set(parts["models"].tolist()):
        raise ValueError("directions between other models")
