"""Conformance checks for attacks, models, measures and data sets, for the tests of plug-ins and of this package.

Each check raises AssertionError with what is wrong, and returns nothing where all is right:

    from sat_exp.testing import check_attack

    def test_my_attack_is_sound():
        check_attack(MyAttack(epsilon=8))
"""

import json
import math
import random
import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor, nn

from sat_exp.attacks import Attack
from sat_exp.datasets import ImageSet
from sat_exp.datasets.data_set import DataSet
from sat_exp.similarity.measures import Measure, Transfers

__all__ = ["check_attack", "check_dataset", "check_measure", "check_model"]

ATTACKED, CLASSES = 5, 4  # images and classes of the check of attacks
COMPARED, ANSWERS = 60, 5  # images and classes of the check of measures
NEEDS = ("predictions", "logits", "transfers", "features", "gradients", "boundaries")
READ = 12  # images of a data set that are decoded
TOLERANCE = 1e-3  # of logits, relative to the largest: kernels sum in another order for another batch size
NO_INTERVAL = math.nan, math.nan
ROUNDING = 1e-6


class Linear(nn.Module):
    """A linear classifier in float64, whose logits of an image hardly depend on the other images of its batch. It has a
    layer for attacks that need one."""

    def __init__(self, shape: Sequence[int], scale: float = 1.0) -> None:
        super().__init__()
        weight = np.random.default_rng(0).normal(size=(int(np.prod(shape)), CLASSES))
        self.flat = nn.Sequential(nn.Flatten(), nn.Identity())
        self.weight = nn.Parameter(scale * torch.from_numpy(weight), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.flat(pixels).double() @ self.weight


def check_attack(attack: Attack, shape: tuple[int, int, int] = (3, 16, 16)) -> None:
    """AssertionError unless an attack is sound on images of `shape`, (channels, height, width).

    Sound: uint8 images of the same shape, within the budget of `attack.threat`, where gradients are zero too; equal for
    equal seeds, whatever the global random state, the other images of the batch, and whether gradients are
    enabled; and nothing else changes: not the inputs, the classifier, the attack or the gradient mode.
    """
    classifier, images, labels = Linear(shape).eval(), sample(shape), torch.arange(ATTACKED) % CLASSES
    before = deepcopy(vars(attack))
    assert isinstance(attack.version, int), "version is not a whole number: stored images are known by it"
    assert json.loads(json.dumps(before)) == before, "the fields are not plain values: stored images are known by them"
    seed_everything(0)
    adversarial = attacked(attack, classifier, images, labels)
    check_budget(attack, images, adversarial)
    check_reproducible(attack, classifier, images, labels, adversarial)
    flat = Linear(shape, scale=0.0).eval()
    check_budget(attack, images, attacked(attack, flat, images, labels))
    assert vars(attack) == before, "the attack changes its own fields"


def seed_everything(seed: int) -> None:
    """Set the global random states, which an attack could use by mistake."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def sample(shape: Sequence[int]) -> Tensor:
    images = np.random.default_rng(1).integers(0, 256, (ATTACKED, *shape), np.uint8)
    images[0], images[1] = 0, 255
    return torch.from_numpy(images)


def attacked(attack: Attack, classifier: nn.Module, images: Tensor, labels: Tensor, first: int = 0) -> Tensor:
    """The adversarial images, with the seeds from `first` on. Asserts that nothing else changes."""
    kept = images.clone(), labels.clone(), {name: value.clone() for name, value in classifier.state_dict().items()}
    enabled, training = torch.is_grad_enabled(), classifier.training
    others = {"others": sample(images.shape[1:])} if attack.companions else {}
    adversarial = attack(classifier, images, labels, first + torch.arange(len(images)), **others)
    assert torch.is_grad_enabled() == enabled, "the attack leaves the gradient mode changed"
    assert classifier.training == training, "the attack changes the mode of the classifier"
    assert torch.equal(images, kept[0]), "the attack changes the images it is given: work on a copy"
    assert torch.equal(labels, kept[1]), "the attack changes the labels it is given"
    for name, parameter in classifier.named_parameters():
        assert torch.equal(parameter, kept[2][name]), f"the attack changes the parameter {name}"
        assert not parameter.requires_grad, f"the attack lets {name} have gradients"
        assert parameter.grad is None, f"the attack leaves a gradient at {name}: use torch.autograd.grad"
    return adversarial


def check_budget(attack: Attack, images: Tensor, adversarial: Tensor) -> None:
    assert adversarial.dtype == torch.uint8, f"the result is {adversarial.dtype}, not uint8"
    assert adversarial.shape == images.shape, f"the result has shape {tuple(adversarial.shape)}, not that of the images"
    assert not adversarial.requires_grad, "the result is attached to a graph of gradients: detach it"
    inside = attack.threat.allows(images.numpy(), adversarial.numpy())
    assert inside.all(), f"images {np.flatnonzero(~inside).tolist()} are outside the budget {attack.threat}"


def check_reproducible(attack: Attack, classifier: nn.Module, images: Tensor, labels: Tensor, first: Tensor) -> None:
    """Assert that the result depends on image, label, seed and classifier alone; `first`: an earlier result."""
    seed_everything(1)
    again = attacked(attack, classifier, images, labels)
    assert torch.equal(again, first), (
        "a second call with equal seeds gives other images: draw by sat_exp.attacks.random alone"
    )
    with torch.no_grad():
        without = attacked(attack, classifier, images, labels)
    assert torch.equal(without, first), "the result depends on torch.no_grad(): decorate with @torch.enable_grad()"
    for index in range(len(images)):
        one = slice(index, index + 1)
        alone = attacked(attack, classifier, images[one], labels[one], index)
        assert torch.equal(alone[0], first[index]), f"image {index} alone gives another result than in its batch"


def check_model(model: nn.Module, shape: tuple[int, int, int], classes: int) -> None:
    """AssertionError unless a classifier is sound on images of `shape`, (channels, height, width).

    model: float pixels in [0, 1], [B, C, H, W], to logits, in evaluation mode. Sound: logits [B, classes], finite,
    equal in a second call and for other images in the batch, with a gradient in the pixels; evaluation changes none of
    its parameters and buffers.
    """
    assert not any(module.training for module in model.modules()), "a part is in training mode: call model.eval()"
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    parameter = next(model.parameters(), torch.empty(0))
    pixels = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)).to(parameter.device)
    with torch.no_grad():
        logits = model(pixels)
        check_logits(logits, classes)
        assert torch.equal(model(pixels), logits), "a second call gives other logits: is there dropout or sampling?"
        alone = torch.cat([model(image[None]) for image in pixels])
    apart = float((alone - logits).abs().max() / logits.abs().max().clamp_min(1e-12))
    assert apart < TOLERANCE, f"logits depend on the batch, by {apart:.1e} of the largest: is there batch statistics?"
    check_gradient(model, pixels)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name]), f"evaluation changes {name}"


def check_logits(logits: Tensor, classes: int) -> None:
    assert isinstance(logits, Tensor), f"the model returns {type(logits).__name__}, not a tensor of logits"
    assert logits.shape == (4, classes), f"logits of 4 images have shape {tuple(logits.shape)}, not (4, {classes})"
    assert logits.is_floating_point(), f"logits are {logits.dtype}"
    assert logits.isfinite().all(), "some logits are not finite"
    assert classes == 1 or (logits != logits[:1]).any(), "all images have the same logits"


def check_gradient(model: nn.Module, pixels: Tensor) -> None:
    """Assert that the logits have a finite gradient in the pixels of every image, not zero everywhere."""
    with torch.enable_grad():
        pixels = pixels.clone().requires_grad_()
        logits = model(pixels)
        assert logits.requires_grad, "logits have no gradient: an attack needs one"
        (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum(), pixels, allow_unused=True)
    assert gradient is not None, "logits have no gradient in the pixels: an attack needs one"
    assert gradient.isfinite().all(), "the gradient in the pixels is not finite"
    assert (gradient.flatten(1) != 0).any(dim=1).all(), "the gradient in the pixels is zero for an image"


def check_measure(measure: Measure) -> None:
    """AssertionError unless a measure is sound on random outputs of two models.

    Sound: a finite value within its range or NaN, inside its interval; equal in a second call, in another order of the
    images and, where it claims to be symmetric, of the models; the value `identity` for a model with itself; no error
    without labels, for a single image, and for models that are always right; and the inputs stay as they are.
    """
    assert measure.kind in NEEDS, f"needs={measure.needs!r}: give one of {', '.join(NEEDS)}"
    assert measure.low < measure.high, f"the range from {measure.low} to {measure.high} is empty"
    labels, a, b = outputs(measure)
    value = valued(measure, a, b, labels)
    assert math.isfinite(value), "the value of two ordinary models is NaN"
    order = np.random.default_rng(1).permutation(COMPARED)
    moved = valued(measure, reordered(a, order), reordered(b, order), labels[order])
    assert same(moved, value), "the value depends on the order of images"
    if measure.symmetric:
        assert same(valued(measure, b, a, labels), value), "the measure claims to be symmetric and is not"
    for model in (a, b):
        itself = valued(measure, model, deepcopy(model), labels)
        if measure.identity is not None:
            assert same(itself, measure.identity), f"a model with itself has {itself}, not {measure.identity}"
    valued(measure, a, b, None)
    valued(measure, reordered(a, order[:1]), reordered(b, order[:1]), labels[order[:1]])
    right = made(measure, np.eye(ANSWERS)[labels])
    valued(measure, right, deepcopy(right), labels)


def outputs(measure: Measure) -> tuple[NDArray[np.int64], Any, Any]:
    """Labels, and what the measure needs of two models that are right on most images."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, ANSWERS, COMPARED)
    a, b = generator.normal(size=(2, COMPARED, ANSWERS)) + 2 * np.eye(ANSWERS)[labels]
    return labels, made(measure, a), made(measure, b)


def made(measure: Measure, logits: NDArray[np.float64]) -> Any:
    """What the measure needs of a model with these logits [N, K]; its adversarial images lead the other one to the next
    class, and so on a grid that has one plane for each image."""
    classes = logits.argmax(axis=1)
    if measure.kind == "transfers":
        return Transfers(classes, classes.copy(), np.where(logits[:, 0] > 0, (classes + 1) % ANSWERS, classes))
    if measure.kind == "predictions":
        return classes
    if measure.kind == "boundaries":
        return np.column_stack([classes, (classes + 1) % ANSWERS, logits[:, 1:].argmax(axis=1)]).astype(np.int32)
    if measure.kind == "gradients":
        return logits.astype(np.float16).reshape(len(logits), 1, 1, -1)
    return logits.astype(np.float32)


def reordered(outputs: Any, rows: NDArray[np.int64]) -> Any:
    """The outputs of the images `rows`."""
    if isinstance(outputs, Transfers):
        return Transfers(*(None if part is None else part[rows] for part in outputs))  # type: ignore[arg-type]
    return outputs[rows]


def valued(measure: Measure, a: Any, b: Any, labels: NDArray[np.int64] | None) -> float:
    """The value; asserts that it and its interval are in order, and that the inputs stay as they are."""
    kept = deepcopy((a, b, labels))
    one, other = measure.prepare(a), measure.prepare(b)
    results = [measure.compute(one, other, labels, 0.95) for _ in range(2)]  # a part is compared with many others
    (value, low, high), (again, *_) = (each if isinstance(each, tuple) else (each, *NO_INTERVAL) for each in results)
    for name, now, before in zip(("first model", "second model", "labels"), (a, b, labels), kept, strict=True):
        parts = zip(now, before, strict=True) if isinstance(now, tuple) else [(now, before)]
        assert all(part is None or np.array_equal(part, old) for part, old in parts), (
            f"the measure changes its input, the {name}"
        )
    assert same(value, again), "a second call gives another value: draw no random numbers, and change no prepared part"
    within = measure.low - ROUNDING <= value <= measure.high + ROUNDING
    assert math.isnan(value) or within, f"{value} is not within {measure.low} to {measure.high}"
    assert not low > value + ROUNDING, f"the interval from {low} to {high} does not hold {value}"
    assert not high < value - ROUNDING, f"the interval from {low} to {high} does not hold {value}"
    return float(value)


def same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING) or (math.isnan(one) and math.isnan(other))


def check_dataset(module: DataSet | LightningDataModule) -> None:
    """AssertionError unless the images of a data set are sound. Sound: `images` is an ImageSet with unique ids;
    labels are int64 indices into the class names, or missing with them; images are uint8 pixels on the canvas; pixels,
    hashes of contents and subsets are equal when they are read again."""
    images = getattr(module, "images", None)
    assert isinstance(images, ImageSet), f"images is a {type(images).__name__}, not an ImageSet"
    assert len(images), "there are no images"
    assert len(set(images.ids)) == len(images.ids), "two images have one id"
    check_labels(images)
    for index in np.unique(np.linspace(0, len(images) - 1, READ).astype(int)):
        check_image(images, int(index))
    check_subset(images, max(1, len(images) // 2))


def check_labels(images: ImageSet) -> None:
    """Assert that labels, class names and the name of the label space are all there or all missing."""
    if images.labels is None:
        assert images.class_names == (), "there are class names and no labels"
        assert images.label_space is None, "there is a label space and no labels"
        return
    assert images.label_space, "labels have no label space: models could not be matched with them"
    assert images.labels.dtype == np.int64, f"labels are {images.labels.dtype}, not int64"
    assert images.labels.shape == (len(images),), f"labels have shape {images.labels.shape} for {len(images)} images"
    assert images.labels.min() >= 0, "a label is negative"
    assert images.labels.max() < len(images.class_names), "a label has no class name"


def check_image(images: ImageSet, index: int) -> None:
    pixels, name = images.read(index), images.ids[index]
    assert pixels.dtype == np.uint8, f"the pixels of {name} are {pixels.dtype}, not uint8"
    assert pixels.shape == images.shape, f"{name} has shape {pixels.shape}, the canvas {images.shape}"
    assert np.array_equal(images.read(index), pixels), f"{name} has other pixels when it is read again"
    digest = images.contents(index)
    assert re.fullmatch(r"[0-9a-f]{64}", digest), f"the contents of {name} are {digest!r}, no SHA-256 in hex"
    assert images.contents(index) == digest, f"{name} has another hash when it is read again"


def check_subset(images: ImageSet, size: int) -> None:
    """Assert that a subset is drawn equally twice, keeps the order of the set, and has the set's own images."""
    part = images.subset(size, seed=0)
    assert len(part) == size, f"a subset of {size} has {len(part)} images"
    assert images.subset(size, seed=0).ids == part.ids, "the same seed draws another subset"
    places = [images.ids.index(name) for name in part.ids]
    assert places == sorted(places), "a subset is in another order than the set"
    assert np.array_equal(part.read(0), images.read(places[0])), "an image of a subset differs from that of the set"
    assert part.contents(0) == images.contents(places[0]), "the hash of an image differs in a subset"
