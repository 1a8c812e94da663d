"""Networks derived from a trained one: pruning, quantisation, interpolation of weights, and a new head.

Sources: Han et al., *Learning both Weights and Connections for Efficient Neural Networks* (NeurIPS 2015), for pruning
by magnitude; Krishnamoorthi, *Quantizing deep convolutional networks for efficient inference* (2018), for scales per
channel; Wortsman et al., *Robust fine-tuning of zero-shot models* (WiSE-FT, CVPR 2022), for interpolation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from lightning import Callback, LightningModule, Trainer
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import prune

from sat_exp.errors import UserError
from sat_exp.modules.training import Part, Recipe, State, Training
from sat_exp.settings.types import Positive, Share, Whole

FOR_STUDENTS = ("hard", "weight", "temperature")
FOR_TRAINED = ("prune", "interpolate", "new_head")


@dataclass(frozen=True)
class Way(Recipe):
    """How a network is derived from a trained one, which conf/task/derive.yaml explains: a training, which may have no
    epochs, and what is done to the weights. UserError for settings that contradict each other or change nothing."""

    epochs: Whole
    prune: Part | None = None
    bits: Annotated[int, Field(ge=2, le=8)] | None = None
    interpolate: Share | None = None
    new_head: bool = False
    student: bool = False
    hard: bool = False
    weight: Annotated[float, Field(gt=0, le=1)] = 0.9
    temperature: Positive = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        trained = self.epochs + self.finishing_epochs > 0
        if self.student:
            for name in FOR_TRAINED:
                if (value := getattr(self, name)) is not None and value is not False:
                    raise UserError(f"{name}={value}: a student begins with random weights, leave it out")
        if self.prune and self.interpolate is not None:
            raise UserError(f"interpolate={self.interpolate}: pruned weights would come back, leave out one of the two")
        if not trained and (self.student or self.new_head):
            raise UserError("epochs=0: a student and a new head begin with random weights, give 1 or more")
        if not trained and not self.prune and self.bits is None:
            raise UserError("epochs=0 changes nothing: give 1 or more, or prune= or bits=")

    def facts(self) -> dict[str, Any]:
        """See `Recipe.facts`; the settings of distillation only for students."""
        return {name: value for name, value in super().facts().items() if self.student or name not in FOR_STUDENTS}


class HeadTraining(Training):
    """One phase of training of the classifier's head alone; all else keeps its weights and its statistics."""

    def __init__(self, *training: Any) -> None:
        super().__init__(*training)
        self.classifier.requires_grad_(False)
        for part in heads(self.classifier.network):
            part.requires_grad_(True)

    def on_train_epoch_start(self) -> None:
        self.classifier.eval()
        for part in heads(self.classifier.network):
            part.train()


class Masking(Callback):
    """Keeps pruned weights at zero: after each batch the weights are multiplied by `masks`, bool by name in the
    classifier's network."""

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self.masks = dict(masks)

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.masks = {name: mask.to(module.device) for name, mask in self.masks.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, module: Any, *batch: Any) -> None:
        for name, mask in self.masks.items():
            module.classifier.network.get_parameter(name).mul_(mask)


def heads(network: nn.Module) -> list[nn.Module]:
    """The layers that compute the logits, by timm's `get_classifier`; UserError where a network names none that has
    weights."""
    named = getattr(network, "get_classifier", None)
    found = named() if callable(named) else ()
    parts = list(found) if isinstance(found, tuple | list | nn.ModuleList) else [found]
    if not any(True for part in parts for _ in part.parameters()):
        raise UserError(f"{type(network).__name__} names no head by get_classifier(): leave out new_head")
    return parts


def renew_head(network: nn.Module, seed: int) -> None:
    """Initialise the head again, each layer by its own `reset_parameters`; UserError for a layer without."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in (layer for part in heads(network) for layer in part.modules()):
            if not any(True for _ in layer.parameters(recurse=False)):
                continue
            if not callable(reset := getattr(layer, "reset_parameters", None)):
                raise UserError(f"the head has a {type(layer).__name__}, which cannot be reset: leave out new_head")
            reset()


def prune_smallest(network: nn.Module, share: float) -> State:
    """Set the `share` of the weights of each layer with the smallest magnitudes to zero; the masks, bool by name, false
    where a weight is zero now. Weights are the parameters called `weight` with two dimensions or more.

    With one threshold for the whole network whole layers become zero, as their weights differ in size.
    """
    masks = {}
    for name, layer in network.named_modules():
        if "weight" in layer._parameters and is_weight("weight", layer.weight):
            prune.l1_unstructured(layer, "weight", amount=share)
            masks[f"{name}.weight" if name else "weight"] = layer.weight_mask.bool()
            prune.remove(layer, "weight")
    if not masks:
        raise UserError(f"{type(network).__name__} has no weights of two dimensions: leave out prune")
    return masks


def is_weight(name: str, tensor: Any) -> bool:
    """Whether an entry of a state is a matrix or a kernel: no bias, no statistics, no token, no embedding of places."""
    stated = name.rpartition(".")[-1] == "weight" and isinstance(tensor, Tensor)
    return stated and tensor.ndim >= 2 and tensor.is_floating_point()


def quantised(weight: Tensor, bits: int) -> Tensor:
    """`weight` [O, ...] rounded to 2^bits − 1 values per output channel, symmetric about zero: s · round(w / s), s the
    largest magnitude of the channel divided by 2^(bits − 1) − 1. The numbers stay floats."""
    most = 2 ** (bits - 1) - 1
    scales = weight.flatten(1).abs().amax(dim=1).float() / most
    scales = torch.where(scales > 0, scales, 1.0)
    zeros = torch.zeros(len(weight), dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), scales, zeros, 0, -most, most).to(weight.dtype)


def interpolated(parent: Mapping[str, Tensor], tuned: Mapping[str, Tensor], share: float) -> State:
    """(1 − share) · parent + share · tuned for tensors of floats; all others are those of `tuned`."""
    return {
        name: torch.lerp(parent[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in tuned.items()
    }


@dataclass(frozen=True)
class Finish:
    """What is done to the weights after training. parent: the weights before it. masks: of pruned weights, by name."""

    way: Way
    parent: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]

    def __call__(self, state: State) -> State:
        state = {name: tensor * self.masks[name] if name in self.masks else tensor for name, tensor in state.items()}
        if self.way.interpolate is not None:
            state = interpolated(self.parent, state, self.way.interpolate)
        if (bits := self.way.bits) is None:
            return state
        return {name: quantised(tensor, bits) if is_weight(name, tensor) else tensor for name, tensor in state.items()}


def zero_share(state: Mapping[str, Tensor]) -> float:
    """The share of zeros among the weights of a state, see `is_weight`; 0 where there are none."""
    weights = [tensor for name, tensor in state.items() if is_weight(name, tensor)]
    number = sum(weight.numel() for weight in weights)
    return sum(int((weight == 0).sum()) for weight in weights) / number if number else 0.0
