"""task=attack: adversarial examples of one model, and how well they fool it."""

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.tasks import measuring


def run(config: DictConfig, *, name: str) -> None:
    if config.pool is not None or config.target is not None:
        raise UserError("task=attack takes one model=; use task=transfer for a target, task=matrix for a pool")
    title = f"{config.model.name} under attack on {{images}} images of {{dataset}}"
    measuring.measure(config, [config.model], title=title, pairs=False)
