"""The conformance check of data sets."""

import re

import numpy as np
from lightning import LightningDataModule

from sat_exp.datasets import ImageSet

READ = 12
"""Images of a set that are decoded."""


def check_dataset(module: LightningDataModule) -> None:
    """AssertionError unless the images of a data module are sound.

    Sound: `images` is an ImageSet with unique ids; labels are int64 indices into the class names, or missing with them;
    images are uint8 pixels on the canvas; pixels, hashes of contents and subsets are equal when they are read again.
    """
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
    """Assert sound pixels and a stable hash of one image."""
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
