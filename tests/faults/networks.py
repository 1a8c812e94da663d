"""Networks that fail. A user's model file names them as `network._target_: networks.NAME`."""

import torch
from torch import Tensor, nn


class Sound(nn.Module):
    """A small network, [B, 1, 32, 32] → [B, 10], with `ballast` megabytes that it does not use."""

    def __init__(self, ballast: int = 0) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 10))
        self.ballast = nn.Parameter(torch.ones(ballast << 18))

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)


def struck(stage: str, images: Tensor) -> bool:
    """Whether a batch belongs to a stage: clean images come in batches of 8, and 2 are tried at first; those that a
    source attacks, and those of other sources, also in batches of 3 to 7."""
    odd = 3 <= len(images) < 8
    return {"start": True, "attack": odd and images.requires_grad, "transfer": odd and not images.requires_grad}[stage]


class Raising(Sound):
    """Raises in a stage."""

    def __init__(self, stage: str, ballast: int = 0) -> None:
        super().__init__(ballast)
        self.stage = stage

    def forward(self, images: Tensor) -> Tensor:
        if struck(self.stage, images):
            raise RuntimeError("a layer gave way")
        return super().forward(images)


class NotFinite(Sound):
    """Gives NaN in a stage."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (float("nan") if struck(self.stage, images) else 1.0)


class Restless(Sound):
    """Adds noise to its logits."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits + 0.1 * torch.randn_like(logits)


class Large(Sound):
    """Has no memory for more than `most` images at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError(f"no memory for {len(images)} images")
        return super().forward(images)
