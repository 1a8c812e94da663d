"""Trained networks in a folder, each with its weights and its record: shared by the train and distill tasks."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import RichProgressBar
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from sat_exp import models, tracking
from sat_exp.errors import UserError
from sat_exp.measurement import reason
from sat_exp.models import Classifier
from sat_exp.modules import records, training
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.training import Phase, Recipe, Training
from sat_exp.modules.training_images import TrainingImages
from sat_exp.store import key_of
from sat_exp.tasks.composing import changed

ACCURACY, PARAMETERS, SECONDS = NUMBERS = ("test_accuracy", "parameters", "seconds")
"""The numbers in every training's record."""

Setup = tuple[Callable[[Phase], Training], DataLoader]
"""The training of a classifier: the module of each phase, and its training images."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A network to train. name: of the trained network. file: the stem of its weights and its record. model: the
    configuration of the network. facts: everything that determines its weights, for the record. setup: from its
    classifier to its training."""

    name: str
    file: str
    model: DictConfig
    recipe: Recipe
    facts: dict[str, Any]
    setup: Callable[[Classifier], Setup]


class EpochLog(Callback):
    """Sends the metrics of the module to W&B, one row per epoch, under the network's name."""

    def __init__(self, run: tracking.Run, name: str) -> None:
        self.run, self.name = run, name

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {f"{self.name}/{key}": float(value) for key, value in trainer.callback_metrics.items()}
        self.run.log(metrics, step=trainer.current_epoch)


@dataclass(frozen=True)
class Trainings:
    """Trains networks and keeps them in `folder` as FILE.safetensors and FILE.json; processes may share the folder."""

    folder: Path
    images: TrainingImages
    hardware: Hardware
    run: tracking.Run

    def train(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Train the networks that the folder lacks; the reason of each failure by name. Trainings that another process
        has begun come last: this process waits for them."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.folder} cannot be a folder ({error.strerror}): give another task.directory="
            ) from error
        failures, remaining = {}, list(jobs)
        for timeout in (0, -1):
            for job in list(remaining):
                lock = self.folder / f".{job.file}.lock"
                try:
                    records.only_a_file(lock)
                    with FileLock(lock, timeout=timeout):
                        if self.has(job):
                            log.info("%s is trained already", job.name)
                        else:
                            self.fit(job)
                except Timeout:
                    log.info("%s is being trained by another process", job.name)
                    continue
                except Exception as error:
                    failures[job.name] = reason(error)
                    expected = isinstance(error, (UserError, OSError))
                    log.error("%s failed: %s", job.name, failures[job.name], exc_info=None if expected else error)
                remaining.remove(job)
        return failures

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

    def fit(self, job: Job) -> None:
        """Train one network, from its last finished epoch if there is one; write its weights and its record."""
        recipe = job.recipe
        if job.model.label_space != self.images.label_space:
            raise UserError(
                f"model {job.model.name} predicts {job.model.label_space}, the training images have labels of "
                f"{self.images.label_space}: choose a dataset= or model= of the same classes"
            )
        if (number := len(self.images.training)) < recipe.batch_size:  # type: ignore[arg-type]
            raise UserError(f"batch_size={recipe.batch_size}: there are {number} training images, give fewer")
        untrained = changed(job.model, pretrained=False, training={"seed": recipe.seed})
        classifier = models.load(untrained).classifier
        begin, batches = job.setup(classifier)
        seed_everything(recipe.seed, verbose=False)  # after the setup, which may draw random numbers
        checkpoints = records.folder(records.folder(self.folder / "checkpoints") / f"{job.file}-{key_of(job.facts)}")

        def watch(phase: Phase) -> list[Callback]:
            if recipe.devices > 1:  # these processes are not part of the W&B run
                return [RichProgressBar()]
            return [EpochLog(self.run, f"{job.name}/{phase.name}"), RichProgressBar()]

        started = time.perf_counter()
        training.fit(begin, recipe, batches, self.hardware, checkpoints, watch)
        seconds = time.perf_counter() - started
        state = {name: training.compact(tensor.cpu()) for name, tensor in classifier.network.state_dict().items()}
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
        self.run.log({f"{job.name}/test_accuracy": accuracy, f"{job.name}/seconds": seconds})
        log.info("%s: test accuracy %.2f %% after %.0f s", job.name, 100 * accuracy, seconds)

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
        changes = {"name": job.name, "group": group, "pretrained": True, "checkpoint": weights}
        return changed(job.model, **changes, training=job.recipe.facts())
