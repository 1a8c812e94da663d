"""Networks of a few blocks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Gate(nn.Module):
    """Squeeze and excitation under a name that says nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Linear(width, 4), nn.Linear(4, width)

    def forward(self, image: Tensor) -> Tensor:
        return image * torch.sigmoid(self.widen(F.relu(self.narrow(image.mean((2, 3))))))[:, :, None, None]


class Block(nn.Module):
    """A residual block with a gate before or after its last convolution."""

    def __init__(self, width: int, *, groups: int = 1, gate: str = "none") -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, width, 3, padding=1, groups=groups)
        self.norm = nn.GroupNorm(2, width)
        self.point = nn.Conv2d(width, width, 1)
        self.gate = Gate(width) if gate != "none" else nn.Identity()
        self.place = gate

    def forward(self, image: Tensor) -> Tensor:
        inner = F.silu(self.norm(self.wide(image)))
        return image + (self.gate(self.point(inner)) if self.place == "end" else self.point(self.gate(inner)))


def network(stem: nn.Module, *body: nn.Module, width: int = 8) -> nn.Module:
    return nn.Sequential(stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


class Tokens(nn.Module):
    """A transformer or, with `mixing`, an MLP-Mixer on patches."""

    def __init__(self, *, class_token: bool = False, mixing: bool = False, patch: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, 16)) if class_token else None
        made: Callable[[], nn.Module] = (
            (lambda: nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)))
            if mixing
            else (lambda: nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True))
        )
        self.blocks = nn.Sequential(*[made() for _ in range(3)])
        self.head = nn.Linear(16, 5)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        tokens = self.blocks(tokens)
        return self.head(tokens.mean(1) if self.token is None else tokens[:, 0])
