"""Every accepted form of images gives the same pixels. Others are refused with one line that states what to give."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

import sat_exp
from sat_exp.datasets import FashionMNIST, Folder
from sat_exp.library.images import image_set


def pixels(channels: int = 3, count: int = 5, side: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, channels, side, side), np.uint8)


def read(found: Any) -> np.ndarray:
    return np.stack([found.images.read(index) for index in range(len(found.images))])


class Items(Dataset[Any]):
    """A data set of whatever items it is given."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def pictures(values: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(np.ascontiguousarray(each.transpose(1, 2, 0))) for each in values]


@pytest.mark.parametrize(
    "form",
    [
        lambda values: values,
        torch.from_numpy,
        lambda values: values.astype(np.float32) / 255,
        lambda values: values.astype(np.float64) / 255,
        lambda values: torch.from_numpy(values).float() / 255,
        lambda values: (torch.from_numpy(values).float() / 255).requires_grad_(),
        lambda values: TensorDataset(torch.from_numpy(values)),
        lambda values: Items(pictures(values)),
        lambda values: Items([{"image": picture, "label": 0} for picture in pictures(values)]),
        lambda values: Items([(torch.from_numpy(each), 1) for each in values]),
    ],
)
def test_the_same_pixels_in_every_form(form: Any) -> None:
    values = pixels()
    found = image_set(form(values), None)
    np.testing.assert_array_equal(read(found), values)
    assert found.notes == ()
    assert len({found.images.contents(index) for index in range(5)}) == 5


def test_grey_images_need_no_channel_axis() -> None:
    values = pixels(channels=1)
    np.testing.assert_array_equal(read(image_set(values[:, 0], None)), values)


def test_labels_are_those_of_the_data_set_or_the_given_ones() -> None:
    items = Items([(picture, label) for label, picture in enumerate(pictures(pixels()))])
    assert image_set(items, None).images.labels.tolist() == [0, 1, 2, 3, 4]
    assert image_set(items, torch.tensor([4, 3, 2, 1, 0])).images.labels.tolist() == [4, 3, 2, 1, 0]
    assert image_set(pixels(), None).images.labels is None


def test_pictures_of_several_sizes_are_cropped_as_those_of_a_folder(tmp_path: Path) -> None:
    several = [Image.fromarray(np.full((260, 300 + 10 * index, 3), 40 * index, np.uint8)) for index in range(3)]
    for index, picture in enumerate(several):
        picture.save(tmp_path / f"{index}.png")
    from_folder, from_items = image_set(tmp_path, None), image_set(Items(several), None)
    assert from_folder.images.shape == (3, 224, 224)
    np.testing.assert_array_equal(read(from_folder), read(from_items))
    command = Folder(root=str(tmp_path), size=None, seed=0).images
    assert [command.contents(index) for index in range(3)] == [from_folder.images.contents(index) for index in range(3)]


def test_a_folder_of_classes_is_labelled(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        pictures(pixels(count=1))[0].save(tmp_path / name / "one.png")
    found = image_set(str(tmp_path), None)
    assert found.images.class_names == ("cat", "dog")
    assert found.images.labels.tolist() == [0, 1]


def test_a_data_set_of_this_package_keeps_its_contents() -> None:
    data = FashionMNIST(root=None, size=4, seed=0)
    assert image_set(data, None).images is data.images
    assert image_set(data.images, None).fixed
    assert not image_set(data, [0, 1, 2, 3]).fixed


def test_floats_between_the_steps_are_rounded_and_noted() -> None:
    found = image_set(np.full((1, 1, 4, 4), 0.5 + 0.2 / 255, np.float32), None)
    assert read(found).tolist() == np.full((1, 1, 4, 4), 128).tolist()
    assert found.notes == (
        "images were rounded to 8 bits, by up to 0.30/255: the attack and the store work on 8-bit pixels",
    )


def test_rounding_is_among_the_warnings_of_the_result(tmp_path: Path) -> None:
    model = sat_exp.Model(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)),
        {
            "size": 4,
            "mean": [0.5],
            "std": [0.5],
        },
        pretrained=False,
    )
    values = torch.full((1, 1, 4, 4), 0.5)
    result = sat_exp.measure(model, values, compare="own", attack=sat_exp.Noise(epsilon=1), store=tmp_path, threads=1)
    assert "images were rounded to 8 bits" in result.warnings[0]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (pixels().astype(np.int64), "images of type int64: give uint8, or float"),
        (pixels().astype(bool), "images of type bool"),
        (pixels().astype(np.float32), r"images have values from 0 to 255: give pixels in \[0, 1\]"),
        (np.full((1, 1, 2, 2), np.nan), r"images have values from nan to nan"),
        (np.full((1, 1, 2, 2), -0.1), r"images have values from -0.1 to -0.1"),
        (pixels(channels=4), r"images of shape \[5, 4, 12, 12\]: give a tensor or an array"),
        (pixels().transpose(0, 2, 3, 1), r"images of shape \[5, 12, 12, 3\]"),
        (pixels()[:0], r"images of shape \[0, 3, 12, 12\]"),
        (pixels()[..., :10], "images of 12 × 10 pixels: give squares, or a folder"),
        (3, "int is no images"),
        (None, "NoneType is no images"),
        ("/nowhere", "/nowhere"),
        (Items([Image.new("I;16", (4, 4))]), "mode I;16 have more than 8 bits a channel"),
        (Items([]), "the data set holds no images"),
        (Items([torch.zeros(1, 4, 4), torch.zeros(1, 5, 5)]), "are of several shapes"),
    ],
)
def test_other_images_are_refused_in_one_line(given: Any, line: str) -> None:
    with pytest.raises(sat_exp.UserError, match=line) as error:
        image_set(given, None)
    assert "\n" not in str(error.value)
