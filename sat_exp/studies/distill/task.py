"""task=distill: students trained alone and with teachers, and the relation of their gain to similarity."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from omegaconf import DictConfig
from pydantic import Field

from sat_exp import models, tracking
from sat_exp.errors import UserError
from sat_exp.measurement import Measured, Measurement, pair_table
from sat_exp.models import Classifier
from sat_exp.modules.distillation import Distillation
from sat_exp.modules.training import Recipe
from sat_exp.modules.training_images import Source, TrainingImages, check_source
from sat_exp.runs import Run
from sat_exp.settings import plain
from sat_exp.settings.types import Count, Existing, FileName, FilePath, FolderPath, Positive, Seed, Text
from sat_exp.store import key_of
from sat_exp.studies.distill import findings
from sat_exp.studies.distill.gains import KEYS, changes, gains, known_before, over_seeds, relations
from sat_exp.studies.distill.rankers import evaluated, fitted, ranked, rankings, with_gain, with_gain_of_others
from sat_exp.tasks import composing, measuring, results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.training import NUMBERS, Job, Lesson, Setup, Trainings, by_labels, fingerprints_of

OTHER_SETTINGS = ("name", "directory", "hard", "weight", "temperature")  # neither of a recipe nor with a rule here


@dataclass(frozen=True, eq=False)
class Trial:
    """A student and a seed, with a teacher or, as the baseline, alone."""

    student: DictConfig
    seed: int
    teacher: DictConfig | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """The names of the student and the teacher, "" for the baseline."""
        return self.student.name, "" if self.teacher is None else self.teacher.name

    @property
    def name(self) -> str:
        student, teacher = self.pair
        return f"{student}_seed{self.seed}_from_{teacher}" if teacher else f"{student}_seed{self.seed}"


@dataclass(frozen=True)
class Experiment:
    """What all trainings of a study share. tracked: gets their metrics. settings: of a `Recipe`, without the seed.
    fingerprints: of the teachers."""

    trainings: Trainings
    measurement: Measurement
    tracked: tracking.Run
    settings: dict[str, Any]
    distillation: Distillation
    teachers: list[DictConfig]
    fingerprints: dict[str, str]

    def train(self, trials: Iterable[Trial]) -> tuple[dict[Trial, Job], dict[str, str]]:
        """Train what the folder lacks: the finished trainings, and the reason of each failure by name."""
        jobs = {trial: self.job(trial) for trial in trials}
        failures = self.trainings.train(list(jobs.values()), self.measurement.engine, self.tracked)
        return {trial: job for trial, job in jobs.items() if job.name not in failures}, failures

    def job(self, trial: Trial) -> Job:
        recipe = Recipe.of(self.settings | {"seed": trial.seed})
        network, images = plain(trial.student.network), self.trainings.images.digest
        facts = {"network": network, "recipe": recipe.facts(), "images": images}
        setup: Callable[[Job, Classifier, TrainingImages], Setup] = by_labels
        if trial.teacher is not None:
            facts |= {"teacher": self.fingerprints[trial.teacher.name], "distillation": asdict(self.distillation)}
            setup = Lesson(trial.teacher, self.distillation, self.measurement.store, self.measurement.hardware)
        file = f"{trial.name}-{key_of(facts)[:8]}"
        return Job(trial.name, file, trial.student, recipe, facts, setup)

    def measure(self, done: dict[Trial, Job]) -> Measured:
        """Transfer between each student of `done` and all teachers, in both directions."""
        students = []
        for trial, job in done.items():
            student, teacher = trial.pair
            group = {"architecture": student, "seed": trial.seed, "recipe": teacher or "labels"}
            students.append(self.trainings.trained(job, group))
        pairs = [(student.name, teacher.name) for student in students for teacher in self.teachers]
        directions = {*pairs, *((teacher, student) for student, teacher in pairs)}
        return self.measurement.run([models.Configured(model) for model in (*self.teachers, *students)], directions)


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
    if len(set(seeds)) < len(seeds):
        raise UserError(f"task.seeds={list(seeds)}: give each once")
    names = {Trial(student, seed).name for student in student_models for seed in seeds}
    if taken := names & {teacher.name for teacher in teacher_models}:
        raise UserError(f"{min(taken)} is both a teacher and a trained student: give another seed")
    first, *others = (*student_models, *teacher_models)
    for model in others:
        if model.label_space != first.label_space:
            labels = f"{model.name} predicts {model.label_space}, {first.name} predicts {first.label_space}"
            raise UserError(f"{labels}: choose students and teachers with the same classes")
    recipe = {name: value for name, value in rest.items() if name not in OTHER_SETTINGS}
    if "seed" in recipe:
        raise UserError("there is no setting task.seed: give task.seeds=, a list")
    Recipe.of(recipe | {"seed": seeds[0]}, "task")
    check_source(config.dataset, training_root, [recipe.get("transform")])
    measuring.check(config, student_models, weights=False, images=False)
    measuring.check(config, teacher_models)
    if picker is not None:
        fitted(finished(picker))
    elif best is not None:
        raise UserError(f"task.best={best} needs a ranking of teachers: give task.picker=FOLDER")


def run(
    config: DictConfig,
    *,
    name: FileName,
    directory: FolderPath,
    training_root: FilePath | None,
    students: Annotated[list[Text], Field(min_length=1)],
    teachers: Annotated[list[Text], Field(min_length=1)],
    seeds: Annotated[list[Seed], Field(min_length=1)],
    hard: bool,
    weight: Annotated[float, Field(gt=0, le=1)],
    temperature: Positive,
    picker: Existing | None,
    best: Count | None,
    **recipe: Annotated[Any, Recipe],
) -> None:
    """Train the students alone and with the teachers, measure their similarity before and after, and write the study.
    conf/task/distill.yaml explains the settings; `recipe` has those of a `Recipe`."""
    student_models, teacher_models = members(students, teachers)
    earlier = None if picker is None else finished(picker)
    measurement = measuring.prepared(config)
    source = Source(plain(config.dataset), training_root, config.hardware.workers)
    trainings = Trainings(Path(directory), source, measurement.hardware)
    trainings.images.augmented(recipe["transform"])
    numbers = {"student": len(student_models), "teacher": len(teacher_models)}
    counts = ", ".join(f"{number} {noun}{'s' * (number > 1)}" for noun, number in numbers.items())
    title = f"Distillation on {measurement.images.name}: {counts}"
    with recorded(config, title, tags=[measurement.images.name]) as recording:
        fingerprints, failures = fingerprints_of(teacher_models)
        loaded = [teacher for teacher in teacher_models if teacher.name in fingerprints]
        distillation = Distillation(hard, weight, temperature)
        tracked = recording.tracked
        experiment = Experiment(trainings, measurement, tracked, recipe, distillation, loaded, fingerprints)
        alone = [Trial(student, seed) for student in student_models for seed in seeds]
        with_teacher = [Trial(trial.student, trial.seed, teacher) for teacher in loaded for trial in alone]
        if earlier is not None:
            done, _ = experiment.train(alone)
            before = observed(experiment, done, experiment.measure(done), config)["before"]
            means = before.groupby(KEYS, as_index=False, sort=False).mean()
            ranking = with_gain_of_others(ranked(fitted(earlier), means), earlier)
            findings.show_ranking(ranking)
            chosen = ranking if best is None else ranking[ranking["rank"] <= best]
            pairs = set(chosen[KEYS].itertuples(index=False, name=None))
            with_teacher = [trial for trial in with_teacher if trial.pair in pairs]
        done, failed = experiment.train([*alone, *with_teacher])
        failures |= failed
        if not done:
            measuring.refuse(failures)
        measured = experiment.measure(done)
        failures |= measured.failures
        tables = observed(experiment, done, measured, config)
        tables |= concluded(tables, measured, config.seed)
        if earlier is not None:
            tables["picked"] = with_gain(ranking, tables.get("by_pair"))
        if failures:
            tables["failures"] = pd.DataFrame(failures.items(), columns=["model", "reason"])
        facts = measuring.facts(measurement, measured) | {"findings": findings.findings(tables)}
        drawn = recording.finish(facts, tables)
    results.show(recording.summary, findings.printed(tables), drawn.page)
    measuring.refuse(failures)


def members(students: Sequence[str], teachers: Sequence[str]) -> tuple[list[DictConfig], list[DictConfig]]:
    return composing.members(students, "task.students"), composing.members(teachers, "task.teachers")


def finished(picker: str) -> pd.DataFrame:
    """The table `by_pair` of the finished study in a folder; UserError if it has none."""
    pairs = Run.open(Path(picker)).table("by_pair")
    if pairs is None:
        raise UserError(f"{picker} is not a study of distillation: give task.picker=FOLDER of a finished one")
    return pairs


def observed(
    experiment: Experiment, done: dict[Trial, Job], measured: Measured, config: DictConfig
) -> dict[str, pd.DataFrame]:
    """The tables of the trainings and of the measurement; the teacher of a baseline is ""."""
    labels, folder, prints = experiment.measurement.images.labels, experiment.trainings, experiment.fingerprints
    rows = [(*trial.pair, trial.seed, trial.name, *map(folder.record(job).get, NUMBERS)) for trial, job in done.items()]
    trainings = pd.DataFrame(rows, columns=[*KEYS, "seed", "network", "accuracy", "parameters", "seconds"])
    accuracies = [(teacher.name, folder.tested(teacher, prints[teacher.name])) for teacher in experiment.teachers]
    teachers = pd.DataFrame(accuracies, columns=["teacher", "teacher_accuracy"])
    pairs = pair_table(measured, labels, measuring.scoring(config))
    return {
        "trainings": trainings,
        "networks": measuring.model_table(measured, labels, config.score.confidence),
        "similarity": pairs,
        "teachers": teachers,
        "before": known_before(trainings, pairs, teachers),
    }


def concluded(tables: Mapping[str, pd.DataFrame], measured: Measured, seed: int) -> dict[str, pd.DataFrame]:
    """The tables of the gains; none if no gain is known."""
    bases = {model.name: model.components.get("base_architecture", "") for model in measured.models}
    by_seed = gains(tables["trainings"], tables["similarity"], tables["teachers"], bases)
    if by_seed.empty:
        return {}
    by_pair = over_seeds(by_seed)
    return {
        "gains": by_seed,
        "by_pair": by_pair,
        "changes": changes(by_pair, seed=seed),
        "relations": relations(by_pair, seed=seed),
        "pickers": evaluated(by_seed, seed=seed),
        "rankings": rankings(by_pair),
    }
