"""Attacks of other libraries: torchattacks, torchattack, Foolbox and Adversarial Library.

Their random numbers come from global generators. These are seeded with each image's seed, and images are attacked one
by one, so that a result depends on the image and its seed alone.
"""

import inspect
import math
import random
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sat_exp.attacks.attack import NORMS, Attack, Goal, Network, Norm, Threat
from sat_exp.attacks.l2_pgd import Length, length, rounded
from sat_exp.errors import UserError, nearest, one_line
from sat_exp.settings.types import Repeats, StepSize, Text

TOLERANCE = 1e-3  # of the budget, for rounding in float32
GIVEN = ("self", "model", "device", "inputs", "labels", "targeted", "callback")  # arguments that are no options


@dataclass(frozen=True)
class External(Attack):
    """The attack `name` of a library. `epsilon` and `step_size` are in units of 1/255, and are given to the library in
    units of 1; None leaves its default. options: further arguments of the library's class or function, by its own
    names. The library's version is in the key of stored images.

    The result is rounded, within epsilon. UserError where the library's is outside of it by more than rounding.
    """

    name: Text
    epsilon: Length = 8.0
    step_size: StepSize | None = None
    steps: Repeats | None = None
    norm: Norm = "linf"
    goal: Goal = "untargeted"
    options: dict[str, Any] = field(default_factory=dict)
    version: ClassVar[int] = 1
    library: ClassVar[str]
    pip: ClassVar[str]  # what installs it
    step_size_names: ClassVar[tuple[str, ...]]
    steps_names: ClassVar[tuple[str, ...]] = ("steps",)

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            import_module(self.library)
        except ImportError as error:
            why = f"attack.name={self.name} needs the package {self.library} ({one_line(error)})"
            raise UserError(f"{why}: pip install {self.pip}") from error
        object.__setattr__(self, "library_version", version(self.library))
        self.arguments()

    @property
    def threat(self) -> Threat:
        return Threat(self.norm, self.epsilon, self.goal)

    @property
    def gradients(self) -> int:
        """About as many as `steps`, which is all that the library's interface tells."""
        return self.steps or 1

    @property
    def kind(self) -> Callable[..., Any]:
        """The class or function of the attack; UserError where the library has none of that name."""
        if self.name not in (known := self.known()):
            near = nearest(self.name, known) or sorted(known)[:5]
            raise UserError(f"attack.name={self.name}: {self.library} has no such attack; near it: {', '.join(near)}")
        return known[self.name]

    def arguments(self) -> dict[str, Any]:
        """The arguments of the attack; UserError for one that it does not take."""
        takes = [name for name in inspect.signature(self.kind).parameters if name not in GIVEN]
        size = None if self.step_size is None else self.step_size / 255
        known = {first(self.step_size_names, takes): size, first(self.steps_names, takes): self.steps}
        stated = {key: value for key, value in known.items() if value is not None}
        if twice := sorted(stated.keys() & self.options):
            raise UserError(f"attack.options.{twice[0]} is set by attack.step_size or attack.steps: leave one out")
        for name in (stated := stated | self.options):
            if name not in takes:
                near = ", ".join(nearest(name, takes) or takes)
                raise UserError(f"{self.library}.{self.name} takes no {name}: its options are {near}")
        return stated

    @abstractmethod
    def known(self) -> Mapping[str, Callable[..., Any]]:
        """The library's attacks by name."""

    @abstractmethod
    def attacked(self, classifier: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """The library's result for pixels in [0, 1], float32 [1, C, H, W], of the same form."""

    @torch.enable_grad()
    def __call__(self, classifier: Network, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        if not isinstance(classifier, nn.Module):
            raise UserError(f"{self.library} attacks a torch.nn.Module only: give it one")
        done = []
        for image, label, seed in zip(images.split(1), labels.split(1), seeds.tolist(), strict=True):
            with seeded(seed, images.device):
                found = self.attacked(classifier, image / 255, label.clone()).detach()
            done.append(self.within(image.to(torch.float32), 255 * found.to(torch.float32)))
        return torch.cat(done)

    def within(self, clean: Tensor, found: Tensor) -> Tensor:
        """`found`, in units of 1/255, as 8-bit images within the budget."""
        change = found - clean
        size = float(change.abs().max() if self.norm == "linf" else length(change).max())
        if not size <= self.epsilon * (1 + TOLERANCE) + TOLERANCE:
            larger = f"{self.library}.{self.name} made a change of {size:.4g}/255 in {NORMS[self.norm]}"
            raise UserError(f"{larger}, more than {self.threat}: it has another budget; see attack.norm")
        if self.norm == "l2":
            change = rounded(change.clamp(-clean, 255 - clean), self.epsilon)
        most = math.floor(self.epsilon) if self.norm == "linf" else 255
        return (clean + change.round().clamp(-most, most)).clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Torchattacks(External):
    """An attack of torchattacks (Kim 2020), such as DIFGSM."""

    version: ClassVar[int] = 1
    library: ClassVar[str] = "torchattacks"
    pip: ClassVar[str] = "--no-deps torchattacks"  # it requires an old version of requests
    step_size_names: ClassVar[tuple[str, ...]] = ("alpha",)

    def known(self) -> Mapping[str, type]:
        module = import_module(self.library)
        return subclasses(vars(module), import_module("torchattacks.attack").Attack)

    def arguments(self) -> dict[str, Any]:
        return with_epsilon(self, super().arguments(), "eps")

    def attacked(self, classifier: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        attack = self.kind(classifier, **self.arguments())
        attack.set_device(pixels.device)
        if self.threat.targeted:
            if "targeted" not in attack.supported_mode:
                raise UserError(f"torchattacks.{self.name} has no goal class: give attack.goal=untargeted")
            attack.set_mode_targeted_by_function(lambda images, goals: goals, quiet=True)
        return attack(pixels, labels)


@dataclass(frozen=True)
class Torchattack(External):
    """An attack of torchattack (Luo 2024), such as BSR."""

    version: ClassVar[int] = 1
    library: ClassVar[str] = "torchattack"
    pip: ClassVar[str] = "torchattack"
    step_size_names: ClassVar[tuple[str, ...]] = ("alpha",)

    def known(self) -> Mapping[str, type]:
        return import_module(self.library).ATTACK_REGISTRY

    def arguments(self) -> dict[str, Any]:
        stated = with_epsilon(self, super().arguments(), "eps")
        if not self.threat.targeted:
            return stated
        if "targeted" not in inspect.signature(self.kind).parameters:
            raise UserError(f"torchattack.{self.name} has no goal class: give attack.goal=untargeted")
        return stated | {"targeted": True}

    def attacked(self, classifier: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        return self.kind(classifier, device=pixels.device, **self.arguments())(pixels, labels)


@dataclass(frozen=True)
class Foolbox(External):
    """An attack of Foolbox (Rauber et al. 2017) with a fixed epsilon, such as LinfPGD."""

    version: ClassVar[int] = 1
    library: ClassVar[str] = "foolbox"
    pip: ClassVar[str] = "foolbox"
    step_size_names: ClassVar[tuple[str, ...]] = ("abs_stepsize", "stepsize")

    def known(self) -> Mapping[str, type]:
        module = import_module("foolbox.attacks")
        return subclasses(vars(module), import_module("foolbox.attacks.base").FixedEpsilonAttack)

    def attacked(self, classifier: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        foolbox = import_module(self.library)
        criteria = foolbox.criteria
        criterion = (criteria.TargetedMisclassification if self.threat.targeted else criteria.Misclassification)(labels)
        model = foolbox.PyTorchModel(classifier, bounds=(0, 1), device=pixels.device)
        return self.kind(**self.arguments()).run(model, pixels, criterion, epsilon=self.epsilon / 255)


@dataclass(frozen=True)
class AdvLib(External):
    """An attack of Adversarial Library (Rony and Ben Ayed 2020) within a budget, such as apgd."""

    version: ClassVar[int] = 1
    library: ClassVar[str] = "adv_lib"
    pip: ClassVar[str] = "adv-lib, as docs/attacks.md says"  # it requires visdom, which new setuptools do not build
    step_size_names: ClassVar[tuple[str, ...]] = ("absolute_step_size",)
    steps_names: ClassVar[tuple[str, ...]] = ("steps", "n_iter")

    def known(self) -> Mapping[str, Callable[..., Any]]:
        found = vars(import_module("adv_lib.attacks"))
        return {name: attack for name, attack in found.items() if inspect.isfunction(attack)}

    def arguments(self) -> dict[str, Any]:
        stated = with_epsilon(self, super().arguments(), "eps", "ε")
        takes_norm = "norm" in inspect.signature(self.kind).parameters
        return stated | ({"norm": math.inf if self.norm == "linf" else 2} if takes_norm else {})

    def attacked(self, classifier: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        return self.kind(classifier, pixels, labels, targeted=self.threat.targeted, **self.arguments())


def with_epsilon(attack: External, arguments: dict[str, Any], *names: str) -> dict[str, Any]:
    """The arguments and epsilon, by the one of `names` that the attack takes; UserError for an attack that has none."""
    takes = inspect.signature(attack.kind).parameters
    if (name := first(names, takes)) not in takes:
        raise UserError(f"{attack.library}.{attack.name} has no epsilon: choose an attack within a budget")
    return arguments | {name: attack.epsilon / 255}


def first(names: Sequence[str], takes: Collection[str]) -> str:
    """The first of `names` that is in `takes`, else the first."""
    return next((name for name in names if name in takes), names[0])


def subclasses(found: Mapping[str, Any], base: type) -> dict[str, type]:
    """The concrete subclasses of `base` by the names that a library gives them."""
    return {
        name: kind
        for name, kind in found.items()
        if inspect.isclass(kind) and issubclass(kind, base) and kind is not base and not inspect.isabstract(kind)
    }


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the body, the global generators of torch, numpy and Python begin at `seed`; then they go on as before."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
