"""What one forward pass of a network calls, in order, and what its modules see."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sat_exp.errors import UserError, one_line

AVERAGES = {"mean", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool2d"}
CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Call:
    """One call of a torch function: its name, the modules it ran in from the outermost, and its tensors' shapes."""

    name: str
    owners: tuple[str, ...]
    input: tuple[int, ...]
    output: tuple[int, ...]
    kernel: tuple[int, ...] = ()  # of a learned convolution only
    stride: int = 1
    groups: int = 1

    @property
    def averages(self) -> bool:
        """Whether it takes the mean over all places of an image or all tokens."""
        reduced = len(self.input) > 2 and math.prod(self.output) * positions(self.input) == math.prod(self.input)
        return self.name in AVERAGES and reduced

    @property
    def weighs(self) -> bool:
        """Whether it is a learned convolution or a linear layer."""
        return bool(self.kernel) or self.name == "linear"


class Trace(TorchFunctionMode):
    """A record of the torch functions called, filled in by `run`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.modules = dict(network.named_modules())
        self.blocks = blocks(self.modules)
        self.calls: list[Call] = []
        self.stack: list[str] = []
        self.within: dict[str, list[int]] = {}  # the calls of each module that ran
        self.gating: list[str] = []  # modules whose output is of the shape of their image
        self.positions: list[int] = []  # at the entrances and exits of the outermost blocks
        self.first_block: int | None = None  # the number of calls before it

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        given, made = next(tensors([*args, *kwargs.values()]), None), next(tensors([result]), None)
        if given is not None and made is not None:
            name = getattr(function, "__name__", "").strip("_")
            facts = self.learned(dict(zip(CONVOLUTION, args, strict=False)) | kwargs) if name == "conv2d" else {}
            for owner in self.stack:
                self.within[owner].append(len(self.calls))
            self.calls.append(Call(name, tuple(self.stack), tuple(given.shape), tuple(made.shape), **facts))
        return result

    def learned(self, convolution: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept of a convolution's arguments; nothing of a fixed filter, such as a blur."""
        weight, stride = convolution["weight"], convolution.get("stride", 1)
        if not isinstance(weight, nn.Parameter) and not isinstance(self.modules[self.stack[-1]], nn.Conv2d):
            return {}
        return {
            "kernel": tuple(weight.shape[2:]),
            "stride": stride if isinstance(stride, int) else stride[0],
            "groups": convolution.get("groups", 1),
        }

    def enter(self, name: str, inputs: tuple[Any, ...]) -> None:
        if name in self.blocks and self.blocks.isdisjoint(self.stack):
            self.first_block = len(self.calls) if self.first_block is None else self.first_block
            self.look(inputs)
        self.within.setdefault(name, [])
        self.stack.append(name)

    def leave(self, name: str, inputs: tuple[Any, ...], output: Any) -> None:
        self.stack.pop()
        if name in self.blocks and self.blocks.isdisjoint(self.stack):
            self.look((output,))
        given = next(tensors(inputs), None)
        if isinstance(output, Tensor) and given is not None and output.shape == given.shape and output.ndim == 4:
            self.gating.append(name)

    def look(self, values: tuple[Any, ...]) -> None:
        self.positions += [positions(tensor.shape) for tensor in tensors(values)]

    def of_class(self, table: Mapping[str, str]) -> dict[str, str]:
        """The modules that ran whose class's name a pattern of `table` fits, and what it stands for."""
        names = {name: type(self.modules[name]).__name__ for name in self.within}
        return {
            name: word for name, kind in names.items() for pattern, word in table.items() if re.search(pattern, kind)
        }


def run(network: nn.Module, channels: int, size: int) -> Trace:
    """The trace of one black image, in evaluation mode."""
    trace = Trace(network)
    modes = {module: module.training for module in network.modules()}
    some = next(network.parameters(), torch.empty(0))
    image = torch.zeros(1, channels, size, size, device=some.device, dtype=some.dtype)
    handles = []
    try:
        for name, module in trace.modules.items():
            handles += [
                module.register_forward_pre_hook(lambda _, inputs, name=name: trace.enter(name, inputs)),
                module.register_forward_hook(lambda _, inputs, output, name=name: trace.leave(name, inputs, output)),
            ]
        with torch.no_grad(), trace:
            network.eval()(image)
    except Exception as error:
        raise UserError(
            f"the network's components cannot be seen on images {list(image.shape)} ({one_line(error)}): "
            "check the size and channels of model.input, or state model.components"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return trace


def blocks(modules: Mapping[str, nn.Module]) -> set[str]:
    """The names of a network's blocks.

    A block is a module of two or more weight layers that is not a mere container and either lies in one (nn.Sequential,
    nn.ModuleList) or is of a class used more than once; so is a container in a container of nothing but three or more.
    """
    layers: Counter[str] = Counter()
    for name, module in modules.items():
        if any(sum(extent > 1 for extent in weight.shape) > 1 for weight in module.parameters(recurse=False)):
            parts = name.split(".")
            layers.update({".".join(parts[:length]) for length in range(len(parts) + 1)})
    classes = Counter(type(module) for name, module in modules.items() if layers[name] > 1)
    found = set()
    for name, module in modules.items():
        parent = modules[name.rpartition(".")[0]]
        if isinstance(module, CONTAINERS):
            siblings = list(parent.children()) if isinstance(parent, CONTAINERS) else []
            block = len(siblings) > 2 and all(isinstance(sibling, CONTAINERS) for sibling in siblings)
        else:
            block = isinstance(parent, CONTAINERS) or classes[type(module)] > 1
        if block and name and 1 < layers[name] < 0.9 * layers[""]:
            found.add(name)
    return found


def tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among `values`, also in lists and tuples."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


def positions(shape: tuple[int, ...]) -> int:
    """Places of an image [B, C, H, W] or [B, H, W, C] (H = W) or of tokens [B, N, D]; 1 for anything else."""
    if len(shape) == 4:
        return shape[2] * shape[3] if shape[2] == shape[3] else shape[1] * shape[2]
    return shape[1] if len(shape) == 3 else 1
