"""task=matrix: the similarity of all pairs of a pool."""

from typing import Any

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.settings.types import FileName
from sat_exp.tasks import composing, measuring


def check(config: DictConfig, **_: Any) -> None:
    if config.pool is None:
        raise UserError("task=matrix needs several models: give pool=NAME, or pool=any 'pool.models=[A,B,C]'")
    measuring.check(config, composing.models(config))


def run(config: DictConfig, *, name: FileName) -> None:
    models = composing.models(config)
    directions = {(source.name, target.name) for source in models for target in models}
    title = f"Similarity of {len(models)} models on {{images}} images of {{dataset}}"
    measuring.measure(config, models, directions, title=title)
