"""The device, the numeric precision and the batch size of a run."""

import logging
import os
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from sat_exp.errors import UserError, explained
from sat_exp.settings import checked

if TYPE_CHECKING:
    from lightning import Trainer

warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*treespec.*")

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Precision = Literal["32-true", "bf16-mixed", "bf16-true", "64-true"]
"""Names of Lightning's. fp16 is left out because input gradients underflow in it."""

LIBRARIES = ("torch", "timm", "numpy", "pillow")


@dataclass(frozen=True)
class Hardware:
    """The accelerator, numeric precision and batch size, as in conf/hardware.

    precision: in `bf16-mixed` the network computes in bfloat16, in `bf16-true` its weights are bfloat16 too. Pixels,
    losses and attacks are float32 in both. batch_size: images per batch of an attack or an evaluation. threads: of this
    process on the CPU, null for all cores. workers: threads that decode images. tf32, channels_last: kernels that are
    faster on some hardware and differ in the last bits.
    """

    accelerator: Accelerator
    precision: Precision
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    threads: Annotated[int, Field(ge=1, le=4096)] | None
    workers: Annotated[int, Field(ge=1, le=256)]
    tf32: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "hardware")
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

    @cached_property
    def device(self) -> torch.device:
        return self.trainer(enable_progress_bar=False).strategy.root_device

    @property
    def numerics(self) -> str:
        """The settings in effect that change numbers, as in keys."""
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

    def check(self) -> None:
        """UserError where it cannot be used. A processor always can in full precision, and Lightning, which takes
        seconds to import, is not asked."""
        if self.precision != "32-true" or self.accelerator not in ("auto", "cpu"):
            self.trainer(enable_progress_bar=False)

    def trainer(self, **options: Any) -> "Trainer":
        """A Lightning trainer on this hardware, without logger, checkpoints and summary; `options` override."""
        from lightning import Trainer

        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        defaults = dict.fromkeys(["logger", "enable_checkpointing", "enable_model_summary"], False) | {"devices": 1}
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


def in_halves(step: Callable[..., Tensor], *batch: Any) -> Tensor:
    """`step(*batch)`; where the device runs out of memory, the joined results of the two halves of the batch."""
    try:
        return step(*batch)
    except torch.OutOfMemoryError as error:
        size = len(batch[0])
        if size == 1:
            raise UserError("the device's memory does not hold one image: choose another hardware=") from error
    torch.cuda.empty_cache()
    halves = slice(size // 2), slice(size // 2, None)
    return torch.cat([in_halves(step, *(part[half] for part in batch)) for half in halves])
