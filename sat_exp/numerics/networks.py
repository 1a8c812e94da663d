"""Networks that compute the function of another one in another way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class BFloat16(nn.Module):
    """The network under autocast to bfloat16. Its images and logits stay float32, and so do losses and attacks."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = self.network(images)
        return logits.to(images.dtype)


class TF32(nn.Module):
    """The network with TF32 products in its forward and its backward pass, and nowhere else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return Within.apply(images, self.network)
        with tf32():
            return self.network(images)


class Compiled(nn.Module):
    """The network compiled by torch, whose kernels CUDA replays as a graph.

    A replayed graph writes to the same memory each time. The logits are therefore copied. The gradient of pixels is a
    copy anyway, because a classifier divides it by its standard deviation.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.compiled: Callable[[Tensor], Tensor] = torch.compile(network, mode="reduce-overhead", dynamic=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.compiled(images).clone()


class Within(torch.autograd.Function):
    """A network whose forward and backward pass both run with TF32, which its callers do not switch on."""

    @staticmethod
    def forward(context: Any, images: Tensor, network: nn.Module) -> Tensor:
        with torch.enable_grad(), tf32():
            inputs = images.detach().requires_grad_()
            logits = network(inputs)
        context.graph = inputs, logits
        return logits.detach()

    @staticmethod
    def backward(context: Any, slopes: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        inputs, logits = context.graph
        with tf32():
            (gradient,) = torch.autograd.grad(logits, inputs, slopes)
        return gradient, None


@contextmanager
def tf32() -> Iterator[None]:
    """TF32 products of matrices and convolutions on CUDA, until the body ends."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
