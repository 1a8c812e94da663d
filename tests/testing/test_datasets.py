"""The conformance check of data sets: those available offline pass, and every planted defect is found."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from lightning import LightningDataModule

from sat_exp.datasets import FashionMNIST
from sat_exp.testing import check_dataset


@pytest.fixture(scope="module")
def images():
    return FashionMNIST(None, 60, 0).images


def module(images):
    made = LightningDataModule()
    made.images = images
    return made


def test_the_bundled_images_are_sound():
    check_dataset(FashionMNIST(None, None, 0))
    check_dataset(FashionMNIST(None, 3, 0))


def test_unlabelled_images_are_sound(images):
    check_dataset(module(replace(images, labels=None, class_names=(), label_space=None)))


def changing():
    """Contents that differ at every call."""
    calls = count()
    return lambda index: f"{next(calls):064x}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda images: {"ids": ("a", *images.ids[1:-1], "a")}, "two images have one id"),
        (lambda images: {"labels": images.labels.astype(np.int32)}, "labels are int32, not int64"),
        (lambda images: {"labels": images.labels[1:]}, "for 60 images"),
        (lambda images: {"labels": images.labels - 1}, "a label is negative"),
        (lambda images: {"class_names": images.class_names[:5]}, "a label has no class name"),
        (lambda images: {"labels": None}, "there are class names and no labels"),
        (lambda images: {"contents": lambda index: str(index)}, "no SHA-256 in hex"),
        (lambda images: {"contents": changing()}, "another hash when it is read again"),
    ],
)
def test_each_defect_is_found(images, changes, message):
    with pytest.raises(AssertionError, match=message):
        check_dataset(module(replace(images, **changes(images))))


def test_a_module_without_images_is_found():
    with pytest.raises(AssertionError, match="images is a NoneType, not an ImageSet"):
        check_dataset(module(None))
