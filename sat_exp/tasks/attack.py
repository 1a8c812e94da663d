"""task=attack: the success of the attack on one model, or on each of a pool."""

from typing import Any

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.settings.types import FileName
from sat_exp.tasks import composing, measuring


def check(config: DictConfig, **_: Any) -> None:
    if config.target is not None:
        raise UserError("task=attack has no model@target=: use task=transfer")
    measuring.check(config, attacked(config))


def attacked(config: DictConfig) -> list[DictConfig]:
    whole = config.pool is not None and not config.sweep.models
    return composing.models(config) if whole else composing.sources(config)


def run(config: DictConfig, *, name: FileName) -> None:
    models = attacked(config)
    what = models[0].name if len(models) == 1 else f"{len(models)} models"
    directions = {(model.name, model.name) for model in models}
    measuring.measure(config, models, directions, title=f"{what} under attack on {{images}} images of {{dataset}}")
