"""task=attack: adversarial examples of one model, or of each of a sweep's, and how well they fool it."""

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.tasks import composing, measuring


def run(config: DictConfig, *, name: str) -> None:
    if config.pool is not None or config.target is not None:
        raise UserError("task=attack takes one model=; use task=transfer for a target, task=matrix for a pool")
    models = composing.sources(config)
    what = models[0].name if len(models) == 1 else f"{len(models)} models"
    directions = {(model.name, model.name) for model in models}
    measuring.measure(config, models, directions, title=f"{what} under attack on {{images}} images of {{dataset}}")
