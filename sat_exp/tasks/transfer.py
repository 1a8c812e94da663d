"""task=transfer: transfer rates between two models, or from one to a pool."""

from typing import Any

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.settings.types import FileName
from sat_exp.tasks import composing, measuring


def check(config: DictConfig, **_: Any) -> None:
    if bool(composing.targets(config)) == (config.pool is not None):
        raise UserError("task=transfer needs a second model: give model@target=NAME, or pool=NAME, and not both")
    measuring.check(config, composing.distinct([*composing.sources(config), *partners_of(config)]))


def partners_of(config: DictConfig) -> list[DictConfig]:
    return composing.targets(config) or composing.members(config.pool.models, "pool.models")


def run(config: DictConfig, *, name: FileName) -> None:
    """A pair, or all pairs of a sweep's sources and targets, both ways; with a pool, from the sources to it."""
    sources, targets, partners = composing.sources(config), composing.targets(config), partners_of(config)
    directions = {(source.name, target.name) for source in sources for target in partners}
    if targets:
        directions |= {(target, source) for source, target in directions}
    models = composing.distinct([*sources, *partners])
    measuring.measure(config, models, directions, title=title(sources, models, config))


def title(sources: list[DictConfig], models: list[DictConfig], config: DictConfig) -> str:
    what = " and ".join(model.name for model in models[:2])
    if config.pool is not None:
        what = f"Transfer from {sources[0].name if len(sources) == 1 else len(sources)} to {len(models)} models"
    elif len(models) > 2:
        what = f"Transfer between {len(models)} models"
    return f"{what} on {{images}} images of {{dataset}}"
