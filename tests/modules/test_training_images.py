"""Training images: those of a data set, or photographs in a folder."""

import random

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from sat_exp.datasets import Canvas
from sat_exp.errors import UserError
from sat_exp.modules.training_images import TrainingImages, check_source, transformation

from .. import fashion_mnist as fashion


@pytest.fixture
def photographs(tmp_path):
    """Folders `train` and `val` of 40×30 noise in two classes, six and four images."""
    rng = np.random.default_rng(0)
    for part, number in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{index}.png")
    return tmp_path


def folder(photographs, **changes):
    settings = {
        "_target_": "sat_exp.datasets.Folder", "root": str(photographs / "val"), "size": 1, "seed": 0, "ids": None,
        "label_space": "pets", "resize": 24, "crop": 16,
    }  # fmt: skip
    return OmegaConf.create(settings | changes)


def test_photographs_to_train_on_lie_elsewhere_and_all_others_are_tested_on(photographs):
    found = TrainingImages.of(folder(photographs), str(photographs / "train"), workers=0)
    assert (len(found.training), len(found.test), found.label_space) == (6, 4, "pets")
    pixels, labels = next(iter(found.test_batches(4)))
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (4, 3, 16, 16)
    assert labels.tolist() == [0, 0, 1, 1]
    assert torch.equal(found.training[0][0], found.training[0][0])


def test_a_transform_changes_the_training_images_alone(photographs):
    transform = {"auto_augment": "rand-m9-mstd0.5-inc1", "scale": [0.5, 1.0]}
    found = TrainingImages.of(folder(photographs), str(photographs / "train"), workers=0)
    seen = [found.augmented(transform)[0][0] for _ in range(4)]
    assert {tuple(pixels.shape) for pixels in seen} == {(3, 16, 16)}
    assert seen[0].dtype == torch.uint8
    assert not all(torch.equal(pixels, seen[0]) for pixels in seen)
    assert torch.equal(found.augmented(None)[0][0], found.training[0][0])


def test_the_digest_is_that_of_the_images(photographs):
    def digest(**changes):
        return TrainingImages.of(folder(photographs, **changes), str(photographs / "train"), 0).digest

    before = digest()
    assert digest(size=2) == before
    assert digest(resize=30, crop=30) != before
    (photographs / "train/cat/0.png").write_bytes((photographs / "train/dog/0.png").read_bytes())
    other = digest()
    assert other != before
    (photographs / "train/cat/0.png").unlink()
    assert digest() != before


def test_what_cannot_be_trained_on(photographs):
    config, train = folder(photographs), str(photographs / "train")
    with pytest.raises(UserError, match=r"Folder has no training images: give task\.training_root"):
        TrainingImages.of(config, None, 0)
    with pytest.raises(UserError, match="timm cannot apply"):
        TrainingImages.of(config, train, 0).augmented({"auto_augmentation": "rand"})
    (photographs / "train/cat").rename(photographs / "train/cow")
    with pytest.raises(UserError, match="are not those of val"):
        TrainingImages.of(config, train, 0)


def test_a_transform_is_tried_before_images_are_read(photographs):
    config, train = folder(photographs), str(photographs / "train")
    check_source(config, train, [None, {"re_prob": 0.5}])
    with pytest.raises(UserError, match="timm cannot apply transform="):
        check_source(config, train, [None, {"auto_augmentation": "rand"}])


def test_a_part_of_a_sets_own_training_images(fashion_mnist):
    config = {"_target_": "sat_exp.datasets.FashionMNIST", "root": str(fashion_mnist), "size": 5, "seed": 0}
    whole = TrainingImages.of(OmegaConf.create(config), None, 0)
    part = TrainingImages.of(OmegaConf.create(config | {"training_size": 20}), None, 0)
    assert (len(whole.training), len(whole.test)) == (60, 30)
    assert (len(part.training), len(part.test)) == (20, 30)
    assert np.bincount(part.training.tensors[1]).tolist() == [2] * 10
    assert part.digest != whole.digest
    with pytest.raises(UserError, match="transform= is for photographs"):
        whole.augmented({"hflip": 0.5})


@pytest.fixture
def fashion_mnist(tmp_path):
    """A folder with the four files: 60 of the bundled images to train on, 30 others to test on."""
    return fashion.write(tmp_path, 60, 30)


def chance():
    """Where the random generators of PyTorch, Python and NumPy are."""
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.parametrize(
    "transform",
    [
        {"nonsense": 1}, {"interpolation": "cubick"}, {"color_jitter": "a"}, {"scale": [0.5]}, {"normalize": True},
        {"is_training": False}, {"input_size": -1}, {"no_aug": True, "input_size": 0}, {"hflip": "often"},
    ],
    ids=str,
)  # fmt: skip
def test_what_timm_cannot_do_is_refused_before_any_training(transform):
    before = chance()
    with pytest.raises(UserError, match=r"timm cannot apply transform=") as caught:
        transformation(transform, Canvas(32, 24))
    assert str(caught.value).isprintable()
    assert chance() == before


def test_a_trial_of_a_transform_draws_no_random_numbers():
    before = chance()
    apply = transformation({"auto_augment": "rand-m9-mstd0.5-inc1", "re_prob": 0.5}, Canvas(32, 24))
    assert chance() == before
    assert apply(Image.new("RGB", (50, 40))).shape == (3, 24, 24)
