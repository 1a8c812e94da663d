"""Batch normalisation folded into the convolution before it: at evaluation, it is a scale and a shift per channel."""

import copy
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sat_exp.models.classifier import Classifier
from sat_exp.models.tracing import tensors

CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
"""The classes, without their subclasses, whose output is linear in `weight` and `bias`."""

NORMALISATIONS = (nn.BatchNorm2d, BatchNormAct2d)


class Uses(TorchDispatchMode):
    """Counts the operations that take each tensor, as torch executes them. tensors: keeps them, so that no number of a
    tensor (`id`) is given twice."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()
        self.tensors: list[Tensor] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        taken = [*tensors((*args, *kwargs.values()))]
        self.counts.update({id(tensor) for tensor in taken})
        self.tensors += taken
        return function(*args, **kwargs)


def pairs(classifier: Classifier) -> list[tuple[str, str]]:
    """The names of the convolutions and batch normalisations of the network that can be folded.

    In a pass of one image each of the two is called once, and the normalisation is the only one that takes the output
    of the convolution. A module with two names in the network is left as it is.
    """
    network = classifier.network
    names = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
    channels, size, device = classifier.mean.shape[1], classifier.size, classifier.mean.device
    made: dict[int, str] = {}  # a tensor's number → the convolution that made it
    taken: dict[str, int] = {}  # normalisation → the number of its input
    calls: Counter[str] = Counter()
    uses = Uses()

    def after(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            calls[name] += 1
            if type(module) in CONVOLUTIONS:
                made[id(output)] = name
                uses.tensors.append(output)
            else:
                taken[name] = id(inputs[0])

        return hook

    with ExitStack() as hooks, torch.no_grad(), uses:
        for name, module in network.named_modules():
            if foldable(module) and names[id(module)] == 1:
                hooks.enter_context(module.register_forward_hook(after(name)))
        classifier(torch.zeros(1, channels, size, size, device=device))
    found = [(made[number], name) for name, number in taken.items() if number in made and uses.counts[number] == 1]
    return [(convolution, name) for convolution, name in found if calls[convolution] == calls[name] == 1]


def foldable(module: nn.Module) -> bool:
    """Whether it is a convolution or a batch normalisation of known arithmetic: without hooks, which could change it,
    and in evaluation mode."""
    if module.training or module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
        return False
    return type(module) in CONVOLUTIONS or (type(module) in NORMALISATIONS and module.running_var is not None)


def folded(classifier: Classifier) -> Classifier:
    """A copy in which each convolution of `pairs` also scales and shifts, and its normalisation does nothing."""
    found = pairs(classifier)
    made = copy.deepcopy(classifier)
    for convolution, normalisation in found:
        bn: Any = made.network.get_submodule(normalisation)
        fold(made.network.get_submodule(convolution), bn)
        rest = nn.Sequential(bn.drop, bn.act) if type(bn) is BatchNormAct2d else nn.Identity()
        made.network.set_submodule(normalisation, rest)
    return made.freeze()


@torch.no_grad()
def fold(convolution: Any, bn: Any) -> None:
    """Give the convolution the scale γ/√(σ² + ε) and the shift β − μγ/√(σ² + ε) of a normalisation; in float64."""
    dtype, channels = convolution.weight.dtype, convolution.out_channels
    scale = (bn.running_var.double() + bn.eps).rsqrt()
    scale = scale if bn.weight is None else scale * bn.weight.double()
    before = torch.zeros_like(scale) if convolution.bias is None else convolution.bias.double()
    shift = (before - bn.running_mean.double()) * scale
    shift = shift if bn.bias is None else shift + bn.bias.double()
    weight = convolution.weight.double() * scale.view(channels, 1, 1, 1)
    convolution.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(dtype), requires_grad=False)
