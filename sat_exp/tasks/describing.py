"""What a run was asked to do, with what, on what."""

import platform
import shlex
import subprocess
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

LIBRARIES = ("torch", "torchvision", "timm", "lightning", "hydra-core", "numpy", "pillow", "wandb")


def describe(config: DictConfig, title: str) -> dict[str, Any]:
    """What a run was asked to do, with which versions, on which machine."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    settings = OmegaConf.to_container(config, resolve=True)
    return {
        "task": config.task.name,
        "name": run_name(config, folder),
        "title": title,
        "command": shlex.join(["python", "-m", "sat_exp", *hydra.overrides.task]),
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "settings": settings,
        "choices": {group: choice for group, choice in hydra.runtime.choices.items() if not group.startswith("hydra/")},
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
    """A run's name: its folder, as seen from output_dir."""
    outputs = Path(config.output_dir).absolute()
    return folder.relative_to(outputs).as_posix() if folder.is_relative_to(outputs) else folder.name


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, with a + where files differ from it; None elsewhere."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
