"""Layers of a network: by name, and the one at half of its depth."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sat_exp.errors import UserError, nearest


@contextmanager
def hooked(module: nn.Module, hook: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Within the body, `hook` takes the output of the module and may return another. UserError unless the
    module is called once and returns a tensor."""
    calls: list[int] = []

    def replace(module: nn.Module, inputs: Any, output: Any) -> Any:
        calls.append(1)
        if not isinstance(output, Tensor):
            raise UserError("the layer returns no tensor: give another attack.layer")
        return hook(output)

    handle = module.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
    if len(calls) != 1:
        called = f"the layer is called {len(calls)} times in a pass"
        raise UserError(f"{called}: give another attack.layer, or hardware.numerics=exact")


def named(network: nn.Module, name: str) -> nn.Module:
    """The layer of that dotted name; UserError where there is none."""
    layers = dict(network.named_modules())
    if name not in layers or not name:
        near = nearest(name, [each for each in layers if each]) or [name for name, _ in network.named_children()]
        raise UserError(f"attack.layer={name}: the network has no such layer; near it: {', '.join(near)}")
    return layers[name]


@torch.no_grad()
def middle(network: nn.Module, run: Callable[[], Any]) -> nn.Module:
    """The layer at half of the depth of `network`, which `run` calls once. UserError where none is found.

    Depth counts the calls of modules without children. The candidates are the children of the network, the children of
    a candidate through which its input passes one after the other, and so on; so that none is inside of a residual
    block. Of two layers that end equally near to the half, the outer one is taken; none outside of the middle half.
    """
    order: list[tuple[str, int, Any, Any]] = []  # name, leaf calls at its end, input, output
    leaves = 0

    def after(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            nonlocal leaves
            leaves += next(module.children(), None) is None
            order.append((name, leaves, inputs[0] if inputs else None, output))

        return hook

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            hooks.callback(module.register_forward_hook(after(name)).remove)
        run()
    ends = {name: end for name, end, _, output in order if isinstance(output, Tensor)}
    found = [name for name in candidates(order) if 1 / 4 <= ends.get(name, 0) / leaves <= 3 / 4]
    if not found:
        raise UserError("no layer at half of the network's depth was found: give attack.layer")
    return network.get_submodule(min(found, key=lambda name: (abs(ends[name] - leaves / 2), name.count("."))))


def candidates(order: list[tuple[str, int, Any, Any]], parent: str = "") -> list[str]:
    """The children of `parent`, and those of each child that is a chain, from the calls of all modules."""
    inputs, outputs = ({name: call[part] for call in order for name in [call[0]]} for part in (2, 3))
    prefix = f"{parent}." if parent else ""
    depth = prefix.count(".")
    children = [name for name, *_ in order if name and name.startswith(prefix) and name.count(".") == depth]
    chain = [inputs.get(parent), *(outputs[name] for name in children)]
    passes = all(inputs[name] is before for name, before in zip(children, chain, strict=False))
    if parent and not (children and passes and chain[-1] is outputs[parent]):
        return []
    return [*children, *(inner for name in children for inner in candidates(order, name))]
