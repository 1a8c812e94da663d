"""The trainings of the study, each student alone and with each teacher, and the measurement of the networks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from sat_exp import models
from sat_exp.errors import UserError
from sat_exp.measurement import Measured, Measurement
from sat_exp.models import Classifier
from sat_exp.modules.distillation import Distillation, Distilling, WithTeacherLogits, teacher_logits
from sat_exp.modules.training import Recipe, Training
from sat_exp.settings import plain
from sat_exp.store import key_of
from sat_exp.studies.distill.gains import KEYS
from sat_exp.tasks.training import NUMBERS, Job, Setup, Trainings


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
    """What all trainings of a study share. settings: of a `Recipe`, without the seed. fingerprints: of the teachers."""

    trainings: Trainings
    measurement: Measurement
    settings: dict[str, Any]
    distillation: Distillation
    teachers: list[DictConfig]
    fingerprints: dict[str, str]

    def train(self, trials: Iterable[Trial]) -> tuple[dict[Trial, Job], dict[str, str]]:
        """Train what the folder lacks: the finished trainings, and the reason of each failure by name."""
        jobs = {trial: self.job(trial) for trial in trials}
        failures = self.trainings.train(list(jobs.values()))
        return {trial: job for trial, job in jobs.items() if job.name not in failures}, failures

    def job(self, trial: Trial) -> Job:
        recipe = Recipe.of(self.settings | {"seed": trial.seed})
        network, images = plain(trial.student.network), self.trainings.images.digest
        facts = {"network": network, "recipe": recipe.facts(), "images": images}
        if trial.teacher is not None:
            facts |= {"teacher": self.fingerprints[trial.teacher.name], "distillation": asdict(self.distillation)}
        file = f"{trial.name}-{key_of(facts)[:8]}"
        return Job(trial.name, file, trial.student, recipe, facts, partial(self.setup, trial, recipe))

    def setup(self, trial: Trial, recipe: Recipe, classifier: Classifier) -> Setup:
        """The modules and batches of a training; a teacher's stored logits are part of the batches."""
        images, classes = self.trainings.images, trial.student.classes
        augmented = images.augmented(recipe.transform)
        module: Callable[..., Training] = Training
        if trial.teacher is not None:
            teacher = models.load(trial.teacher)
            module = partial(Distilling, distillation=self.distillation, teacher=teacher.classifier)
            if recipe.views is not None:
                store, hardware = self.measurement.store, self.trainings.hardware
                logits = teacher_logits(teacher, classes, images, recipe.views, store, hardware)
                augmented = WithTeacherLogits(augmented, logits)
        return partial(module, classifier, classes, recipe), images.batches(augmented, recipe.batch_size)

    def records(self, done: dict[Trial, Job]) -> pd.DataFrame:
        """The table `trainings`; the teacher of a baseline is ""."""
        rows = []
        for trial, job in done.items():
            rows.append((*trial.pair, trial.seed, trial.name, *map(self.trainings.record(job).get, NUMBERS)))
        return pd.DataFrame(rows, columns=[*KEYS, "seed", "network", "accuracy", "parameters", "seconds"])

    def accuracies(self) -> pd.DataFrame:
        """The table `teachers`: their accuracy on the images that students are tested on."""
        names = [teacher.name for teacher in self.teachers]
        tested = [self.trainings.tested(teacher, self.fingerprints[teacher.name]) for teacher in self.teachers]
        return pd.DataFrame({"teacher": names, "teacher_accuracy": tested})

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


def fingerprints_of(teachers: Sequence[DictConfig]) -> tuple[dict[str, str], dict[str, str]]:
    """The fingerprints of the teachers by name, and the reason of each that cannot be loaded."""
    fingerprints, failures = {}, {}
    for teacher in teachers:
        try:
            fingerprints[teacher.name] = models.load(teacher).fingerprint
        except UserError as error:
            failures[teacher.name] = str(error)
    return fingerprints, failures
