"""Training of a classifier by a recipe, in phases that continue at their last finished epoch."""

import multiprocessing
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import torch
from lightning import Callback, LightningModule
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from pydantic import Field
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy

from sat_exp.errors import UserError, nearest
from sat_exp.models import Classifier
from sat_exp.modules import records
from sat_exp.modules.hardware import Hardware
from sat_exp.settings import checked
from sat_exp.settings.types import Count, NonNegative, Positive, Seed, Text, Whole

FINISHING_RATE = 0.25
"""The learning rate of the finishing epochs, as a share of the main one's."""

ONE_CYCLE: Final = "one_cycle"
Schedule = Literal["one_cycle", "cosine", "tanh", "poly", "multistep", "step"]
Shift = Annotated[int, Field(ge=0, le=4096)]
Part = Annotated[float, Field(ge=0, lt=1)]
Devices = Annotated[int, Field(ge=1, le=1024)]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    epochs are on augmented images, finishing_epochs on plain ones, at `FINISHING_RATE` of the learning rate.
    optimizer: any that timm knows by name. schedule: PyTorch's one cycle, or one of timm's with warmup_epochs.
    mirror, shift: images are mirrored with probability ½ and shifted by up to so many pixels. transform: what
    photographs go through before, as arguments of timm.data.create_transform. mixup, cutmix: alphas of timm's Mixup.
    average: decay of the exponential moving average of the weights, which then is what is kept. accumulate: batches to
    a step. clip: the gradient's largest norm. devices: processes that share a training, each with a batch of its own.

    UserError for a batch that cannot be mixed, or an unknown optimizer.
    """

    epochs: Count
    finishing_epochs: Whole
    batch_size: Count
    seed: Seed
    optimizer: Text
    learning_rate: NonNegative
    weight_decay: NonNegative
    schedule: Schedule = ONE_CYCLE
    warmup_epochs: Whole = 0
    mirror: bool = True
    shift: Shift = 2
    transform: dict[str, Any] | None = None
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0
    label_smoothing: Part = 0.0
    average: Part | None = None
    accumulate: Count = 1
    clip: Positive | None = None
    devices: Devices = 1

    def __post_init__(self) -> None:
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            raise UserError(f"batch_size={self.batch_size}: mixing takes images in pairs, give an even number")
        known = [str(name) for name in list_optimizers()]
        if self.optimizer not in known:
            near = nearest(self.optimizer, known) or known[:5]
            raise UserError(f"optimizer={self.optimizer}: give one of timm's, such as {', '.join(near)}")

    @classmethod
    def of(cls, settings: Mapping[str, Any], where: str = "") -> "Recipe":
        """A recipe from `settings` by name; UserError for a name that is none of its settings, and for a value of
        another type or out of range. where: whose they are, such as task."""
        return cls(**checked(cls, settings, where))

    @property
    def views(self) -> int | None:
        """In how many ways training shows an image, where these are few enough to ask a teacher about beforehand."""
        repeated = self.shift == 0 and self.transform is None and not (self.mixup or self.cutmix)
        return 1 + self.mirror if repeated else None

    def facts(self) -> dict[str, Any]:
        """The settings, without those that are at their default: a setting added later changes no record."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.default is MISSING or getattr(self, field.name) != field.default
        }


@dataclass(frozen=True)
class Phase:
    """A part of a training: its checkpoints' name, its epochs, its learning rate, whether images are augmented."""

    name: str
    epochs: int
    learning_rate: float
    augmented: bool


def phases(recipe: Recipe) -> list[Phase]:
    main = Phase("main", recipe.epochs, recipe.learning_rate, augmented=True)
    finish = Phase("finish", recipe.finishing_epochs, recipe.learning_rate * FINISHING_RATE, augmented=False)
    return [main, finish] if recipe.finishing_epochs else [main]


class Training(LightningModule):
    """One phase of training by labels; the classifier's network is trained in place."""

    def __init__(self, classifier: Classifier, classes: int, recipe: Recipe, phase: Phase) -> None:
        super().__init__()
        self.classifier = classifier.train().requires_grad_(True)
        self.recipe, self.phase = recipe, phase
        mixing = phase.augmented and (recipe.mixup or recipe.cutmix)
        alphas = {"mixup_alpha": recipe.mixup, "cutmix_alpha": recipe.cutmix}
        self.mix = Mixup(**alphas, label_smoothing=recipe.label_smoothing, num_classes=classes) if mixing else None

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> Tensor:
        """batch: images uint8 [B, C, H, W], labels int64 [B], and whatever else `loss` makes use of, [B, ...]."""
        images, labels, *others = batch
        flipped = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        if self.phase.augmented:
            if self.recipe.mirror:
                flipped = torch.rand(len(images), device=images.device) < 0.5
                images = mirrored(images, flipped)
            images = shifted(images, self.recipe.shift) if self.recipe.shift else images
        pixels = images.float() / 255
        targets = labels
        if self.mix is not None:
            pixels, targets = self.mix(pixels, labels)
        loss = self.loss(pixels, targets, flipped, *others)
        several = self.recipe.devices > 1
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=several)
        return loss

    def loss(self, pixels: Tensor, targets: Tensor, flipped: Tensor, *others: Tensor) -> Tensor:
        """Of float pixels [B, C, H, W] and targets, classes [B] or, mixed, shares [B, classes]; flipped: which of the
        images are mirrored, [B]."""
        return self.by_labels(self.classifier(pixels), targets)

    def by_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of `logits` with the labels."""
        if targets.ndim == 2:
            return SoftTargetCrossEntropy()(logits, targets)
        return F.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)

    def configure_optimizers(self) -> Any:
        recipe, rate = self.recipe, self.phase.learning_rate
        network = self.classifier.network
        optimizer = create_optimizer_v2(network, opt=recipe.optimizer, lr=rate, weight_decay=recipe.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule: Any
        if recipe.schedule == ONE_CYCLE:
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=rate, total_steps=steps, pct_start=0.15, cycle_momentum=False
            )
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
        """timm's schedulers are told how many steps have been taken; PyTorch's count themselves."""
        if self.recipe.schedule == ONE_CYCLE:
            scheduler.step()
        else:
            scheduler.step_update(num_updates=self.trainer.global_step)


def mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """images [B, C, H, W], those `chosen`, bool [B], mirrored."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def shifted(images: Tensor, most: int) -> Tensor:
    """images [B, C, H, W], each moved at random by up to `most` pixels either way, zeros moved in."""
    padded = F.pad(images, (most,) * 4)
    rows, columns = torch.randint(2 * most + 1, (2, len(images), 1), device=images.device)
    height, width = images.shape[-2:]
    rows = rows + torch.arange(height, device=images.device)
    columns = columns + torch.arange(width, device=images.device)
    picks = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picks, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Chance(Callback):
    """Keeps the state of the random generators, NumPy's global one for timm, in checkpoints: a training that died goes
    on with the numbers that it would have drawn."""

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
    """Train through all phases, each from its last finished epoch where `checkpoints` holds one.

    begin: the module of a phase, all of the same classifier. watch: further callbacks of a phase.
    """
    for phase in phases(recipe):
        module = begin(phase)
        last = checkpoints / f"{phase.name}.ckpt"
        reached = reached_in(last, module)
        if reached and reached["epoch"] + 1 >= phase.epochs:
            module.load_state_dict(reached["state_dict"])
            Chance().load_state_dict(reached["callbacks"][Chance.__qualname__])
            continue
        averaging = [EMAWeightAveraging(decay=recipe.average)] if recipe.average is not None else []
        shared = together(recipe.devices) if recipe.devices > 1 else {}
        trainer = hardware.trainer(
            max_epochs=phase.epochs,
            limit_val_batches=0,
            enable_checkpointing=True,
            accumulate_grad_batches=recipe.accumulate,
            gradient_clip_val=recipe.clip,
            callbacks=[
                ModelCheckpoint(checkpoints, phase.name, enable_version_counter=False, save_on_train_epoch_end=True),
                Chance(),
                *averaging,
                *watch(phase),
            ],
            **shared,
        )
        trainer.fit(module, images, ckpt_path=str(last) if reached else None, weights_only=True)


def reached_in(path: Path, module: Training) -> dict[str, Any] | None:
    """The checkpoint at `path`; None where there is none, or it is none of a training of `module` and now set aside."""
    reached = records.read_checkpoint(path)
    if reached is None:
        return None
    known, found = module.state_dict(), reached.get("state_dict")
    sound = (
        type(reached.get("epoch")) is int
        and isinstance(found, dict)
        and found.keys() == known.keys()
        and all(isinstance(found[name], Tensor) and found[name].shape == known[name].shape for name in known)
        and Chance.__qualname__ in (reached.get("callbacks") or {})
    )
    if not sound:
        records.set_aside(path, f"{path} is damaged (it is of another training)")
    return reached if sound else None


def together(devices: int) -> dict[str, Any]:
    """A trainer's options for processes that share a training, forked from one that has imported this package alone."""
    multiprocessing.set_forkserver_preload(["sat_exp.modules.training"])
    return {"devices": devices, "strategy": DDPStrategy(start_method="forkserver")}


class Examination(LightningModule):
    """The share of images, in batches of uint8 [B, C, H, W] and labels [B], that a classifier gets right."""

    def __init__(self, classifier: Classifier, classes: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.accuracy = MulticlassAccuracy(classes, average="micro")

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.accuracy(self.classifier(images.float() / 255), labels)
        self.log("accuracy", self.accuracy)


def examine(classifier: Classifier, classes: int, images: DataLoader, hardware: Hardware) -> float:
    """The share of `images` that a classifier gets right."""
    trainer = hardware.trainer(enable_progress_bar=False)
    (result,) = trainer.validate(Examination(classifier, classes), images, verbose=False)
    return result["accuracy"]


def compact(tensor: Tensor) -> Tensor:
    """Weight matrices and kernels in half precision; vectors, statistics and counters as they are."""
    return tensor.half() if tensor.is_floating_point() and tensor.ndim >= 2 else tensor
