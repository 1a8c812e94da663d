"""What measures read of a classifier, and the images that they read it for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.models import Classifier
from sat_exp.models.features import features_of
from sat_exp.store import StoredArray

MARGIN = 0.1
"""How far a grid reaches beyond the three images of its plane, in the distances between them."""


def features_of_pixels(name: str, classifier: Classifier, pixels: Tensor) -> Tensor:
    """Features, float32 [B, D]; see `features_of`. name: of the model, for errors."""
    return features_of(classifier.network, name)(classifier.prepared(pixels)).float()


@torch.enable_grad()
def gradients_of(classifier: Classifier, pixels: Tensor) -> Tensor:
    """∂L/∂x, float16 [B, C, H, W], for pixels x, each image divided by its largest absolute value; 0 where that is 0. L
    is the cross-entropy of the class that is predicted for x."""
    leaf = pixels.detach().requires_grad_()
    logits = classifier(leaf).float()
    loss = F.cross_entropy(logits, logits.detach().argmax(dim=1), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    largest = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    return (gradient / torch.where(largest > 0, largest, 1)).half()


@dataclass(frozen=True)
class Chosen:
    """Some images of an array, those at `places`, int64 [n], ascending."""

    pixels: StoredArray
    places: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.places)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        return self.pixels.gather(self.places[rows])


@dataclass(frozen=True)
class Planes:
    """Points on planes through three images, as images: those of a plane one after the other, side² each.

    triples: the rows of the three images of each plane, int64 [P, 3]. With images x, y, z, v = y − x and w the part of
    z − x that is orthogonal to v, a point is x + αv + βw. β is from −`MARGIN` to 1 + `MARGIN`, and so is α, further if
    z lies beyond. Its pixels may be below 0 or above 255.
    """

    pixels: StoredArray
    triples: np.ndarray
    side: int

    @property
    def rows(self) -> int:
        return len(self.triples) * self.side**2

    @cached_property
    def corners(self) -> np.ndarray:
        """The three images of each plane, float32 [P, 3, C, H, W]."""
        wanted, places = np.unique(self.triples, return_inverse=True)
        return self.pixels.gather(wanted)[places.reshape(self.triples.shape)].astype(np.float32)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Points by row, float32 [n, C, H, W] in units of 1/255."""
        plane, place = np.divmod(rows, self.side**2)
        up, across = np.divmod(place, self.side)
        steps = np.linspace(0, 1, self.side)
        found = np.empty((len(rows), *self.corners.shape[2:]), np.float32)
        for number in np.unique(plane):
            on_it = plane == number
            first, along, away, low, high = axes(*self.corners[number])
            alpha = low + (high - low) * steps[across[on_it]]
            beta = -MARGIN + (1 + 2 * MARGIN) * steps[up[on_it]]
            shifts = (one[:, None, None, None].astype(np.float32) for one in (alpha, beta))
            found[on_it] = first + next(shifts) * along + next(shifts) * away
        return found


def axes(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """x, v and w of a plane, and the ends of α; see `Planes`."""
    v, u = y - x, z - x
    length = float((v * v).sum(dtype=np.float64))
    share = float((u * v).sum(dtype=np.float64)) / length if length > 0 else 0.0
    return x, v, u - np.float32(share) * v, min(0.0, share) - MARGIN, max(1.0, share) + MARGIN


@torch.no_grad()
def width_of(classifier: Classifier, image: np.ndarray, name: str, device: torch.device) -> int:
    """The number of features of a classifier on `device`, from one image, uint8 [1, C, H, W]."""
    pixels = torch.from_numpy(image).to(device).float() / 255
    return features_of_pixels(name, classifier, pixels).shape[1]
