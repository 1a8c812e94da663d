"""Image files to canvas pixels."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from sat_exp.datasets.canvas import Canvas, file_digest
from sat_exp.errors import UserError

sides = st.integers(1, 400)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=25, deadline=None)
@given(sides, sides, st.tuples(*[st.integers(0, 255)] * 3))
def test_a_constant_image_stays_constant(width, height, colour):
    pixels = Canvas(32, 28).paint(Image.new("RGB", (width, height), colour))
    assert pixels.shape == (3, 28, 28)
    assert pixels.dtype == np.uint8
    assert (pixels == np.array(colour)[:, None, None]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 300), st.integers(20, 300), st.integers(16, 80), st.data())
def test_pixels_are_those_of_the_usual_evaluation_transform(width, height, resize, data):
    crop = data.draw(st.integers(1, resize))
    image = noise(width, height)
    usual = transforms.Compose(
        [transforms.Resize(resize, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(crop)]
    )
    assert (Canvas(resize, crop).paint(image) == np.asarray(usual(image)).transpose(2, 0, 1)).all()


def test_an_image_of_the_resized_size_is_cropped_and_nothing_else():
    image = noise(256, 256)
    assert (Canvas().paint(image) == np.asarray(image).transpose(2, 0, 1)[:, 16:240, 16:240]).all()


def test_shape_and_recipe_follow_the_numbers():
    assert Canvas().shape == (3, 224, 224)
    assert Canvas(300, 288).shape == (3, 288, 288)
    assert Canvas(300, 288).recipe != Canvas().recipe


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("LA", (77, 0), (77, 77, 77)),
        ("RGBA", (1, 2, 3, 128), (1, 2, 3)),
        ("1", 1, (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
    ],
)
def test_other_modes_become_rgb(mode, colour, expected):
    pixels = Canvas(16, 8).paint(Image.new(mode, (20, 30), colour))
    assert (pixels == np.array(expected)[:, None, None]).all()


def test_a_palette_becomes_its_colours(tmp_path):
    Image.new("RGB", (20, 20), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    assert (Canvas(16, 8).read(tmp_path / "a.png") == np.array([10, 200, 30])[:, None, None]).all()


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((20, 20), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png.*8 bits"):
        Canvas().read(tmp_path / "deep.png")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_image_is_refused_by_name(tmp_path, suffix, share):
    path = tmp_path / f"broken.{suffix}"
    noise(64, 64).save(path)
    contents = path.read_bytes()
    path.write_bytes(contents[: int(share * len(contents))])
    with pytest.raises(UserError, match=rf"broken\.{suffix}") as caught:
        Canvas().read(path)
    assert "\n" not in str(caught.value)


def test_a_text_file_is_refused_by_name(tmp_path):
    (tmp_path / "notes.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"notes\.jpg"):
        Canvas().read(tmp_path / "notes.jpg")


def test_a_file_that_is_gone_is_refused_by_name(tmp_path):
    for read in (Canvas().read, file_digest):
        with pytest.raises(UserError, match=r"gone\.jpg cannot be read"):
            read(tmp_path / "gone.jpg")


def test_contents_are_the_digest_of_the_file(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"bytes")
    assert file_digest(tmp_path / "a.jpg") == hashlib.sha256(b"bytes").hexdigest()


@pytest.mark.parametrize(("resize", "crop"), [(0, 1), (224, 256), ("256", 224), (256, 224.0), (256, None), (256, -1)])
def test_numbers_that_make_no_canvas_are_refused(resize, crop):
    with pytest.raises(UserError, match=r"dataset\.(resize|crop)="):
        Canvas(resize, crop)
