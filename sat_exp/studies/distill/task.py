"""task=distill: students trained alone and with teachers, and the relation of their gain to similarity."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from omegaconf import DictConfig
from pydantic import Field

from sat_exp.errors import UserError
from sat_exp.modules.distillation import Distillation, Weight
from sat_exp.modules.training import Recipe
from sat_exp.modules.training_images import TrainingImages, check_source
from sat_exp.settings.types import Count, FileName, FilePath, Positive, Seed, Text
from sat_exp.studies.distill import findings, study
from sat_exp.studies.distill.gains import KEYS
from sat_exp.studies.distill.teachers import with_gain
from sat_exp.studies.distill.trainings import Experiment, Trial, fingerprints_of
from sat_exp.tasks import composing, measuring
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.training import Trainings

OTHER_SETTINGS = ("name", "directory", "hard", "weight", "temperature")
"""Settings that neither belong to the recipe nor have a rule in `check`."""


def check(
    config: DictConfig,
    *,
    training_root: str | None,
    students: list[str],
    teachers: list[str],
    seeds: list[int],
    picker: str | None,
    best: int | None,
    **rest: Any,
) -> None:
    """UserError if the settings do not fit together, as far as can be told without reading images."""
    student_models, teacher_models = members(students, teachers)
    check_names(student_models, teacher_models, seeds)
    recipe = {name: value for name, value in rest.items() if name not in OTHER_SETTINGS}
    if "seed" in recipe:
        raise UserError("there is no setting task.seed: give task.seeds=, a list")
    Recipe.of(recipe | {"seed": seeds[0]}, "task")
    check_source(config.dataset, training_root)
    measuring.check(config, student_models, weights=False, images=False)
    measuring.check(config, teacher_models)
    if best is not None and picker is None:
        raise UserError(f"task.best={best} needs a ranking of teachers: give task.picker=FOLDER")
    if picker is not None:
        study.ranking_from(Path(picker))


def run(
    config: DictConfig,
    *,
    name: FileName,
    directory: FilePath,
    training_root: FilePath | None,
    students: Annotated[list[Text], Field(min_length=1)],
    teachers: Annotated[list[Text], Field(min_length=1)],
    seeds: Annotated[list[Seed], Field(min_length=1)],
    hard: bool,
    weight: Weight,
    temperature: Positive,
    picker: FilePath | None,
    best: Count | None,
    **recipe: Any,
) -> None:
    """Train each of `students` with each of `seeds`, alone and with each of `teachers`; measure their similarity before
    and after; write the study. conf/task/distill.yaml explains the settings; `recipe` has those of a `Recipe`."""
    student_models, teacher_models = members(students, teachers)
    rank = None if picker is None else study.ranking_from(Path(picker))
    measurement = measuring.prepared(config)
    images = TrainingImages.of(config.dataset, training_root, config.hardware.workers)
    images.augmented(recipe["transform"])
    numbers = f"{counted(len(student_models), 'student')}, {counted(len(teacher_models), 'teacher')}"
    title = f"Distillation on {measurement.images.name}: {numbers}"
    with recorded(config, title, tags=[measurement.images.name]) as recording:
        trainings = Trainings(Path(directory), images, measurement.hardware, recording.tracked)
        fingerprints, failures = fingerprints_of(teacher_models)
        loaded = [teacher for teacher in teacher_models if teacher.name in fingerprints]
        distillation = Distillation(hard, weight, temperature)
        experiment = Experiment(trainings, measurement, recipe, distillation, loaded, fingerprints)
        alone = [Trial(student, seed) for student in student_models for seed in seeds]
        with_teacher = [Trial(trial.student, trial.seed, teacher) for teacher in loaded for trial in alone]
        ranking = None
        if rank is not None:
            done, _ = experiment.train(alone)
            ranking = rank(study.observed(experiment, done, experiment.measure(done), config)["before"])
            findings.show_ranking(ranking)
            chosen = first_ranked(ranking, best)
            with_teacher = [trial for trial in with_teacher if trial.pair in chosen]
        done, failed = experiment.train([*alone, *with_teacher])
        failures |= failed
        if not done:
            measuring.refuse(failures)
        measured = experiment.measure(done)
        failures |= measured.failures
        tables = study.observed(experiment, done, measured, config)
        tables |= study.concluded(tables, measured, config.seed)
        if ranking is not None:
            tables["picked"] = with_gain(ranking, tables.get(study.BY_PAIR))
        if failures:
            tables["failures"] = pd.DataFrame(failures.items(), columns=["model", "reason"])
        facts = measuring.facts(measurement, measured) | {"findings": findings.findings(tables)}
        drawn = recording.finish(facts, tables)
    findings.show(tables, recording.summary, drawn.page)
    measuring.refuse(failures)


def members(students: Sequence[str], teachers: Sequence[str]) -> tuple[list[DictConfig], list[DictConfig]]:
    """The configurations of the students and of the teachers."""
    return composing.members(students, "task.students"), composing.members(teachers, "task.teachers")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}"


def first_ranked(ranking: pd.DataFrame, best: int | None) -> set[tuple[str, str]]:
    """The pairs of student and teacher up to rank `best`; all of them by default."""
    leading = ranking if best is None else ranking[ranking["rank"] <= best]
    return set(leading[KEYS].itertuples(index=False, name=None))


def check_names(students: Sequence[DictConfig], teachers: Sequence[DictConfig], seeds: Sequence[int]) -> None:
    """UserError for models that predict different classes, for repeated seeds and for a name that is used twice."""
    if len(set(seeds)) < len(seeds):
        raise UserError(f"task.seeds={list(seeds)}: give each once")
    first = students[0]
    names = {Trial(student, seed).name for student in students for seed in seeds}
    if taken := names & {teacher.name for teacher in teachers}:
        raise UserError(f"{min(taken)} is both a teacher and a trained student: give another seed")
    for model in (*students, *teachers):
        if model.label_space != first.label_space:
            raise UserError(
                f"{model.name} predicts {model.label_space}, {first.name} predicts {first.label_space}: "
                "choose students and teachers with the same classes"
            )
