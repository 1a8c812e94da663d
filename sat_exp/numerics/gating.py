"""The gate: whether a faster classifier computes the function of the exact one, shown on images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sat_exp.models.classifier import Classifier

BATCH = 16


@dataclass(frozen=True)
class Limits:
    """How much other rounding may change. logit_error: the largest difference of a logit, as a fraction of the logits'
    root mean square. cosine: the least cosine between the two input gradients of an image. median_cosine: the least
    median of it over the images. equal_signs: the least share of the gradients' values with equal signs. changed: the
    largest share of images whose class changes."""

    logit_error: float
    cosine: float
    median_cosine: float
    equal_signs: float
    changed: float


FLOAT32 = Limits(logit_error=1e-4, cosine=0.95, median_cosine=0.9999, equal_signs=0.99, changed=0.0)
"""For another order of float32 operations. Folded and channels-last networks differ by at most: logit error 9e-6,
cosine 1 − 2e-4 (one activation on the other side of a kink), its median 1 − 2e-7, equal signs 0.9998. In float64 most
networks differ from themselves by as much, and SqueezeNet by: cosine 0.99, its median 1 − 9e-6, equal signs 0.998."""

REDUCED = Limits(logit_error=0.2, cosine=0.8, median_cosine=0.95, equal_signs=0.9, changed=0.05)
"""For factors of 8 significant bits (bfloat16) or 11 (TF32). The bundled networks differ in bfloat16 by at most: logit
error 0.07, cosine 0.93, its median 0.989, equal signs 0.954. EfficientNet-Lite0 (median cosine 0.83) does not pass."""


@dataclass(frozen=True)
class GateResult:
    """The differences of two classifiers on `images` images, as in `Limits`, but changed: a number of images. Those of
    gradients are None where gradients are not compared."""

    images: int
    limits: Limits
    logit_error: float
    changed: int
    cosine: float | None = None
    median_cosine: float | None = None
    equal_signs: float | None = None

    @property
    def reason(self) -> str:
        """What is beyond its limit, in one line; empty where nothing is."""
        least, failed = self.limits, []
        if not self.logit_error <= least.logit_error:
            failed.append(f"logits differ by {self.logit_error:.1e} of their size (at most {least.logit_error:.0e})")
        if self.changed > least.changed * self.images:
            failed.append(f"{self.changed} of {self.images} classes change")
        for name in ("cosine", "median_cosine", "equal_signs"):
            found, limit = getattr(self, name), getattr(least, name)
            if found is not None and not found >= limit:
                failed.append(f"{name.replace('_', ' ')} of input gradients is {found:.7g} (at least {limit:.7g})")
        return "; ".join(failed)

    @property
    def passed(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Outputs:
    """Logits [B, classes] and input gradients [B, C, H, W] of a classifier, float64; None without gradients."""

    logits: Tensor
    gradients: Tensor | None


def gate(
    exact: Classifier,
    fast: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    gradients: bool = True,
    limits: Limits = FLOAT32,
) -> GateResult:
    """Compare two classifiers on images, uint8 [B, C, H, W], with labels int64 [B], on the device of `exact`.

    gradients: compare input gradients too, which an evaluation does not need.
    """
    known, found = (outputs(each, images, labels, gradients=gradients) for each in (exact, fast))
    return compared(known, found, limits)


def compared(exact: Outputs, fast: Outputs, limits: Limits) -> GateResult:
    """The result of the gate for known outputs."""
    if exact.logits.shape != fast.logits.shape:
        return GateResult(len(exact.logits), limits, torch.inf, len(exact.logits))
    error = (exact.logits - fast.logits).abs().max() / exact.logits.square().mean().sqrt()
    changed = int((exact.logits.argmax(dim=1) != fast.logits.argmax(dim=1)).sum())
    if exact.gradients is None or fast.gradients is None:
        return GateResult(len(exact.logits), limits, float(error), changed)
    a, b = exact.gradients.flatten(1), fast.gradients.flatten(1)
    lengths = a.norm(dim=1) * b.norm(dim=1)
    cosines = torch.where(lengths > 0, (a * b).sum(dim=1) / lengths, (a == b).all(dim=1).double())
    equal = (a.sign() == b.sign()).double().mean()
    found = float(cosines.min()), float(cosines.median()), float(equal)
    return GateResult(len(exact.logits), limits, float(error), changed, *found)


def outputs(classifier: Classifier, images: Tensor, labels: Tensor, *, gradients: bool = True) -> Outputs:
    """What the gate compares, for images uint8 [B, C, H, W] and labels int64 [B]."""
    device, logits, slopes = classifier.mean.device, [], []
    for few, truth in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        with torch.set_grad_enabled(gradients):
            pixels = (few.to(device).float() / 255).requires_grad_(gradients)
            found = classifier(pixels)
            if gradients:
                (slope,) = torch.autograd.grad(odds(found, truth.to(device)), pixels)
                slopes.append(slope.cpu().double())
        logits.append(found.detach().cpu().double())
    return Outputs(torch.cat(logits), torch.cat(slopes) if gradients else None)


def odds(logits: Tensor, labels: Tensor) -> Tensor:
    """The logarithm of the odds against the labels, summed. Its gradient for an image is that of the cross-entropy
    divided by the probability of the other classes; that of the cross-entropy is lost in rounding near certainty."""
    own = logits.gather(1, labels[:, None])
    return (logits.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1) - own[:, 0]).sum()
