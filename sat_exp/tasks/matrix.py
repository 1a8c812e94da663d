"""task=matrix: the similarity of all pairs of a pool."""

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.tasks import composing, measuring


def run(config: DictConfig, *, name: str) -> None:
    if config.pool is None:
        raise UserError("task=matrix needs several models: give pool=NAME, or pool=any 'pool.models=[A,B,C]'")
    title = "Similarity of {models} models on {images} images of {dataset}"
    measuring.measure(config, composing.models(config), title=title, pairs=True)
