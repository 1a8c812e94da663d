"""task=transfer: how well the adversarial examples of two models fool each other."""

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.tasks import measuring


def run(config: DictConfig, *, name: str) -> None:
    if config.target is None:
        raise UserError("task=transfer needs a second model: give model@target=NAME")
    models = [config.model] if config.model.name == config.target.name else [config.model, config.target]
    title = f"{config.model.name} and {config.target.name} on {{images}} images of {{dataset}}"
    measuring.measure(config, models, title=title, pairs=True)
