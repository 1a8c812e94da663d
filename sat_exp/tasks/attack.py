"""task=attack: adversarial examples of one model, or of each of a pool or a sweep, and how well they fool it."""

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.tasks import composing, measuring


def run(config: DictConfig, *, name: str) -> None:
    if config.target is not None:
        raise UserError("task=attack has no model@target=: use task=transfer")
    whole = config.pool is not None and not config.sweep.models
    models = composing.models(config) if whole else composing.sources(config)
    what = models[0].name if len(models) == 1 else f"{len(models)} models"
    directions = {(model.name, model.name) for model in models}
    measuring.measure(config, models, directions, title=f"{what} under attack on {{images}} images of {{dataset}}")
