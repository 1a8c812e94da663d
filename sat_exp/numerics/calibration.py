"""Which techniques make a classifier faster on a device, measured."""

import copy
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.errors import UserError
from sat_exp.models.classifier import Classifier
from sat_exp.numerics import runtime
from sat_exp.numerics.gating import Outputs, compared, outputs
from sat_exp.numerics.technique import TECHNIQUES, Technique, applied, limits_of, ordered, techniques

SECONDS = 6.0
GAIN = 0.03
"""The least share of the time that a technique must save."""
WORTH = 4
"""The work ahead must take this many times as long as a preparation for it: the search, an export."""
ROUNDS = 3, 15
"""The least and the largest number of rounds in which times are compared."""
TIMED, GATED = 4, 8
"""The least number of images of a timed batch, and of those in the gate, as far as there are so many."""

Purpose = Literal["attack", "evaluation"]


class Names(tuple[str, ...]):
    """Names of techniques; as a text, they stand in keys."""

    def __str__(self) -> str:
        return " ".join(self) or "exact"


EXACT = Names()


@dataclass(frozen=True)
class Choice:
    """The techniques for attacks and for evaluations, and what was measured of all. The values are plain:
    `Choice(**json.loads(json.dumps(vars(choice))))` is equal to `choice`. UserError for names that are unknown or
    cannot be used together."""

    attack: tuple[str, ...] = EXACT
    evaluation: tuple[str, ...] = EXACT
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for purpose in ("attack", "evaluation"):
            object.__setattr__(self, purpose, Names(ordered(getattr(self, purpose))))
        object.__setattr__(self, "notes", tuple(self.notes))
        if wrong := [name for name in self.attack if not TECHNIQUES[name].gradients]:
            raise UserError(f"the numerics {wrong[0]} have no gradients: use them for evaluation only")


@dataclass
class Calibration:
    """The search for one classifier. seconds: for all timed rounds of a purpose. notes: grow during the search.
    passes_ahead: the gradients of single images that follow, and as many evaluations; None: unlimited.
    attackable: the copies that have passed the gate for an attack, which is also that for an evaluation."""

    exact: Classifier
    images: Tensor
    labels: Tensor
    device: torch.device
    seconds: float
    passes_ahead: int | None
    notes: list[str] = field(default_factory=list)
    attackable: dict[Names, Classifier] = field(default_factory=dict)

    def __post_init__(self) -> None:
        few = slice(TIMED)
        step(self.exact, self.pixels(few), self.truth(few))
        self.image_seconds: dict[Purpose, float] = {
            purpose: seconds_of(self.device, partial(run, self.exact, self.pixels(few), self.truth(few))) / TIMED
            for purpose, run in RUNS.items()
        }
        timed, gated = (int(self.seconds / share / self.image_seconds["attack"]) for share in (40, 10))
        self.timed, self.gated = slice(max(TIMED, timed)), slice(max(GATED, gated))

    @cached_property
    def known(self) -> Outputs:
        """What the exact classifier computes for the images of the gate."""
        return outputs(self.exact, self.images[self.gated], self.labels[self.gated])

    def seconds_ahead(self, purpose: Purpose) -> float:
        """What the work ahead takes with exact numerics."""
        return float("inf") if self.passes_ahead is None else self.passes_ahead * self.image_seconds[purpose]

    def pixels(self, few: slice) -> Tensor:
        return self.images[few].to(self.device).float() / 255

    def truth(self, few: slice) -> Tensor:
        return self.labels[few].to(self.device)

    def fastest(self, offered: Iterable[Technique], purpose: Purpose) -> Names:
        """Add the technique that saves most time, and repeat this until none saves enough."""
        offered = [each for each in offered if self.pays(each, purpose)]
        best, chosen = EXACT, self.exact
        while True:
            names = [Names(ordered((*best, each.name))) for each in offered if fits(each, best)]
            made = {each: fast for each in names if (fast := self.gated_copy(each, purpose)) is not None}
            if not made:
                return best
            ratios = self.ratios({best: chosen, **made}, best, purpose)
            first = min(ratios, key=lambda each: ratios[each])
            self.notes += [
                f"{purpose}: {each} takes {ratio:.2f} of the time of {best}" for each, ratio in ratios.items()
            ]
            if ratios[first] > 1 - GAIN:
                return best
            best, chosen = first, made[first]

    def pays(self, technique: Technique, purpose: Purpose) -> bool:
        """Whether a technique can be used for a purpose, and there is work enough ahead to apply it."""
        if purpose == "attack" and not technique.gradients:
            return False
        seconds = self.seconds_ahead(purpose)
        pays = seconds >= WORTH * technique.setup
        if not pays:
            spent = f"to apply it takes about {technique.setup:.0f} s, the work ahead about {seconds:.0f} s"
            self.notes.append(f"{purpose}: {technique.name} is not used: {spent}")
        return pays

    def gated_copy(self, names: Names, purpose: Purpose) -> Classifier | None:
        """The classifier with techniques; None, and a note, where they fail or change its function."""
        if names in self.attackable:
            return self.attackable[names]
        gradients = purpose == "attack"
        try:
            fast = applied(self.exact, names)
            found = outputs(fast, self.images[self.gated], self.labels[self.gated], gradients=gradients)
            known = self.known if gradients else Outputs(self.known.logits, None)
            reason = compared(known, found, limits_of(names)).reason
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        if not reason:
            if gradients:
                self.attackable[names] = fast
            return fast
        self.notes.append(f"{purpose}: {names} is not used: {' '.join(reason.split())[:300]}")
        return None

    def ratios(self, made: dict[Names, Classifier], base: Names, purpose: Purpose) -> dict[Names, float]:
        """The time of each of `made` divided by that of `base`: the median over rounds. Another one comes first in each
        round, because the first one is slower."""
        pixels, labels = self.pixels(self.timed), self.truth(self.timed)
        run = RUNS[purpose]
        found: dict[Names, list[float]] = {names: [] for names in made if names != base}
        all_of = [*made.items()]
        for _, classifier in all_of:
            run(classifier, pixels, labels)
        started = time.perf_counter()
        for turn in range(ROUNDS[1]):
            if turn >= ROUNDS[0] and time.perf_counter() - started > self.seconds / 2:
                break
            first = turn % len(all_of)
            spent = {
                names: seconds_of(self.device, partial(run, classifier, pixels, labels))
                for names, classifier in all_of[first:] + all_of[:first]
            }
            for names in found:
                found[names].append(spent[names] / spent[base])
        return {names: statistics.median(values) for names, values in found.items()}


def calibrate(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    device: torch.device | str,
    seconds: float = SECONDS,
    *,
    passes_ahead: int | None = None,
) -> Choice:
    """The fastest techniques for a frozen classifier on a device, for a step of an attack and for a forward pass.

    images: uint8 [B, C, H, W], labels: int64 [B], both from the data set: 64 are enough. seconds: about the time that
    comparisons take; export and compilation come on top. A technique that does not pass the gate is not used. Where
    nothing saves a share GAIN of the time, the choice is empty: exact.
    passes_ahead: images to attack times steps; as many evaluations are assumed. What takes more than a share 1 / WORTH
    of this work is not tried. If that is the search itself, the choice is exact, too.
    """
    device = torch.device(device)
    if classifier.mean.device.type != device.type:
        classifier = copy.deepcopy(classifier).to(device)
    search = Calibration(classifier, images, labels, device, seconds / 2, passes_ahead)
    if (ahead := sum(search.seconds_ahead(purpose) for purpose in RUNS)) < WORTH * seconds:
        return Choice(notes=(f"exact: the work ahead takes about {ahead:.0f} s, a calibration {seconds:.0f} s",))
    offered = techniques(classifier, device)
    if device.type == "cpu" and not runtime.installed():
        search.notes.append("evaluation: onnx is not used: pip install 'sat_exp[onnx]'")
    attack, evaluation = (search.fastest(offered, purpose) for purpose in RUNS)
    return Choice(attack, evaluation, tuple(search.notes))


def fits(technique: Technique, names: Names) -> bool:
    """Whether a technique can be added to others."""
    clashes = any(name in technique.excludes or technique.name in TECHNIQUES[name].excludes for name in names)
    return technique.name not in names and not clashes


def step(classifier: Classifier, pixels: Tensor, labels: Tensor) -> None:
    """The part of a step of an attack that a classifier computes: the loss and its gradient."""
    with torch.enable_grad():
        inputs = pixels.detach().requires_grad_()
        torch.autograd.grad(F.cross_entropy(classifier(inputs), labels, reduction="sum"), inputs)


def forward(classifier: Classifier, pixels: Tensor, labels: Tensor) -> None:
    """The logits, without gradients; `labels` are not used."""
    with torch.no_grad():
        classifier(pixels)


def seconds_of(device: torch.device, work: Callable[[], None]) -> float:
    """The time until the device has finished some work."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


RUNS: dict[Purpose, Callable[[Classifier, Tensor, Tensor], None]] = {"attack": step, "evaluation": forward}
