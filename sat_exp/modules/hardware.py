"""What the work runs on."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from sat_exp.errors import UserError, one_line

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*treespec.*")


@dataclass(frozen=True)
class Hardware:
    """The accelerator, numeric precision (Lightning's names) and batch size, as in conf/hardware.

    batch_size: images in a batch of an attack or an evaluation. threads: of this process on the CPU, all cores where
    null. workers: threads that decode images. tf32, channels_last: faster kernels on some hardware, whose last bits
    differ.
    """

    accelerator: str
    precision: str
    batch_size: int
    threads: int | None
    workers: int
    tf32: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        for field in ("batch_size", "threads", "workers"):
            value = getattr(self, field)
            if not ((isinstance(value, int) and value >= 1) or (field == "threads" and value is None)):
                raise UserError(f"hardware.{field}={value}: give a whole number, 1 or more")
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32

    @property
    def numerics(self) -> str:
        """Everything here that changes numbers, as it stands in keys."""
        switches = [name for name in ("tf32", "channels_last") if getattr(self, name)]
        return " ".join([self.precision, *switches])

    def trainer(self, **options: Any) -> Trainer:
        """A Lightning trainer on this hardware that keeps to itself; `options` override."""
        own: dict[str, Any] = {
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_model_summary": False,
        }
        try:
            return Trainer(
                accelerator=self.accelerator,
                precision=self.precision,  # type: ignore[arg-type]
                **(own | options),
            )
        except Exception as error:
            raise UserError(
                f"hardware.accelerator={self.accelerator} hardware.precision={self.precision} cannot be used here: "
                f"{one_line(error)}"
            ) from error


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
