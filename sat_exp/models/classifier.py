"""A classifier on canvas pixels."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Classifier(nn.Module):
    """Logits from canvas pixels: resize → normalise → network.

    All preprocessing happens in here, so that ε means the same for every classifier. mean, std: float32 [1, C, 1, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, *, size: int, mean: Sequence[float], std: Sequence[float], interpolation: str
    ) -> None:
        super().__init__()
        self.network = network
        self.size = size
        self.interpolation = interpolation
        self.mean, self.std = (torch.tensor(list(values)).view(1, -1, 1, 1) for values in (mean, std))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Classifier":
        """Move mean and std with the network; as they are no buffers, they are not rounded to its precision."""
        super()._apply(fn, recurse)
        device = fn(self.mean).device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self

    @property
    def dtype(self) -> torch.dtype | None:
        """That of the network's weights; None where it has none."""
        tensors = itertools.chain(self.network.parameters(), self.network.buffers())
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)

    def forward(self, pixels: Tensor) -> Any:
        """Float pixels in [0, 1], [B, C, H, W] → logits [B, classes], at least float32; differentiable in the pixels.

        Only the network computes in the precision of its weights. In training, a network with a distillation token
        returns two tensors of logits, which are returned as they are.
        """
        logits = self.network(self.prepared(pixels))
        return logits.to(torch.promote_types(logits.dtype, torch.float32)) if isinstance(logits, Tensor) else logits

    def prepared(self, pixels: Tensor) -> Tensor:
        """What the network takes: pixels at its size, normalised, in the precision of its weights."""
        if pixels.shape[-2:] != (self.size, self.size):
            pixels = F.interpolate(pixels, (self.size, self.size), mode=self.interpolation, antialias=True)
        return ((pixels - self.mean) / self.std).to(self.dtype or pixels.dtype)

    def freeze(self) -> "Classifier":
        """Itself in evaluation mode, without gradients of parameters."""
        return self.eval().requires_grad_(False)
