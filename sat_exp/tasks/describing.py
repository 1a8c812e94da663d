"""The description of a run in its summary: task, settings, versions, machine."""

import platform
import shlex
import subprocess
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sat_exp.settings import plain

LIBRARIES = ("torch", "torchvision", "timm", "lightning", "hydra-core", "numpy", "pillow", "wandb")


def describe(config: DictConfig, title: str) -> dict[str, Any]:
    """The description of the run that this process was started for by the command line."""
    hydra = HydraConfig.get()
    return described(
        task=config.task.name,
        name=run_name(config, Path(hydra.runtime.output_dir)),
        title=title,
        command=shlex.join(["python", "-m", "sat_exp", *hydra.overrides.task]),
        settings=plain(config),
        choices={group: choice for group, choice in hydra.runtime.choices.items() if not group.startswith("hydra/")},
    )


def described(
    *, task: str, name: str, title: str, command: str, settings: Mapping[str, Any], choices: Mapping[str, Any]
) -> dict[str, Any]:
    """The description of a run that starts now, with the versions of libraries and the machine.

    choices: the name chosen for each group of settings.
    """
    return {
        "task": task,
        "name": name,
        "title": title,
        "command": command,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "settings": dict(settings),
        "choices": dict(choices),
        "versions": {"python": platform.python_version(), "sat_exp": version("sat_exp")}
        | {library: version(library) for library in LIBRARIES}
        | {"git_commit": git_commit()},
        "hardware": {
            "machine": platform.machine(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
        },
    }


def run_name(config: DictConfig, folder: Path) -> str:
    """The name of a run: its folder, relative to output_dir."""
    outputs = Path(config.output_dir).absolute()
    return folder.relative_to(outputs).as_posix() if folder.is_relative_to(outputs) else folder.name


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, with a + if files differ from it; None elsewhere."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
