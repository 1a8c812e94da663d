"""The features of a network: what its last layer, the classifier, takes."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from sat_exp.errors import UserError

LAYERS = (nn.Linear, nn.Conv2d)


def features_of(network: nn.Module, name: str) -> Callable[[Tensor], Tensor]:
    """A function from normalised images, float [B, C, size, size], to features [B, D].

    Networks of timm have methods for it, `forward_features` and `forward_head(pre_logits=True)`. Of another network it
    is the input of the last linear layer or 1×1 convolution that is called, averaged over positions. UserError, when
    the function is called, for a network without such a layer. name: of the model, for errors.
    """
    if all(callable(getattr(network, part, None)) for part in ("forward_features", "forward_head")):
        return lambda images: of_timm(network, images, name)
    return lambda images: before_last_layer(network, images, name)


def of_timm(network: Any, images: Tensor, name: str) -> Tensor:
    features = network.forward_head(network.forward_features(images), pre_logits=True)
    if not isinstance(features, Tensor):
        raise UserError(f"model {name}: its forward_head returns no tensor of features: choose a measure of outputs")
    return pooled(features)


def before_last_layer(network: nn.Module, images: Tensor, name: str) -> Tensor:
    """The input of the last layer that is called."""
    last: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        last[:] = inputs[:1]

    handles = [module.register_forward_pre_hook(keep) for module in network.modules() if is_layer(module)]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not last:
        raise UserError(f"model {name}: it calls no linear layer, whose input would be its features: leave it out")
    return pooled(last[0])


def is_layer(module: nn.Module) -> bool:
    """Whether it is a linear map of each position."""
    return isinstance(module, LAYERS) and getattr(module, "kernel_size", (1, 1)) == (1, 1)


def pooled(features: Tensor) -> Tensor:
    """Features [B, D]: the mean over positions of maps [B, D, H, W] and of tokens [B, N, D]."""
    if features.ndim == 4:
        return features.mean(dim=(2, 3))
    return features.mean(dim=1) if features.ndim == 3 else features
