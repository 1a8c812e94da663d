"""task=distill: students trained with and without teachers, and how the similarity of the two goes with the gain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from omegaconf import DictConfig
from pydantic import Field
from rich.console import Console
from rich.table import Column, Table

from sat_exp import models
from sat_exp.errors import UserError
from sat_exp.measurement import Measured, Measurement
from sat_exp.models import Classifier
from sat_exp.modules.distillation import Distillation, Distilling, Taught, Weight, answers
from sat_exp.modules.training import Recipe, Training
from sat_exp.modules.training_images import TrainingImages, check_source
from sat_exp.runs import Run
from sat_exp.settings.types import Count, FileName, FilePath, Positive, Seed, Text
from sat_exp.store import key_of
from sat_exp.studies.distill import distillation as study
from sat_exp.tasks import composing, measuring, printing, results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.training import Job, Setup, Trainings, plain

BY_PAIR = "by_pair"
OWN = ("name", "directory", "hard", "weight", "temperature")
"""Settings that belong neither to the recipe nor to what is checked beforehand."""

CHANGES = {
    "gain": ("A teacher changes a student's accuracy, in percentage points,", 100),
    "sat_change": ("Distillation changes the SAT of the two", 1),
    "beyond_others": ("It changes the SAT with that teacher more than with the others", 1),
}
WORDS = {study.SIMILARITY: "the SAT of the two before", study.ACCURACY: "the teacher's accuracy"}


@dataclass(frozen=True, eq=False)
class Trial:
    """A student from a seed, with a teacher or, as the baseline, without."""

    student: DictConfig
    seed: int
    teacher: DictConfig | None = None

    @property
    def name(self) -> str:
        alone = f"{self.student.name}_seed{self.seed}"
        return alone if self.teacher is None else f"{alone}_from_{self.teacher.name}"

    @property
    def group(self) -> dict[str, Any]:
        recipe = "labels" if self.teacher is None else self.teacher.name
        return {"architecture": self.student.name, "seed": self.seed, "recipe": recipe}


@dataclass(frozen=True)
class Study:
    """What the trainings of a study have in common; fingerprints: of the teachers, by name."""

    trainings: Trainings
    measurement: Measurement
    settings: dict[str, Any]
    distillation: Distillation
    teachers: list[DictConfig]
    fingerprints: dict[str, str]

    def train(self, trials: Sequence[Trial]) -> tuple[dict[Trial, Job], dict[str, str]]:
        """The trainings of `trials` that are done, now or before; and by name why the others failed."""
        jobs = {trial: self.job(trial) for trial in trials}
        failures = self.trainings.train(list(jobs.values()))
        return {trial: job for trial, job in jobs.items() if job.name not in failures}, failures

    def job(self, trial: Trial) -> Job:
        recipe = Recipe.of(self.settings | {"seed": trial.seed})
        network, images = plain(trial.student.network), self.trainings.images.digest
        facts: dict[str, Any] = {"network": network, "recipe": recipe.facts(), "images": images}
        if trial.teacher is not None:
            facts |= {"teacher": self.fingerprints[trial.teacher.name], "distillation": asdict(self.distillation)}
        file = f"{trial.name}-{key_of(facts)[:8]}"
        return Job(trial.name, file, trial.student, recipe, facts, partial(self.setup, trial, recipe))

    def setup(self, trial: Trial, recipe: Recipe, classifier: Classifier) -> Setup:
        images, classes = self.trainings.images, trial.student.classes
        shown = images.augmented(recipe.transform)
        if trial.teacher is None:
            return Setup(partial(Training, classifier, classes, recipe), images.batches(shown, recipe.batch_size))
        teacher = models.load(trial.teacher)
        if recipe.views is not None:
            said = answers(teacher, classes, images, recipe.views, self.measurement.store, self.trainings.hardware)
            shown = Taught(shown, said)
        taught = partial(Distilling, distillation=self.distillation, teacher=teacher.classifier)
        return Setup(partial(taught, classifier, classes, recipe), images.batches(shown, recipe.batch_size))

    def accuracies(self) -> pd.DataFrame:
        """teacher, teacher_accuracy, on the images that students are tested on."""
        known = self.fingerprints
        rows = [(teacher.name, self.trainings.examined(teacher, known[teacher.name])) for teacher in self.teachers]
        return pd.DataFrame(rows, columns=["teacher", "teacher_accuracy"])

    def measure(self, done: dict[Trial, Job]) -> Measured:
        """Transfer between each student of `done` and all teachers."""
        students = [self.trainings.trained(job, trial.group) for trial, job in done.items()]
        between = [(student.name, teacher.name) for student in students for teacher in self.teachers]
        directions = {way for one, other in between for way in ((one, other), (other, one))}
        return self.measurement.run([models.Configured(model) for model in (*self.teachers, *students)], directions)

    def before(self, done: dict[Trial, Job], config: DictConfig) -> pd.DataFrame:
        """What is known of each student and teacher before the one teaches the other, means over seeds."""
        known = observed(self, done, self.measure(done), config)["before"]
        return known.groupby(study.KEYS, as_index=False, sort=False).mean()


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
    """UserError where what `run` is asked for cannot be done, as far as is known without any image."""
    student_models, teacher_models = (
        composing.members(students, "task.students"),
        composing.members(teachers, "task.teachers"),
    )
    check_names(student_models, teacher_models, seeds)
    recipe = {name: value for name, value in rest.items() if name not in OWN}
    if "seed" in recipe:
        raise UserError("there is no setting task.seed: give task.seeds=, a list")
    Recipe.of(recipe | {"seed": seeds[0]}, "task")
    check_source(config.dataset, training_root)
    measuring.check(config, student_models, weights=False, images=False)
    measuring.check(config, teacher_models)
    if best is not None and picker is None:
        raise UserError(f"task.best={best}: give how many teachers of a ranking by task.picker=FOLDER")
    if picker is not None:
        ranker(Path(picker))


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
    """Train each of `students` from each of `seeds` alone and by each of `teachers`, measure how similar they are
    before and after, and write what the study says. The settings of a `Recipe` are those of every training.

    picker: the folder of a finished study, which ranks the teachers of each student once the students alone are
    trained; best: how many of each ranking then teach.
    """
    student_models, teacher_models = (
        composing.members(students, "task.students"),
        composing.members(teachers, "task.teachers"),
    )
    settings, distillation = plain(recipe), Distillation(hard, weight, temperature)
    rank = None if picker is None else ranker(Path(picker))
    measurement = measuring.prepared(config)
    images = TrainingImages.of(config.dataset, training_root, config.hardware.workers)
    images.augmented(settings["transform"])
    numbers = (
        f"{len(of)} {what}{'s' * (len(of) > 1)}"
        for of, what in ((student_models, "student"), (teacher_models, "teacher"))
    )
    title = f"Distillation on {measurement.images.name}: {', '.join(numbers)}"
    with recorded(config, title, tags=[measurement.images.name]) as recording:
        trainings = Trainings(Path(directory), images, measurement.hardware, recording.tracked)
        fingerprints, failures = loadable(teacher_models)
        teacher_models = [teacher for teacher in teacher_models if teacher.name in fingerprints]
        planned = Study(trainings, measurement, settings, distillation, teacher_models, fingerprints)
        alone = [Trial(student, seed) for student in student_models for seed in seeds]
        taught = [Trial(one.student, one.seed, teacher) for teacher in teacher_models for one in alone]
        ranking = None
        if rank is not None:
            done, _ = planned.train(alone)
            ranking = rank(planned.before(done, config))
            show_ranking(ranking)
            leading = ranking if best is None else ranking[ranking["rank"] <= best]
            chosen = set(leading[study.KEYS].itertuples(index=False, name=None))
            taught = [one for one in taught if one.teacher and (one.student.name, one.teacher.name) in chosen]
        done, failed = planned.train([*alone, *taught])
        failures |= failed
        if not done:
            measuring.refuse(failures)
        measured = planned.measure(done)
        failures |= measured.failures
        tables = observed(planned, done, measured, config)
        tables |= concluded(tables, measured, config.seed)
        if ranking is not None:
            tables["picked"] = study.beside(ranking, tables.get(BY_PAIR))
        if failures:
            tables["failures"] = pd.DataFrame(failures.items(), columns=["model", "reason"])
        noted = measuring.facts(measurement, measured) | {"findings": findings(tables)}
        drawn = recording.finish(noted, tables)
    show(tables, recording.summary, drawn.page)
    measuring.refuse(failures)


def loadable(teachers: Sequence[DictConfig]) -> tuple[dict[str, str], dict[str, str]]:
    """The fingerprints of the teachers, and of those that cannot be loaded why, by name."""
    fingerprints, failures = {}, {}
    for teacher in teachers:
        try:
            fingerprints[teacher.name] = models.load(teacher).fingerprint
        except UserError as error:
            failures[teacher.name] = str(error)
    return fingerprints, failures


def check_names(students: Sequence[DictConfig], teachers: Sequence[DictConfig], seeds: Sequence[int]) -> None:
    """Refuse models that cannot teach one another, and seeds that are given twice."""
    if len(set(seeds)) < len(seeds):
        raise UserError(f"task.seeds={list(seeds)}: give each once")
    spaces = {model.name: model.label_space for model in [*students, *teachers]}
    first = students[0]
    if taken := {Trial(student, seed).name for student in students for seed in seeds} & {one.name for one in teachers}:
        raise UserError(f"{min(taken)} is a teacher and what a student of that seed is called: give another seed")
    for model, space in spaces.items():
        if space != first.label_space:
            raise UserError(
                f"{model} predicts {space}, {first.name} {first.label_space}: they cannot teach each other; "
                "choose others"
            )


def observed(planned: Study, done: dict[Trial, Job], measured: Measured, config: DictConfig) -> dict[str, pd.DataFrame]:
    """The tables of what was trained and measured: trainings, networks, similarity, teachers, before."""
    rows = []
    for trial, job in done.items():
        record = planned.trainings.record(job)
        rows.append(
            {
                "student": trial.student.name,
                "teacher": "" if trial.teacher is None else trial.teacher.name,
                "seed": trial.seed,
                "network": trial.name,
                "accuracy": record["test_accuracy"],
                "parameters": record["parameters"],
                "seconds": record["seconds"],
            }
        )
    trainings = pd.DataFrame(rows)
    pairs = measuring.pair_table(measured, planned.measurement.images.labels, config)
    accuracies = planned.accuracies()
    return {
        "trainings": trainings,
        "networks": measuring.model_table(measured, planned.measurement.images.labels, config.score.confidence),
        "similarity": pairs,
        "teachers": accuracies,
        "before": study.known_before(trainings, pairs, accuracies),
    }


def concluded(tables: Mapping[str, pd.DataFrame], measured: Measured, seed: int) -> dict[str, pd.DataFrame]:
    """The tables of what that says: gains, by_pair, changes, relations, pickers, rankings; none without a gain."""
    bases = {subject.name: subject.components.get("base_architecture", "") for subject in measured.models}
    found = study.gains(tables["trainings"], tables["similarity"], tables["teachers"], bases)
    if found.empty:
        return {}
    by_pair = study.over_seeds(found)
    return {
        "gains": found,
        BY_PAIR: by_pair,
        "changes": study.changes(by_pair, seed=seed),
        "relations": study.relations(by_pair, seed=seed),
        "pickers": study.held(found, seed=seed),
        "rankings": study.rankings(by_pair),
    }


def finished(folder: Path) -> pd.DataFrame:
    """The pairs of a finished study; UserError where the folder holds none."""
    pairs = Run.open(folder).table(BY_PAIR)
    if pairs is None:
        raise UserError(f"{folder} holds no study of distillation: give task.picker=FOLDER of a finished one")
    return pairs


def ranker(folder: Path) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """What ranks teachers by the finished study in `folder`, from what is known of them and their students before."""
    known = finished(folder)
    picker = study.Picker.fitted(known)
    return lambda before: study.elsewhere(picker.ranking(before), known)


def show_ranking(ranking: pd.DataFrame) -> None:
    console = printing.console()
    for student, rows in ranking.groupby("student", sort=False):
        heading = f"{student}: teachers, ranked before training; gains above its average teacher's"
        table = Table("rank", Column("teacher", overflow="fold"), title=heading, title_justify="left")
        for name in ("SAT", "accuracy", "expected", "gave others"):
            table.add_column(name, justify="right")
        for row in rows.itertuples():
            known = f"{row.sat_before:.2f}", f"{row.teacher_accuracy:.1%}"
            gains = f"{row.expected:+.2%}", results.number(row.gave_others, "+.2%")
            table.add_row(str(row.rank), str(row.teacher), *known, *gains)
        console.print(table)


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The result in a few sentences."""
    if "gains" not in tables:
        return ["No student has both its baseline and a teacher yet."]
    said = []
    of_all = tables["changes"][tables["changes"]["group"] == study.ALL].set_index("quantity")
    for quantity, (what, unit) in CHANGES.items():
        if quantity in of_all.index:
            row = of_all.loc[quantity]
            mean, low, high = (results.number(unit * row[name], "+.2f") for name in ("mean", "low", "high"))
            above = f" on average ({low} to {high}), above 0 in {row['positive']:.0%} of {row['pairs']} pairs"
            said.append(f"{what} by {mean}{above if row['pairs'] > 1 else ''}.")
    known = tables["relations"].dropna(subset="spearman").query("group == @study.ALL")
    for row in known[known["given"].str.contains("+", regex=False)].itertuples():
        said.append(
            f"Rank correlation of the gain with {WORDS[row.measure]}, the student and the other accounted for: "
            f"{number(row.spearman)} ({number(row.low)} to {number(row.high)}, p = {number(row.p)})."
        )
    if "picked" in tables:
        said += [
            f"The ranking of {row.student}'s {row.teachers} teachers made before their training has a rank correlation "
            f"of {number(row.spearman)} with the gain (p = {number(row.p)})."
            for row in study.agreed(tables["picked"]).itertuples()
        ]
    return said


def show(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any], page: Path) -> None:
    """Print what was found."""
    console = printing.console()
    console.print(summary["title"], soft_wrap=True)
    for finding in summary["findings"]:
        console.print(finding, soft_wrap=True)
    if "gains" in tables:
        show_pairs(console, tables[BY_PAIR])
        show_relations(console, tables)
    console.print(f"report: {page}", soft_wrap=True)


def show_pairs(console: Console, pairs: pd.DataFrame) -> None:
    for student, rows in pairs.groupby("student"):
        table = Table("teacher", title=f"{student}, {rows['baseline'].mean():.2%} alone", title_justify="left")
        for heading in ("its accuracy", "SAT before", "after", "student", "gain"):
            table.add_column(heading, justify="right")
        for row in rows.sort_values("gain", ascending=False).itertuples():
            sats = number(row.sat_before), number(row.sat_after)
            table.add_row(
                str(row.teacher), f"{row.teacher_accuracy:.1%}", *sats, f"{row.accuracy:.2%}", f"{row.gain:+.2%}"
            )
        console.print(table)


def show_relations(console: Console, tables: Mapping[str, pd.DataFrame]) -> None:
    for group, rows in tables["relations"].dropna(subset="spearman").groupby("group", sort=False):
        heading = f"rank correlation with the gain, {group}: {rows['pairs'].iloc[0]} pairs"
        table = Table("of", "given", title=heading, title_justify="left")
        for column in ("correlation", "95 %", "p"):
            table.add_column(column, justify="right")
        for row in rows.itertuples():
            table.add_row(str(row.measure), str(row.given), *correlation(row), number(row.p))
        console.print(table)
    table = Table("ranking by", "without", title="how rankings made before training held", title_justify="left")
    for heading in ("correlation", "95 %", "p", "gain lost"):
        table.add_column(heading, justify="right")
    for row in tables["pickers"].itertuples():
        lost = results.number(row.regret, ".2%")
        table.add_row(str(row.ranker), str(row.left_out), *correlation(row), number(row.p), lost)
    console.print(table)


def correlation(row: Any) -> tuple[str, str]:
    return number(row.spearman), f"{number(row.low)} to {number(row.high)}"


def number(value: float) -> str:
    return results.number(value, ".2f")
