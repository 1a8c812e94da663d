"""The device, the numeric precision and the batch size of a run."""

import logging
import os
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from sat_exp.errors import UserError, explained
from sat_exp.models import Classifier, Model
from sat_exp.modules.allocation import keep_freed_memory
from sat_exp.settings import checked

if TYPE_CHECKING:
    from lightning import Trainer

warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*treespec.*")

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Numerics = Literal["exact", "fast"]
Precision = Literal["32-true", "bf16-mixed", "bf16-true", "64-true"]
"""Names of Lightning's. fp16 is left out because input gradients underflow in it."""

DTYPES = {"bf16-true": torch.bfloat16, "64-true": torch.float64}
"""The types of weights that are not float32."""

CHUNK = 64
"""The most images of a stored chunk: 10 MB at 224×224. No more of an attack is lost with a process."""

BYTES = {"bf16-true": 2, "64-true": 8}
"""Bytes of a weight, where they are not 4."""

LIBRARIES = ("torch", "timm", "numpy", "pillow")


@dataclass(frozen=True)
class Hardware:
    """The accelerator, numeric precision and batch size, as in conf/hardware.

    precision: in `bf16-mixed` the network computes in bfloat16, in `bf16-true` its weights are bfloat16 too. Pixels,
    losses and attacks are float32 in both. batch_size: images per batch of an attack or an evaluation. threads: of this
    process on the CPU, null for all cores. workers: threads that decode images. tf32, channels_last: kernels that are
    faster on some hardware and differ in the last bits. numerics: `fast` gives each model the fastest kernels here that
    pass a gate, see `sat_exp.numerics`.
    """

    accelerator: Accelerator
    precision: Precision
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    threads: Annotated[int, Field(ge=1, le=4096)] | None
    workers: Annotated[int, Field(ge=1, le=256)]
    tf32: bool = False
    channels_last: bool = False
    numerics: Numerics = "exact"

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "hardware")
        if self.numerics == "fast" and (self.precision != "32-true" or self.tf32 or self.channels_last):
            others = "hardware.precision, hardware.tf32 and hardware.channels_last"
            raise UserError(f"hardware.numerics=fast chooses these for each model: leave out {others}")
        self.apply()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "device"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.apply()

    def apply(self) -> None:
        """Make this process compute as stated."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32
        if self.on_cpu:
            keep_freed_memory()

    @property
    def on_cpu(self) -> bool:
        """Whether the device is the CPU. Known without Lightning, whose import takes seconds."""
        return self.accelerator == "cpu" or (self.accelerator == "auto" and not torch.accelerator.is_available())

    @property
    def chunk(self) -> int:
        """The images of a stored chunk."""
        return min(CHUNK, self.batch_size)

    @cached_property
    def device(self) -> torch.device:
        if self.on_cpu:
            return torch.device("cpu")
        return self.trainer(enable_progress_bar=False).strategy.root_device

    @property
    def in_effect(self) -> str:
        """The settings in effect that change the numbers of all models, as in keys."""
        in_effect = {"tf32": self.tf32 and self.device.type == "cuda", "channels_last": self.channels_last}
        return " ".join([self.precision, *(name for name, switch in in_effect.items() if switch)])

    @property
    def versions(self) -> dict[str, str]:
        """Versions of libraries, and the device. Numbers may depend on them in the last bits; they are not in keys."""
        return {library: version(library) for library in LIBRARIES} | {"device": device_name(self.device)}

    @property
    def memory(self) -> float:
        """Bytes of memory of a CUDA device, else of the machine; infinite where the system does not report it."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_properties(self.device).total_memory
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return float("inf")

    def place(self, classifier: Classifier) -> Classifier:
        """The classifier on the device, in the run's precision and memory format."""
        placed = classifier.to(self.device, DTYPES.get(self.precision))
        for parameter in placed.parameters() if self.channels_last else ():
            if parameter.dim() == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
        return placed

    def check(self) -> None:
        """UserError where it cannot be used. A processor always can in full precision, and Lightning, which takes
        seconds to import, is not asked."""
        if self.precision != "32-true" or self.accelerator not in ("auto", "cpu"):
            self.trainer(enable_progress_bar=False)

    def trainer(self, **options: Any) -> "Trainer":
        """A Lightning trainer on this hardware, without logger, checkpoints and summary; `options` override. SIGTERM
        has the effect that it has without Lightning."""
        from lightning import Trainer

        from sat_exp.modules.signals import OwnSigterm

        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        defaults = dict.fromkeys(["logger", "enable_checkpointing", "enable_model_summary"], False) | {"devices": 1}
        options["callbacks"] = [OwnSigterm(), *options.get("callbacks", [])]
        chosen = f"hardware.accelerator={self.accelerator} hardware.precision={self.precision}"
        with explained(f"{chosen} cannot be used here", "choose hardware=cpu, or another"):
            trainer = Trainer(accelerator=self.accelerator, precision=self.precision, **(defaults | options))
        if trainer.precision != self.precision:
            raise UserError(f"{chosen} cannot be used here: Lightning computes in {trainer.precision}; give that")
        return trainer


def device_name(device: torch.device) -> str:
    """The name of the device, with the versions and capabilities that its kernels depend on."""
    if device.type == "cuda":
        name, cudnn = torch.cuda.get_device_name(device), torch.backends.cudnn.version()
        return f"{name}, CUDA {torch.version.cuda}, cuDNN {cudnn}"
    if device.type == "cpu":
        return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return device.type


@dataclass
class Fitting:
    """How many images a step takes at once. most: found where the device's memory is too small for a batch."""

    most: int | None = None

    def __call__(self, step: Callable[..., Tensor], *batch: Any) -> Tensor:
        """`step(*batch)`; where the device runs out of memory, the joined results of parts of the batch, of half as
        many images from then on. UserError where one image does not fit."""
        done: list[Tensor] = []
        start, size = 0, len(batch[0])
        while start < size:
            count = min(self.most or size, size - start)
            try:
                done.append(step(*(part[start : start + count] for part in batch)))
                start += count
                continue
            except torch.OutOfMemoryError as error:
                if count == 1:
                    raise UserError("the device's memory does not hold one image: choose another hardware=") from error
                self.most = count // 2
            torch.cuda.empty_cache()
        return torch.cat(done) if len(done) > 1 else done[0]


@dataclass
class Runner:
    """A classifier on its device. fitting: how many images it takes at once."""

    classifier: Classifier
    fitting: Fitting = field(default_factory=Fitting)


@dataclass
class Placed:
    """A model on its device. runners: of its classifier with techniques (see `sat_exp.numerics`), by their names, for
    attacks and for evaluations."""

    model: Model
    runners: dict[tuple[str, ...], Runner] = field(default_factory=dict)

    def runner(self, purpose: Literal["attack", "evaluation"], techniques: tuple[str, ...]) -> Runner:
        """The classifier with techniques, which is made once."""
        key = purpose, *techniques
        if key not in self.runners:
            other = self.runners.get(("evaluation" if purpose == "attack" else "attack", *techniques))
            self.runners[key] = Runner(self.classifier(techniques) if other is None else other.classifier)
        return self.runners[key]

    def classifier(self, techniques: tuple[str, ...]) -> Classifier:
        if not techniques:
            return self.model.classifier
        from sat_exp.numerics import applied  # imports timm, which exact numerics do not need

        return applied(self.model.classifier, techniques)
