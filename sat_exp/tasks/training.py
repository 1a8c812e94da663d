"""Trained networks in a folder, each with its weights and its record: shared by the tasks that train."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import RichProgressBar
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from sat_exp import models, tracking
from sat_exp.engine import Engine, Local, Piece
from sat_exp.errors import UserError
from sat_exp.measurement.scheduling import Chain, Schedule, Steps, Task, Work, repaired
from sat_exp.models import Classifier
from sat_exp.modules import records, training
from sat_exp.modules.distillation import Distillation, Distilling, WithTeacherLogits, teacher_logits
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.planting import planted
from sat_exp.modules.training import Phase, Recipe, State, Training
from sat_exp.modules.training_images import Source, TrainingImages
from sat_exp.progress import Advance, ignored, progress
from sat_exp.settings import plain
from sat_exp.store import Store, key_of
from sat_exp.tasks.composing import changed

ACCURACY, PARAMETERS, SECONDS = NUMBERS = ("test_accuracy", "parameters", "seconds")
"""The numbers in every training's record."""

Rows = list[tuple[dict[str, float], int | None]]
"""Rows of metrics, each with its step: arguments of `tracking.Run.log`."""

Log = Callable[[Mapping[str, float], int | None], None]

log = logging.getLogger(__name__)


def unchanged(state: State) -> State:
    return state


@dataclass(frozen=True)
class Setup:
    """The training of a classifier. begin: makes the module of each phase. batches: its training images. callbacks:
    further ones of Lightning. finish: what becomes of the weights at the end."""

    begin: Callable[[Phase], Training]
    batches: DataLoader
    callbacks: Sequence[Callback] = ()
    finish: Callable[[State], State] = unchanged


@dataclass(frozen=True)
class Job:
    """A network to train, which can be pickled. name: of the trained network. file: the stem of its weights and its
    record. model: the configuration of the network. facts: everything that determines its weights, for the record.
    setup: from the job, its classifier and the images to its training."""

    name: str
    file: str
    model: DictConfig
    recipe: Recipe
    facts: dict[str, Any]
    setup: Callable[["Job", Classifier, TrainingImages], Setup]


def by_labels(job: Job, classifier: Classifier, images: TrainingImages) -> Setup:
    """The setup of a training by labels alone."""
    classes = job.model.classes
    begin = partial(Training, classifier, classes, job.recipe)
    return Setup(begin, images.batches(planted(images, job.recipe, classes), job.recipe.batch_size))


@dataclass(frozen=True)
class Lesson:
    """The setup of a training with a teacher, whose logits are kept in `store` and part of the batches where they are
    not too many."""

    teacher: DictConfig
    distillation: Distillation
    store: Store
    hardware: Hardware

    def __call__(self, job: Job, classifier: Classifier, images: TrainingImages) -> Setup:
        recipe, classes, teacher = job.recipe, job.model.classes, models.load(self.teacher)
        augmented = planted(images, recipe, classes)
        if (views := recipe.views) is not None:
            known = (teacher, classes, images, views, self.store, self.hardware)
            augmented = WithTeacherLogits(augmented, repaired(self.store, lambda: teacher_logits(*known)))
        begin = partial(Distilling, distillation=self.distillation, teacher=teacher.classifier)
        return Setup(partial(begin, classifier, classes, recipe), images.batches(augmented, recipe.batch_size))


def fingerprints_of(chosen: Sequence[DictConfig]) -> tuple[dict[str, str], dict[str, str]]:
    """The fingerprints of trained models by name, and the reason of each that cannot be loaded."""
    fingerprints, failures = {}, {}
    for model in chosen:
        try:
            fingerprints[model.name] = models.load(model).fingerprint
        except UserError as error:
            failures[model.name] = str(error)
    return fingerprints, failures


class EpochLog(Callback):
    """Logs the metrics of the module, one row per epoch, under the network's name."""

    def __init__(self, log: Log, name: str) -> None:
        self.send, self.name = log, name  # Lightning itself sets `log`

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {f"{self.name}/{key}": float(value) for key, value in trainer.callback_metrics.items()}
        self.send(metrics, trainer.current_epoch)


@dataclass(frozen=True)
class Trainings:
    """Trains networks and keeps them in `folder` as FILE.safetensors and FILE.json; processes may share the folder."""

    folder: Path
    source: Source
    hardware: Hardware

    @property
    def images(self) -> TrainingImages:
        return self.source.images

    def train(self, jobs: Sequence[Job], engine: Engine, run: tracking.Run) -> dict[str, str]:
        """Have `engine` train the networks that the folder lacks, each as one piece of work; the reason of each failure
        by name. Trainings that another process has begun come last: this process waits for them."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.folder} cannot be a folder ({error.strerror}): give another task.directory="
            ) from error
        schedule, remaining = Schedule(self, engine), []
        for job in jobs:
            with schedule.attempt(job.name):
                if not self.finished(job):
                    remaining.append(job)
        if remaining:
            here = isinstance(engine, Local)  # then every training has a bar of its own
            total = sum(self.images_of(job) for job in remaining)
            with nullcontext(ignored) if here else progress("train", total) as bar, engine:
                work = Work(schedule, bar)
                for job in remaining:
                    work.start(Chain(job, self.steps(job, run, here)))
                work.finish()
        return schedule.failures

    def finished(self, job: Job) -> bool:
        """Whether a network is trained already, as far as no other process is at work on it; told in one line."""
        try:
            with self.lock(job.file, timeout=0):
                known = self.has(job)
        except Timeout:
            log.info("%s is being trained by another process", job.name)
            return False
        if known:
            log.info("%s is trained already", job.name)
        return known

    def steps(self, job: Job, run: tracking.Run, here: bool) -> Steps[None]:
        """The one step of a training, whose metrics go to `run`: as they come where it is trained `here`, in this
        process, else at its end."""
        work = partial(self.work, job, run.log if here else None)
        (rows,) = yield [Task(Piece(job.name, work, self.images_of(job), partial(self.stored, job)), (job.file,))]
        if rows is None:
            log.info("%s is trained already", job.name)
            return
        for row in rows:
            run.log(*row)
        record = self.record(job)
        log.info("%s: test accuracy %.2f %% after %.0f s", job.name, 100 * record[ACCURACY], record[SECONDS])

    def stored(self, job: Job) -> int:
        """A number that changes whenever an epoch has been stored."""
        return max((file.stat().st_mtime_ns for file in self.checkpoints(job).glob("*")), default=0)

    def checkpoints(self, job: Job) -> Path:
        return self.folder / "checkpoints" / f"{job.file}-{key_of(job.facts)}"

    def images_of(self, job: Job) -> int:
        """The number of images that a training is shown, counted in each epoch."""
        return (job.recipe.epochs + job.recipe.finishing_epochs) * len(self.images.training)  # type: ignore[arg-type]

    @contextmanager
    def lock(self, *parts: str, timeout: float = -1) -> Iterator[None]:
        """Hold the lock of the training of a file, see `Locks`."""
        path = self.folder / f".{'-'.join(parts)}.lock"
        records.only_a_file(path)
        with FileLock(path, timeout=timeout):
            yield

    def work(self, job: Job, log: Log | None, advance: Advance) -> Rows | None:
        """Train a network under its lock, in any process; None where it is trained already. log: takes its metrics;
        without one they are returned, and no progress is shown."""
        if self.has(job):
            return None
        rows: Rows = []
        self.fit(job, log or (lambda metrics, step: rows.append((dict(metrics), step))), shown=log is not None)
        return rows

    def has(self, job: Job) -> bool:
        """Whether the folder has the weights and the record of this training. A fact that the record lacks counts as
        equal. UserError if the name belongs to another training."""
        path = self.path(job)
        record = records.read_record(path, *NUMBERS)
        if record is None or not records.weights_are(self.weights(job), record):
            return False
        if others := [name for name, fact in job.facts.items() if record.get(name, fact) != fact]:
            raise UserError(
                f"{path} is of a training with another {others[0]}: give model.name= or task.directory=, or remove it"
            )
        return True

    def path(self, job: Job) -> Path:
        return self.folder / f"{job.file}.json"

    def record(self, job: Job) -> dict[str, Any]:
        """The record of a finished training; UserError if it is damaged."""
        record = records.read_record(self.path(job), *NUMBERS)
        if record is None:
            raise UserError(f"{self.path(job)} is damaged; run the same command again")
        return record

    def weights(self, job: Job) -> Path:
        return self.folder / f"{job.file}.safetensors"

    def fit(self, job: Job, log: Log, *, shown: bool) -> None:
        """Train one network, from its last finished epoch if there is one; write its weights and its record. log: takes
        the metrics of each epoch and of the end. shown: with a progress bar."""
        recipe = job.recipe
        if job.model.label_space != self.images.label_space:
            raise UserError(
                f"model {job.model.name} predicts {job.model.label_space}, the training images have labels of "
                f"{self.images.label_space}: choose a dataset= or model= of the same classes"
            )
        if (number := len(self.images.training)) < recipe.batch_size:  # type: ignore[arg-type]
            raise UserError(f"batch_size={recipe.batch_size}: there are {number} training images, give fewer")
        if self.images.digest != job.facts["images"]:
            raise UserError("a worker finds other training images: give a folder of images that all machines share")
        untrained = changed(job.model, pretrained=False, training={"seed": recipe.seed})
        classifier = models.load(untrained).classifier
        setup = job.setup(job, classifier, self.images)
        seed_everything(recipe.seed, verbose=False)  # after the setup, which may draw random numbers
        records.folder(self.folder / "checkpoints")
        checkpoints = records.folder(self.checkpoints(job))

        def watch(phase: Phase) -> list[Callback]:
            callbacks = [*setup.callbacks, *([RichProgressBar()] if shown else [])]
            if recipe.devices > 1:  # these processes are not part of the W&B run
                return callbacks
            return [EpochLog(log, f"{job.name}/{phase.name}"), *callbacks]

        started = time.perf_counter()
        training.fit(setup.begin, recipe, setup.batches, self.hardware, checkpoints, watch)
        seconds = time.perf_counter() - started
        state = setup.finish({name: tensor.cpu() for name, tensor in classifier.network.state_dict().items()})
        state = {name: training.compact(tensor) for name, tensor in state.items()}
        classifier.network.load_state_dict(state)
        accuracy = self.accuracy(classifier, job.model)
        weights = records.write_weights(self.weights(job), state)
        facts = {
            "model": job.name,
            ACCURACY: round(accuracy, 4),
            PARAMETERS: sum(parameter.numel() for parameter in classifier.parameters()),
            SECONDS: round(seconds),
            **job.facts,
            "torch": torch.__version__,
            records.WEIGHTS: weights,
        }
        records.write_record(self.path(job), facts)
        shutil.rmtree(checkpoints)
        log({f"{job.name}/test_accuracy": accuracy, f"{job.name}/seconds": seconds}, None)

    def accuracy(self, classifier: Classifier, model: DictConfig) -> float:
        batches = self.images.test_batches(self.hardware.batch_size)
        return training.accuracy(classifier, model.classes, batches, self.hardware)

    def tested(self, model: DictConfig, fingerprint: str) -> float:
        """The accuracy on the test images of a model that is trained already; the folder keeps it."""
        facts = {"weights": fingerprint, "images": self.images.digest}
        path = self.folder / f"{model.name}-{key_of(facts)[:8]}.json"
        record = records.read_record(path, ACCURACY)
        if record is None:
            accuracy = round(self.accuracy(models.load(model).classifier, model), 4)
            record = {"model": model.name, ACCURACY: accuracy, **facts}
            records.write_record(path, record)
        return record[ACCURACY]

    def trained(self, job: Job, group: dict[str, Any]) -> DictConfig:
        """The configuration of the network with its trained weights."""
        weights = str(self.weights(job).absolute())
        stated = {name: value for name, value in plain(job.model).items() if not name.startswith("checkpoint_")}
        changes = {"name": job.name, "group": group, "pretrained": True, "checkpoint": weights}
        return OmegaConf.create(stated | changes | {"training": job.recipe.facts()})
