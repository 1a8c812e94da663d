"""Training of a classifier by a recipe, in phases that resume after their last finished epoch."""

import multiprocessing
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
import torch
from lightning import Callback, LightningModule
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, ProgressBar
from lightning.pytorch.strategies import DDPStrategy
from pydantic import Field
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy

from sat_exp.datasets.marks import marked
from sat_exp.errors import UserError, nearest
from sat_exp.models import Classifier
from sat_exp.modules import records
from sat_exp.modules.hardware import Hardware
from sat_exp.settings import checked
from sat_exp.settings.types import Count, NonNegative, Positive, Seed, Share, Text, Whole

FINISHING_RATE = 0.25  # the learning rate of the finishing epochs, as a fraction of the main one
ONE_CYCLE: Final = "one_cycle"
Schedule = Literal["one_cycle", "cosine", "tanh", "poly", "multistep", "step"]
Part = Annotated[float, Field(ge=0, lt=1)]
State = dict[str, Tensor]
"""The weights and statistics of a network by name."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a training, which conf/task/train.yaml explains; mixup and cutmix are the alphas of timm's Mixup.
    UserError for an odd batch size with mixing, and for an unknown optimizer."""

    epochs: Count
    finishing_epochs: Whole
    batch_size: Count
    seed: Seed
    optimizer: Text
    learning_rate: Positive
    weight_decay: NonNegative
    schedule: Schedule = ONE_CYCLE
    warmup_epochs: Whole = 0
    mirror: bool = True
    shift: Annotated[int, Field(ge=0, le=4096)] = 2
    transform: dict[str, Any] | None = None
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0
    label_smoothing: Part = 0.0
    average: Part | None = None
    accumulate: Count = 1
    clip: Positive | None = None
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    label_noise: Share = 0.0
    shortcut: Share | None = None

    def __post_init__(self) -> None:
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            raise UserError(f"batch_size={self.batch_size}: mixing takes images in pairs, give an even number")
        known = [str(name) for name in list_optimizers()]
        if self.optimizer not in known:
            near = nearest(self.optimizer, known) or known[:5]
            raise UserError(f"optimizer={self.optimizer}: give one of timm's, such as {', '.join(near)}")

    @classmethod
    def of(cls, settings: Mapping[str, Any], where: str = "") -> Self:
        """A recipe from `settings` by name; UserError for a wrong one. where: their group in errors, such as task."""
        values = checked(cls, settings, where)
        try:
            return cls(**values)
        except UserError as error:
            raise UserError(f"{where}.{error}" if where else str(error)) from error

    @property
    def views(self) -> int | None:
        """The number of augmented variants of an image; None where they are too many to store logits for each."""
        repeated = self.shift == 0 and self.transform is None and not (self.mixup or self.cutmix)
        return 1 + self.mirror if repeated and self.shortcut is None else None

    def facts(self) -> dict[str, Any]:
        """The settings that differ from their defaults, so that a setting added later changes no record."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in vars(self).items() if value != defaults[name]}


@dataclass(frozen=True)
class Phase:
    """A part of a training. name: of its checkpoint. augmented: whether its images are."""

    name: str
    epochs: int
    learning_rate: float
    augmented: bool


class Training(LightningModule):
    """One phase of training by labels; the classifier's network is trained in place."""

    def __init__(self, classifier: Classifier, classes: int, recipe: Recipe, phase: Phase) -> None:
        super().__init__()
        self.classifier = classifier.train().requires_grad_(True)
        self.recipe, self.phase, self.classes = recipe, phase, classes
        mixing = phase.augmented and (recipe.mixup or recipe.cutmix)
        alphas = {"mixup_alpha": recipe.mixup, "cutmix_alpha": recipe.cutmix}
        self.mix = Mixup(**alphas, label_smoothing=recipe.label_smoothing, num_classes=classes) if mixing else None

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> Tensor:
        # uint8 [B, C, H, W], int64 [B], further tensors [B, ...] for `loss`, and the classes of the marks, int64 [B]
        images, labels, *others = batch
        flipped = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        if self.phase.augmented:
            if self.recipe.mirror:
                flipped = torch.rand(len(images), device=images.device) < 0.5
                images = mirrored(images, flipped)
            images = shifted(images, self.recipe.shift) if self.recipe.shift else images
        if self.recipe.shortcut is not None:
            *others, marks = others
            images = marked(images, marks, self.classes)
        pixels = images.float() / 255
        pixels, targets = (pixels, labels) if self.mix is None else self.mix(pixels, labels)
        loss = self.loss(pixels, targets, flipped, *others)
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=self.recipe.devices > 1)
        return loss

    def loss(self, pixels: Tensor, targets: Tensor, flipped: Tensor, *others: Tensor) -> Tensor:
        """The loss. pixels: float [B, C, H, W]. targets: classes [B], or probabilities [B, classes] after mixing.
        flipped: whether an image is mirrored, bool [B]."""
        return self.by_labels(self.classifier(pixels), targets)

    def by_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        if targets.ndim == 2:
            return SoftTargetCrossEntropy()(logits, targets)
        return F.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)

    def configure_optimizers(self) -> Any:
        recipe, rate, network = self.recipe, self.phase.learning_rate, self.classifier.network
        optimizer = create_optimizer_v2(network, opt=recipe.optimizer, lr=rate, weight_decay=recipe.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule: Any
        if recipe.schedule == ONE_CYCLE:
            schedule = OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15, cycle_momentum=False)
        else:
            schedule, _ = create_scheduler_v2(
                optimizer,
                sched=recipe.schedule,
                num_epochs=self.phase.epochs,
                warmup_epochs=min(recipe.warmup_epochs, self.phase.epochs - 1),
                warmup_lr=rate / 1000,
                decay_epochs=max(1, self.phase.epochs // 3),
                step_on_epochs=False,
                updates_per_epoch=max(1, steps // self.phase.epochs),
            )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if self.recipe.schedule == ONE_CYCLE:
            scheduler.step()
        else:
            scheduler.step_update(num_updates=self.trainer.global_step)  # timm's do not count steps themselves


def mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """images [B, C, H, W] with those of `chosen`, bool [B], mirrored."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def shifted(images: Tensor, most: int) -> Tensor:
    """images [B, C, H, W], each shifted at random by up to `most` pixels in both directions, padded with zeros."""
    padded = F.pad(images, (most,) * 4)
    rows, columns = torch.randint(2 * most + 1, (2, len(images), 1), device=images.device)
    height, width = images.shape[-2:]
    rows = rows + torch.arange(height, device=images.device)
    columns = columns + torch.arange(width, device=images.device)
    picks = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picks, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class RandomState(Callback):
    """Keeps the states of all random generators in checkpoints, so that a resumed training draws the same numbers."""

    state_key = "Chance"  # the name in checkpoints

    def state_dict(self) -> dict[str, Any]:
        numpy = np.random.get_state(legacy=False)  # noqa: NPY002
        numpy["state"]["key"] = numpy["state"]["key"].tolist()
        cuda = torch.cuda.get_rng_state_all()
        return {"torch": torch.get_rng_state(), "cuda": cuda, "numpy": numpy, "python": random.getstate()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        torch.set_rng_state(state["torch"])
        torch.cuda.set_rng_state_all(state["cuda"])
        np.random.set_state(state["numpy"])  # noqa: NPY002
        random.setstate(state["python"])


def fit(
    begin: Callable[[Phase], Training],
    recipe: Recipe,
    images: DataLoader,
    hardware: Hardware,
    checkpoints: Path,
    watch: Callable[[Phase], Sequence[Callback]],
) -> None:
    """Train all phases that have epochs, each from its last finished epoch if the folder `checkpoints` has it. begin:
    makes the module of a phase, of the same classifier for all. watch: makes further callbacks of a phase; without a
    progress bar among them there is none."""
    phases = [
        Phase("main", recipe.epochs, recipe.learning_rate, augmented=True),
        Phase("finish", recipe.finishing_epochs, recipe.learning_rate * FINISHING_RATE, augmented=False),
    ]
    for phase in (phase for phase in phases if phase.epochs):
        module = begin(phase)
        last = checkpoints / f"{phase.name}.ckpt"
        reached = read_checkpoint(last, module)
        if reached and reached["epoch"] + 1 >= phase.epochs:
            module.load_state_dict(reached["state_dict"])
            RandomState().load_state_dict(reached["callbacks"][RandomState.state_key])
            continue
        watching = watch(phase)
        averaging = [EMAWeightAveraging(decay=recipe.average)] if recipe.average is not None else []
        processes: dict[str, Any] = {}
        if recipe.devices > 1:  # forked from a server that has imported this module
            multiprocessing.set_forkserver_preload(["sat_exp.modules.training"])
            processes = {"devices": recipe.devices, "strategy": DDPStrategy(start_method="forkserver")}
        trainer = hardware.trainer(
            max_epochs=phase.epochs,
            limit_val_batches=0,
            enable_checkpointing=True,
            accumulate_grad_batches=recipe.accumulate,
            gradient_clip_val=recipe.clip,
            callbacks=[
                ModelCheckpoint(checkpoints, phase.name, enable_version_counter=False, save_on_train_epoch_end=True),
                RandomState(),
                *averaging,
                *watching,
            ],
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in watching),
            **processes,
        )
        trainer.fit(module, images, ckpt_path=str(last) if reached else None, weights_only=True)


def read_checkpoint(path: Path, module: Training) -> dict[str, Any] | None:
    """The checkpoint at `path`; None where there is none. That of another training than `module`'s is quarantined."""
    if (reached := records.read_checkpoint(path)) is None:
        return None
    own, state = module.state_dict(), reached.get("state_dict")
    sound = (
        type(reached.get("epoch")) is int
        and isinstance(state, dict)
        and state.keys() == own.keys()
        and all(isinstance(state[name], Tensor) and state[name].shape == own[name].shape for name in own)
        and RandomState.state_key in (reached.get("callbacks") or {})
    )
    if not sound:
        records.set_aside(path, f"{path} is damaged (it is of another training)")
    return reached if sound else None


class Accuracy(LightningModule):
    """Measures the accuracy of a classifier on batches of uint8 images [B, C, H, W] and labels [B]."""

    def __init__(self, classifier: Classifier, classes: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.metric = MulticlassAccuracy(classes, average="micro")

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.metric(self.classifier(images.float() / 255), labels)
        self.log("accuracy", self.metric)


def accuracy(classifier: Classifier, classes: int, images: DataLoader, hardware: Hardware) -> float:
    """The accuracy of a classifier on `images`, from 0 to 1."""
    trainer = hardware.trainer(enable_progress_bar=False)
    (result,) = trainer.validate(Accuracy(classifier, classes), images, verbose=False)
    return result["accuracy"]


def compact(tensor: Tensor) -> Tensor:
    """Matrices and kernels in half precision; vectors, statistics and counters unchanged."""
    return tensor.half() if tensor.is_floating_point() and tensor.ndim >= 2 else tensor
