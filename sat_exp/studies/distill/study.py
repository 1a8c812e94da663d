"""The tables of the study, and rankings of teachers from a finished study."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.measurement import Measured
from sat_exp.runs import Run
from sat_exp.studies.distill.gains import KEYS, changes, gains, known_before, over_seeds
from sat_exp.studies.distill.rankers import evaluated
from sat_exp.studies.distill.relations import relations
from sat_exp.studies.distill.teachers import GainModel, rankings, with_gain_of_others
from sat_exp.studies.distill.trainings import Experiment, Trial
from sat_exp.tasks import measuring
from sat_exp.tasks.training import Job

BY_PAIR = "by_pair"


def observed(
    experiment: Experiment, done: dict[Trial, Job], measured: Measured, config: DictConfig
) -> dict[str, pd.DataFrame]:
    """The tables of the trainings and of the measurement: trainings, networks, similarity, teachers, before."""
    labels = experiment.measurement.images.labels
    trainings, accuracies = experiment.records(done), experiment.accuracies()
    pairs = measuring.pair_table(measured, labels, config)
    return {
        "trainings": trainings,
        "networks": measuring.model_table(measured, labels, config.score.confidence),
        "similarity": pairs,
        "teachers": accuracies,
        "before": known_before(trainings, pairs, accuracies),
    }


def concluded(tables: Mapping[str, pd.DataFrame], measured: Measured, seed: int) -> dict[str, pd.DataFrame]:
    """The tables of the gains: gains, by_pair, changes, relations, pickers, rankings; none if no gain is known."""
    bases = {model.name: model.components.get("base_architecture", "") for model in measured.models}
    by_seed = gains(tables["trainings"], tables["similarity"], tables["teachers"], bases)
    if by_seed.empty:
        return {}
    by_pair = over_seeds(by_seed)
    return {
        "gains": by_seed,
        BY_PAIR: by_pair,
        "changes": changes(by_pair, seed=seed),
        "relations": relations(by_pair, seed=seed),
        "pickers": evaluated(by_seed, seed=seed),
        "rankings": rankings(by_pair),
    }


def ranking_from(folder: Path) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that ranks the teachers in a table `before` by the gains of the finished study in `folder`. UserError
    if the folder has none, or too few pairs."""
    pairs = Run.open(folder).table(BY_PAIR)
    if pairs is None:
        raise UserError(f"{folder} is not a study of distillation: give task.picker=FOLDER of a finished one")
    model = GainModel.fit(pairs)

    def rank(before: pd.DataFrame) -> pd.DataFrame:
        means = before.groupby(KEYS, as_index=False, sort=False).mean()
        return with_gain_of_others(model.ranking(means), pairs)

    return rank
