"""What the work runs on."""

import logging
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Annotated, Any, Literal

import torch
from lightning import Trainer
from pydantic import Field
from torch import Tensor

from sat_exp.errors import UserError, one_line
from sat_exp.settings import checked

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*treespec.*")

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Precision = Literal["32-true", "bf16-mixed", "bf16-true", "64-true"]
"""Of Lightning's; in fp16 input gradients underflow."""

LIBRARIES = ("torch", "timm", "numpy", "pillow")


@dataclass(frozen=True)
class Hardware:
    """The accelerator, numeric precision and batch size, as in conf/hardware.

    precision: with `mixed` the weights are float32 and the network computes in half precision; with `true` its weights
    are of that precision too. Pixels, losses and attacks are float32 in all of them.
    batch_size: images in a batch of an attack or an evaluation. threads: of this process on the CPU, all cores where
    null. workers: threads that decode images. tf32, channels_last: faster kernels on some hardware, whose last bits
    differ.
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
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32

    @cached_property
    def device(self) -> torch.device:
        """What computes."""
        return self.trainer(enable_progress_bar=False).strategy.root_device

    @property
    def numerics(self) -> str:
        """All that changes numbers and is in effect here, as it stands in keys."""
        in_effect = {"tf32": self.tf32 and self.device.type == "cuda", "channels_last": self.channels_last}
        return " ".join([self.precision, *(name for name, switch in in_effect.items() if switch)])

    @property
    def versions(self) -> dict[str, str]:
        """What numbers may differ with in their last bits, and is not in keys: libraries and the device."""
        libraries = {library: version(library) for library in LIBRARIES}
        return libraries | {"device": device_name(self.device)}

    def trainer(self, **options: Any) -> Trainer:
        """A Lightning trainer on this hardware that keeps to itself; `options` override."""
        own: dict[str, Any] = {
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_model_summary": False,
        }
        named = f"hardware.accelerator={self.accelerator} hardware.precision={self.precision}"
        try:
            trainer = Trainer(
                accelerator=self.accelerator,
                precision=self.precision,
                **(own | options),
            )
        except Exception as error:
            raise UserError(
                f"{named} cannot be used here: {one_line(error)}; choose hardware=cpu, or another"
            ) from error
        if trainer.precision != self.precision:
            raise UserError(f"{named} cannot be used here: Lightning computes in {trainer.precision}; give that")
        return trainer


def device_name(device: torch.device) -> str:
    """The device, with what its kernels are chosen by."""
    if device.type == "cuda":
        return (
            f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        )
    if device.type == "cpu":
        return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return device.type


def in_halves(step: Callable[..., Tensor], *batch: Any) -> Tensor:
    """`step(*batch)`; where the device runs out of memory, the two halves of the batch one after the other."""
    try:
        return step(*batch)
    except torch.OutOfMemoryError as error:
        size = len(batch[0])
        if size == 1:
            raise UserError("the device's memory does not hold one image: choose another hardware=") from error
    torch.cuda.empty_cache()
    middle = size // 2
    first, second = [part[:middle] for part in batch], [part[middle:] for part in batch]
    return torch.cat([in_halves(step, *first), in_halves(step, *second)])
