"""Networks that go wrong, for model files of a user's own: `network._target_: networks.NAME`."""

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


class Raising(Sound):
    """Raises at its call number `after`, counted from 0."""

    def __init__(self, after: int, ballast: int = 0) -> None:
        super().__init__(ballast)
        self.after, self.calls = after, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > self.after:
            raise RuntimeError("a layer gave way")
        return super().forward(images)


class NotFinite(Sound):
    """Gives NaN from its call number `after` on."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after, self.calls = after, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(images) * (float("nan") if self.calls > self.after else 1.0)


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
