"""The ways to make a classifier faster with other rounding, by name."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from sat_exp.errors import UserError, explained, nearest
from sat_exp.models.classifier import Classifier
from sat_exp.numerics import runtime
from sat_exp.numerics.folding import folded, pairs
from sat_exp.numerics.gating import FLOAT32, REDUCED, Limits
from sat_exp.numerics.networks import TF32, BFloat16, Compiled


@dataclass(frozen=True)
class Technique:
    """One way to make a classifier faster. It is applied before those that follow it in TECHNIQUES.

    make: a faster copy of a classifier. applies: whether it has an effect on a classifier on a device. gradients:
    whether the copy can be attacked. excludes: techniques that cannot be combined with it. limits: of its rounding.
    setup: about the seconds that it takes to apply it.
    """

    name: str
    make: Callable[[Classifier], Classifier]
    applies: Callable[[Classifier, torch.device], bool]
    gradients: bool = True
    excludes: tuple[str, ...] = ()
    limits: Limits = FLOAT32
    setup: float = 0.0

    def apply(self, classifier: Classifier) -> Classifier:
        """A new frozen classifier; the given one does not change. UserError where that fails."""
        with explained(f"the numerics {self.name} cannot be applied", "use exact numerics for this model"):
            return self.make(classifier).freeze()


def with_network(classifier: Classifier, network: nn.Module) -> Classifier:
    """The classifier with another network."""
    mean, std = (values.flatten().tolist() for values in (classifier.mean, classifier.std))
    made = Classifier(network, size=classifier.size, mean=mean, std=std, interpolation=classifier.interpolation)
    made.mean, made.std = classifier.mean, classifier.std
    return made


def channels_last(classifier: Classifier) -> Classifier:
    made = copy.deepcopy(classifier)
    made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


def on_cuda(classifier: Classifier, device: torch.device) -> bool:
    return device.type == "cuda" and classifier.dtype == torch.float32


def convolves(classifier: Classifier, device: torch.device) -> bool:
    found = any(isinstance(module, nn.Conv2d) for module in classifier.network.modules())
    return found and device.type in ("cpu", "cuda")


def folds(classifier: Classifier, device: torch.device) -> bool:
    return device.type == "cpu" and classifier.dtype in (torch.float32, torch.float64) and bool(pairs(classifier))


def exports(classifier: Classifier, device: torch.device) -> bool:
    return device.type == "cpu" and classifier.dtype == torch.float32 and runtime.installed()


def wrapping(kind: Callable[[nn.Module], nn.Module]) -> Callable[[Classifier], Classifier]:
    return lambda classifier: with_network(classifier, kind(classifier.network))


def in_runtime(classifier: Classifier) -> Classifier:
    return with_network(classifier, runtime.runtime(classifier))


TECHNIQUES = {
    technique.name: technique
    for technique in (
        Technique("folded", folded, folds, excludes=("onnx",)),
        Technique("channels_last", channels_last, convolves, excludes=("onnx",)),
        Technique("bf16", wrapping(BFloat16), on_cuda, excludes=("tf32", "onnx"), limits=REDUCED),
        Technique("compiled", wrapping(Compiled), on_cuda, excludes=("onnx",), setup=30.0),
        Technique("tf32", wrapping(TF32), on_cuda, excludes=("bf16", "onnx"), limits=REDUCED),
        Technique("onnx", in_runtime, exports, gradients=False, setup=5.0),
    )
}
"""All techniques by name, in the order in which they are applied and named."""


def techniques(classifier: Classifier, device: torch.device | str) -> list[Technique]:
    """Those that have an effect on a classifier on a device, for which it need not be there yet."""
    return [each for each in TECHNIQUES.values() if each.applies(classifier, torch.device(device))]


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the order of TECHNIQUES; UserError for an unknown one, and for two that exclude each other."""
    wanted = set(names)
    if unknown := sorted(wanted - TECHNIQUES.keys()):
        near = nearest(unknown[0], TECHNIQUES) or list(TECHNIQUES)
        raise UserError(f"there are no numerics called {unknown[0]}: give {' or '.join(near)}")
    for name in wanted:
        if clash := wanted.intersection(TECHNIQUES[name].excludes):
            raise UserError(f"the numerics {name} and {min(clash)} exclude each other: give one of them")
    return tuple(name for name in TECHNIQUES if name in wanted)


def applied(classifier: Classifier, names: Iterable[str]) -> Classifier:
    """The classifier with techniques by name; itself where there is none. UserError where that fails."""
    for name in ordered(names):
        classifier = TECHNIQUES[name].apply(classifier)
    return classifier


def limits_of(names: Iterable[str]) -> Limits:
    """The limits of the gate for techniques together."""
    return REDUCED if any(TECHNIQUES[name].limits is REDUCED for name in names) else FLOAT32
