"""A record of one forward pass of a network: the functions called, in order, and the shapes in its modules."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from sat_exp.errors import UserError, one_line

AVERAGES = {"mean", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool2d"}
ARGUMENTS = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "linear": ("input", "weight", "bias"),
}
SEPARABLE = "SeparableConv"
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Call:
    """One call of a torch function."""

    name: str
    owners: tuple[str, ...]  # the modules it ran in, from the outermost
    input: tuple[int, ...]  # shapes
    output: tuple[int, ...]
    source: int  # the number of the input tensor, the same in all calls on that tensor
    kernel: tuple[int, ...] = ()  # of a learned convolution only
    stride: int = 1
    groups: int = 1

    @property
    def averages(self) -> bool:
        """Whether it takes the mean over all positions of an image or all tokens."""
        reduced = len(self.input) > 2 and math.prod(self.output) * positions(self.input) == math.prod(self.input)
        return self.name in AVERAGES and reduced

    @property
    def weighs(self) -> bool:
        """Whether it is a learned convolution or a linear layer."""
        return bool(self.kernel) or self.name == "linear"


class Trace(TorchFunctionMode):
    """The torch functions called during a forward pass, recorded by `run`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.modules = dict(network.named_modules())
        self.blocks = blocks(self.modules)
        self.calls: list[Call] = []
        self.stack: list[str] = []
        self.within: dict[str, list[int]] = {}  # the calls of each module that ran
        self.gating: list[str] = []  # modules whose output is of the shape of their image
        self.positions: list[int] = []  # at the entrances and exits of the outermost blocks
        self.entered: list[tuple[str, int]] = []  # outermost blocks, with the number of calls before them
        self.numbers = WeakTensorKeyDictionary()  # input tensor of a call → its number

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        source, made = next(tensors([*args, *kwargs.values()]), None), next(tensors([result]), None)
        if source is not None and made is not None:
            name = getattr(function, "__name__", "").strip("_")
            named = dict(zip(ARGUMENTS.get(name, ()), args, strict=False)) | kwargs
            facts = self.learned(name, named) if name in ARGUMENTS else {}
            for owner in self.stack:
                self.within[owner].append(len(self.calls))
            number = self.numbers.setdefault(source, len(self.calls))
            self.calls.append(Call(name, tuple(self.stack), tuple(source.shape), tuple(made.shape), number, **facts))
        return result

    def learned(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The kernel, stride and groups of a learned convolution; {} for a linear layer and a fixed filter.

        A weight is learned if it is a parameter, or computed from parameters of its module. A convolution with one
        other filter per channel is fixed. ValueError for other weights that are not learned.
        """
        weight, stride, groups = arguments["weight"], arguments.get("stride", 1), arguments.get("groups", 1)
        module = self.modules[self.stack[-1]]
        learned = isinstance(weight, nn.Parameter) or isinstance(module, (nn.Conv2d, nn.Linear)) or weighty(module)
        fixed = name == "conv2d" and groups == arguments["input"].shape[1]
        if not learned and not fixed:
            raise ValueError(f"{self.stack[-1] or 'it'} has weights that are no parameters")
        if not learned or name == "linear":
            return {}
        stride = stride if isinstance(stride, int) else stride[0]
        return {"kernel": tuple(weight.shape[2:]), "stride": stride, "groups": groups}

    def enter(self, name: str, inputs: tuple[Any, ...]) -> None:
        if name in self.blocks and self.blocks.isdisjoint(self.stack):
            self.entered.append((name, len(self.calls)))
            self.positions += [positions(tensor.shape) for tensor in tensors(inputs)]
        self.within.setdefault(name, [])
        self.stack.append(name)

    @property
    def first_block(self) -> int | None:
        """The number of calls before the first block; None without a block. A block whose weight layers all have the
        same input is a layer of several branches, unless all blocks are."""
        for name, before in self.entered:
            if len({self.calls[index].source for index in self.within[name] if self.calls[index].weighs}) > 1:
                return before
        return self.entered[0][1] if self.entered else None

    def leave(self, name: str, inputs: tuple[Any, ...], output: Any) -> None:
        self.stack.pop()
        if name in self.blocks and self.blocks.isdisjoint(self.stack):
            self.positions += [positions(tensor.shape) for tensor in tensors([output])]
        source = next(tensors(inputs), None)
        if isinstance(output, Tensor) and source is not None and output.shape == source.shape and output.ndim == 4:
            self.gating.append(name)

    def of_class(self, table: Mapping[str, str]) -> dict[str, str]:
        """Module → value of `table`, for each module that ran and whose class name matches a pattern of `table`."""
        names = {name: type(self.modules[name]).__name__ for name in self.within}
        return {
            name: word for name, kind in names.items() for pattern, word in table.items() if re.search(pattern, kind)
        }


def run(network: nn.Module, channels: int, size: int) -> Trace:
    """The trace of one black image, in evaluation mode."""
    trace = Trace(network)
    modes = {module: module.training for module in network.modules()}
    weights = (tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.is_floating_point())
    like = next(weights, torch.empty(0))
    image = torch.zeros(1, channels, size, size, device=like.device, dtype=like.dtype)
    handles = ExitStack()
    try:
        scripted = isinstance(network, torch.jit.ScriptModule)
        if not scripted and all(parameter.ndim < 2 for parameter in network.parameters()):
            raise ValueError("it has no weights that are parameters")
        for name, module in trace.modules.items():
            before = module.register_forward_pre_hook(lambda _, inputs, name=name: trace.enter(name, inputs))
            after = module.register_forward_hook(lambda _, inputs, made, name=name: trace.leave(name, inputs, made))
            handles.enter_context(before)
            handles.enter_context(after)
        with torch.no_grad(), trace:
            network.eval()(image)
        if not any(call.weighs for call in trace.calls):
            raise ValueError("neither a convolution nor a linear layer was called")
    except Exception as error:
        failure = f"the network's components cannot be derived on images {list(image.shape)} ({one_line(error)})"
        raise UserError(f"{failure}: check model.input, or state all of components: in its model file") from error
    finally:
        handles.close()
        for module, mode in modes.items():
            module.training = mode
    return trace


def blocks(modules: Mapping[str, nn.Module]) -> set[str]:
    """The names of a network's blocks.

    A block is a module with two or more weight layers. It is in a container (nn.Sequential, nn.ModuleList), or of a
    class used more than once. A container is a block if it is one of three or more containers in a container, and
    nothing else is there. A separable convolution is a layer.
    """
    layers: Counter[str] = Counter()
    for name, module in modules.items():
        if weighty(module):
            parts = name.split(".")
            layers.update({".".join(parts[:length]) for length in range(len(parts) + 1)})
    classes = Counter(type(module) for name, module in modules.items() if layers[name] > 1)
    found: set[str] = set()
    for name, module in modules.items():
        parent = modules[name.rpartition(".")[0]]
        if isinstance(module, CONTAINERS):
            siblings = list(parent.children()) if isinstance(parent, CONTAINERS) else []
            block = len(siblings) > 2 and all(isinstance(sibling, CONTAINERS) for sibling in siblings)
        else:
            separable = type(module).__name__.startswith(SEPARABLE)
            block = not separable and (isinstance(parent, CONTAINERS) or classes[type(module)] > 1)
        if block and name and 1 < layers[name] < 0.9 * layers[""]:
            found.add(name)
    return found


def weighty(module: nn.Module) -> bool:
    """Whether the module itself has a parameter with two axes longer than 1, so more than a scale or a bias."""
    return any(sum(extent > 1 for extent in weight.shape) > 1 for weight in module.parameters(recurse=False))


def tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among `values`, also in lists and tuples."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


def positions(shape: tuple[int, ...]) -> int:
    """The number of positions of an image [B, C, H, W] or [B, H, W, C] (H = W), or of tokens [B, N, D]; else 1."""
    if len(shape) == 4:
        return shape[2] * shape[3] if shape[2] == shape[3] else shape[1] * shape[2]
    return shape[1] if len(shape) == 3 else 1
