"""A small measurement of bundled networks, for the tests in this folder and the processes that they start.

As a script it waits for the file `gate`, measures `names` in the store at `folder`, and adds a line to `written` for
each chunk that it writes.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

import sat_exp.models
from sat_exp.attacks import PGD
from sat_exp.datasets import FashionMNIST, ImageSet
from sat_exp.measurement import Measurement
from sat_exp.models import Configured
from sat_exp.modules.hardware import Hardware
from sat_exp.store import Store
from sat_exp.store.folder import Folder

CONF = Path(__file__).parents[2] / "conf" / "model"
BUNDLED = Path(sat_exp.models.__file__).parent / "bundled"
NAMES = ("fashion_resnet", "fashion_resnet_seed1", "fashion_resnet_sgd")
IMAGES = 48


def model(name: str, /, **changes: Any) -> Configured:
    """A bundled model, with changes to its configuration."""
    loaded = OmegaConf.load(CONF / f"{name}.yaml")
    del loaded["defaults"]
    loaded.checkpoint = str(BUNDLED / f"{name}.safetensors")
    return Configured(OmegaConf.merge(loaded, changes))  # type: ignore[arg-type]


def models(names: Sequence[str] = NAMES) -> list[Configured]:
    return [model(name) for name in names]


def images(size: int = IMAGES) -> ImageSet:
    return FashionMNIST(root=None, size=size, seed=0).images


def measurement(
    place: str | Path, *, size: int = IMAGES, batch_size: int = 8, steps: int = 4, seed: int = 0, **choices: Any
) -> Measurement:
    attack = PGD(epsilon=16, step_size=4, steps=steps, random_start=True)
    hardware = Hardware("cpu", "32-true", batch_size=batch_size, threads=1, workers=1)
    return Measurement(images(size), attack, Store.at(place), hardware, seed, **choices)


def parts(folder: Path) -> list[Path]:
    """The files of a store that are chunks of arrays or rows of tables. What it remembers of models is left out: a
    process that has imported networks does not read it."""
    found = [file for file in folder.glob("*/*/*") if file.parts[-3] != "identities"]
    return sorted(file for file in found if file.name[0].isalnum() and file.suffix not in (".json", ".partial"))


def chunks(folder: Path) -> dict[str, str]:
    """The SHA-256 of every chunk and row of a store."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in parts(folder)
        if file.relative_to(folder).parts[0] not in ("quarantine", "locks")
    }


def count_writes(written: Path) -> None:
    """Have every chunk and row of results that this process creates add a line to the file `written`."""
    create = Folder.create

    def counted(folder: Folder, name: str, data: bytes) -> bool:
        created = create(folder, name, data)
        if created and not name.startswith("identities/") and not name.endswith(".json"):
            with written.open("a") as lines:
                lines.write(f"{os.getpid()} {folder.root / name}\n")
        return created

    Folder.create = counted  # type: ignore[method-assign]


def run_here(names: Sequence[str], folder: Path, gate: Path, written: Path, **choices: Any) -> None:
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)
    count_writes(written)
    torch.set_num_threads(1)
    prepared = measurement(folder, **choices)
    while not gate.exists():
        time.sleep(0.005)
    prepared.run(models(names))


if __name__ == "__main__":
    run_here(**arguments)  # type: ignore[name-defined]  # noqa: F821
