"""A classifier on canvas pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Classifier(nn.Module):
    """Logits from canvas pixels: resize → normalise → network.

    Everything a network needs beyond the pixels happens in here, so that ε means the same for every classifier and
    one image is the same tensor for all of them.
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
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Float pixels in [0, 1], [B, C, H, W] → logits [B, classes]; differentiable in the pixels."""
        if pixels.shape[-2:] != (self.size, self.size):
            pixels = F.interpolate(pixels, (self.size, self.size), mode=self.interpolation, antialias=True)
        return self.network((pixels - self.mean) / self.std)

    def freeze(self) -> "Classifier":
        """Evaluation mode with no parameter gradients: only the input's gradient is ever computed."""
        return self.eval().requires_grad_(False)
