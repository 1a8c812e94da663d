"""The files of trained models and of their pool, in a folder that --config-dir (-cd) adds."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from sat_exp.errors import UserError
from sat_exp.files import write_atomic
from sat_exp.names import CONF
from sat_exp.settings import plain
from sat_exp.settings.types import file_name


def check_name(name: str) -> None:
    """UserError for the combined name of a network that is too long for a file, or that another model has."""
    try:
        file_name(name)
    except ValueError as error:
        raise UserError(f"{name} is not a file name ({error}): give shorter names") from error
    if (CONF / "model" / f"{name}.yaml").is_file():
        raise UserError(f"{name} is the name of another model: give another model.name=")


def write_models(folder: Path, chosen: Iterable[DictConfig]) -> None:
    """Write the file of each model, with the data set of this run."""
    for model in chosen:
        write(folder / "model" / f"{model.name}.yaml", plain(model))


def write_pool(folder: Path, name: str, members: Sequence[str]) -> None:
    """Write the file of a pool, with the data set of this run."""
    write(folder / "pool" / f"{name}.yaml", {"name": name, "models": list(members)})


def write(path: Path, content: dict[str, Any]) -> None:
    dataset = {"override /dataset@_global_.dataset": HydraConfig.get().runtime.choices["dataset"]}
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, OmegaConf.to_yaml({"defaults": [dataset]} | content).encode())
