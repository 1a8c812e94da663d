"""Sweeps through Hydra on a small configuration."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sat_exp import sweeps
from sat_exp.names import CONF

FILES = {
    "config": """
        defaults: [_self_, attack: pgd, dataset: photos, model: a, model@target: null, pool: null, tracking: mirror,
          task: transfer, experiment: null, override hydra/sweeper: models]
        output_dir: out
        pool: null
        target: null
        sweep: {models: [], targets: []}
        hydra: {job: {name: app, config: {override_dirname: {exclude_keys: [task, output_dir]}}}, sweep: {dir: out,
          subdir: '${hydra.job.override_dirname}'}, output_subdir: null}
        """,
    "attack/pgd": "epsilon: 8",
    "dataset/photos": "name: photos",
    "dataset/letters": "name: letters",
    "dataset/digits": "name: digits",
    "model/a": "{name: a, pretrained: true}",
    "model/b": "{name: b, pretrained: true}",
    "model/c": "{name: c, pretrained: true}",
    "model/x": "{defaults: [override /dataset@_global_.dataset: letters], name: x, pretrained: true}",
    "model/y": "{defaults: [override /dataset@_global_.dataset: letters], name: y, pretrained: true}",
    "model/timm": "{name: '???', pretrained: true}",
    "pool/any": "{name: any, models: []}",
    "pool/some": "{defaults: [override /dataset@_global_.dataset: digits], name: some, models: [c, a]}",
    "experiment/study": "# @package _global_\ndefaults: [override /pool: some]",
    "tracking/mirror": "mode: mirror",
    "tracking/disabled": "mode: disabled",
    "task/attack": "name: attack",
    "task/transfer": "name: transfer",
    "task/train": "name: train",
}


@dataclass(frozen=True)
class Seen:
    """A job as its task saw it."""

    model: str
    target: str | None
    sources: list[str]
    targets: list[str]
    dataset: str
    pool: list[str] | None
    epsilon: int
    tracking: str
    folder: str


@pytest.fixture(scope="module")
def conf(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    files = FILES | {"hydra/sweeper/models": (CONF / "hydra/sweeper/models.yaml").read_text()}
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def run(conf, tmp_path, monkeypatch) -> Callable[..., list[Seen]]:
    """Runs a sweep as the command line does; `task` is called for every job, after it was recorded."""
    monkeypatch.chdir(tmp_path)
    for check in ("checks.check_early", "settings.check"):
        monkeypatch.setattr(f"sat_exp.sweeps.{check}", lambda config: None)

    def run(*arguments: str, task: Callable[[DictConfig], str | None] = lambda config: None) -> list[Seen]:
        seen = []

        def record(config: DictConfig) -> str | None:
            seen.append(
                Seen(
                    model=config.model.name,
                    target=config.target and config.target.name,
                    sources=list(config.sweep.models),
                    targets=list(config.sweep.targets),
                    dataset=config.dataset.name,
                    pool=config.pool and list(config.pool.models),
                    epsilon=config.attack.epsilon,
                    tracking=config.tracking.mode,
                    folder=Path(HydraConfig.get().runtime.output_dir).relative_to(tmp_path / "out").as_posix(),
                )
            )
            return task(config)

        monkeypatch.setattr(sys, "argv", ["app", "-m", *arguments])
        sweeps.register()
        run.seen = seen  # type: ignore[attr-defined]
        hydra.main(version_base="1.3", config_path=str(conf), config_name="config")(record)()
        return seen

    return run
