"""Encoded images: their bytes, their digest, and files that cannot be decoded."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.pictures import decode, picture_file, picture_set, read_bytes
from sat_exp.errors import UserError


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def opened(path: Path) -> Image.Image:
    return decode(read_bytes(path), str(path))


def test_a_palette_becomes_its_colours(tmp_path):
    Image.new("RGB", (20, 20), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    assert (Canvas(16, 8).paint(opened(tmp_path / "a.png")) == np.array([10, 200, 30])[:, None, None]).all()


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((20, 20), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png.*8 bits"):
        opened(tmp_path / "deep.png")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_image_is_refused_by_name(tmp_path, suffix, share):
    path = tmp_path / f"broken.{suffix}"
    noise(64, 64).save(path)
    contents = path.read_bytes()
    path.write_bytes(contents[: int(share * len(contents))])
    with pytest.raises(UserError, match=rf"broken\.{suffix}") as caught:
        opened(path)
    assert "\n" not in str(caught.value)


def test_a_text_file_is_refused_by_name(tmp_path):
    (tmp_path / "notes.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"notes\.jpg"):
        opened(tmp_path / "notes.jpg")


def test_a_file_that_is_gone_is_refused_by_name(tmp_path):
    images = picture_set("some", None, (), [picture_file("a", tmp_path / "gone.jpg", None)], Canvas())
    for read in (images.read, images.image, images.contents):
        with pytest.raises(UserError, match=r"gone\.jpg cannot be read"):
            read(0)


def test_contents_are_the_digest_of_the_file(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"bytes")
    images = picture_set("some", None, (), [picture_file("a", tmp_path / "a.jpg", None)], Canvas())
    assert images.contents(0) == hashlib.sha256(b"bytes").hexdigest()


def test_pictures_are_in_the_order_of_their_ids_and_labels_go_with_them(tmp_path):
    pictures = [picture_file(name, tmp_path / name, label) for name, label in (("b", 1), ("c", 2), ("a", 0))]
    images = picture_set("some", "abc", ("A", "B", "C"), pictures, Canvas())
    assert images.ids == ("a", "b", "c")
    assert images.labels.tolist() == [0, 1, 2]
    assert images.labels.dtype == np.int64


def test_two_pictures_of_one_name_are_refused(tmp_path):
    pictures = [picture_file("a", tmp_path / folder / "a", 0) for folder in ("x", "y")]
    with pytest.raises(UserError, match="two images of some are called a"):
        picture_set("some", "abc", ("A",), pictures, Canvas())
