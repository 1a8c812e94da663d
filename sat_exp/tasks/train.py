"""task=train: train networks on the training images of a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from omegaconf import DictConfig
from pydantic import Field

from sat_exp.errors import UserError
from sat_exp.modules.training import Recipe
from sat_exp.modules.training_images import Source, check_source
from sat_exp.report.headline import spread
from sat_exp.settings import build, checked, plain
from sat_exp.settings.types import FileName, FilePath, FolderPath, Seed
from sat_exp.tasks import composing, measuring, pools, printing, results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.training import ACCURACY, Job, Trainings, by_labels

POOL = "trained"
TRAINED = {"network": "", "test_accuracy": ".2%", "parameters": ",d", "seconds": "d"}


@dataclass(frozen=True)
class Variant:
    """One training of an architecture. group: that of the trained model's file, None without seeds and recipes."""

    name: str
    model: DictConfig
    recipe: Recipe
    group: dict[str, Any] | None


def check(
    config: DictConfig,
    *,
    training_root: str | None,
    seeds: list[int] | None,
    recipes: dict[str, dict[str, Any]] | None,
    **rest: Any,
) -> None:
    """UserError if the settings do not fit together, and at last if there are no training images."""
    chosen = composing.models(config)
    measuring.check(config, chosen, weights=False, images=False)
    recipe = {name: value for name, value in rest.items() if name not in ("name", "directory")}
    checked(Recipe, recipe, "task")
    every = variants(chosen, recipe, recipes, seeds)
    names = [variant.name for variant in every]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two trainings are called {min(repeated)}: give each of task.seeds and each model once")
    check_source(config.dataset, training_root, [variant.recipe.transform for variant in every])


def run(
    config: DictConfig,
    *,
    name: FileName,
    directory: FolderPath,
    training_root: FilePath | None,
    seeds: Annotated[list[Seed], Field(min_length=1)] | None,
    recipes: Annotated[dict[FileName, dict[str, Any]], Field(min_length=1)] | None,
    **recipe: Annotated[Any, Recipe],
) -> None:
    """Train every model that `directory` lacks; a second process takes the next free one. `recipe`: the settings of a
    `Recipe`. A model's `training`, then an entry of `recipes`, then the seed override it."""
    folder = Path(directory)
    chosen = variants(composing.models(config), recipe, recipes, seeds)
    source = Source(plain(config.dataset), training_root, config.hardware.workers)
    trainings = Trainings(folder, source, build(config.hardware, "hardware"))
    images, engine = trainings.images, build(config.engine, "engine")
    with recorded(config, f"Training of {len(chosen)} models") as recording:
        jobs = [job(variant, images.digest) for variant in chosen]
        failures = trainings.train(jobs, engine, recording.tracked)
        pooled = [
            trainings.trained(done, variant.group)
            for variant, done in zip(chosen, jobs, strict=True)
            if variant.group is not None and done.name not in failures
        ]
        if pooled:
            pools.write_models(folder, pooled)
            pools.write_pool(folder, POOL, sorted(path.stem for path in (folder / "model").glob("*.yaml")))
    show(trainings, [done for done in jobs if done.name not in failures], folder if pooled else None)
    measuring.refuse(failures, "not trained")


def variants(
    chosen: list[DictConfig], recipe: dict[str, Any], recipes: dict[str, dict[str, Any]] | None, seeds: list[int] | None
) -> list[Variant]:
    """Every model with every recipe and every seed; without recipes and seeds, every model as its file states."""
    every = []
    for model in chosen:
        own, stated = (plain(model[part]) if part in model else {} for part in ("training", "group"))
        own = recipe | own
        Recipe.of(own, f"{model.name}: training")
        for label, changes in (recipes or {stated.get("recipe", ""): {}}).items():
            for seed in seeds or [(own | changes)["seed"]]:
                settings = Recipe.of(own | changes | {"seed": seed}, f"task.recipes.{label}")
                group, name = None, model.name
                if recipes or seeds:
                    group = {"architecture": stated.get("architecture", model.name), "seed": seed, "recipe": label}
                    name = "_".join([model.name, *([label] if recipes else []), *([f"seed{seed}"] if seeds else [])])
                    pools.check_name(name)
                every.append(Variant(name, model, settings, group))
    return every


def job(variant: Variant, images: str) -> Job:
    """The training of a variant. images: their digest."""
    facts = {"network": plain(variant.model.network), "recipe": variant.recipe.facts(), "images": images}
    return Job(variant.name, variant.name, variant.model, variant.recipe, facts, by_labels)


def show(trainings: Trainings, done: list[Job], pool: Path | None) -> None:
    """Print the accuracy of the trained networks, and the command that measures their similarity."""
    if not done:
        return
    records = pd.DataFrame([trainings.record(job) | {"network": job.name} for job in done])
    best = records.loc[records[ACCURACY].idxmax()]
    text = f"{best['network']} classifies {best[ACCURACY]:.2%} of the test images correctly."
    if len(done) > 1:
        right = f"classify {spread(records[ACCURACY])} of the test images correctly"
        text = f"The {len(done)} networks {right}; the best is {best['network']}."
    results.show({"findings": [text]}, [printing.table(f"trained, in {trainings.folder}", records, TRAINED)])
    if pool is not None:
        command = f"python -m sat_exp -cd {pool} task=matrix pool={POOL}"
        printing.console().print(f"their similarity: {command}", soft_wrap=True)
