"""The conversion of images to the pixels of a canvas."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from torchvision import transforms

from sat_exp.datasets import ImageNet
from sat_exp.datasets.canvas import Canvas
from sat_exp.errors import UserError

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "imagenet_sample"

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


def test_grey_is_one_channel():
    image = noise(40, 30)
    pixels = Canvas(16, 8, mode="L").paint(image)
    assert pixels.shape == Canvas(16, 8, mode="L").shape == (1, 8, 8)
    assert (Canvas(30, 30, mode="L").paint(image)[0] == np.asarray(image.convert("L"))[:, 5:35]).all()


@pytest.mark.parametrize(("resize", "crop"), [(0, 1), (224, 256), ("256", 224), (256, 224.0), (256, None), (256, -1)])
def test_numbers_that_make_no_canvas_are_refused(resize, crop):
    with pytest.raises(UserError, match=r"dataset\.(resize|crop)="):
        Canvas(resize, crop)


@pytest.mark.parametrize(("field", "value"), [("interpolation", "cubic"), ("mode", "CMYK")])
def test_words_that_make_no_canvas_are_refused(field, value):
    with pytest.raises(UserError, match=rf"dataset\.{field}={value}: give one of"):
        Canvas(**{field: value})


def test_every_field_is_in_the_recipe():
    variants = [Canvas(), Canvas(257), Canvas(crop=223), Canvas(interpolation="bilinear"), Canvas(mode="L")]
    assert len({canvas.recipe for canvas in variants}) == len(variants)


def evaluated_by_timm(image: Image.Image, size: int, crop: float, interpolation: str) -> np.ndarray:
    """uint8 pixels [3, size, size] of timm's evaluation transform, before it makes numbers of them."""
    transform = create_transform(
        (3, size, size),
        is_training=False,
        crop_pct=crop,
        interpolation=interpolation,
        normalize=False,
        use_prefetcher=True,
    )
    return np.asarray(transform(image.convert("RGB")))


NATIVE = [(224, 0.875), (256, 0.94), (240, 0.882), (299, 0.903), (224, 1.0), (288, 0.95), (384, 1.0)]


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("size", "crop"), NATIVE)
def test_the_native_canvas_is_timms_evaluation_transform(size, crop, interpolation):
    for width, height in ((500, 375), (333, 500), (120, 90), (size, size)):
        image = noise(width, height)
        expected = evaluated_by_timm(image, size, crop, interpolation)
        assert (Canvas.native(size, crop, interpolation).paint(image) == expected).all()


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of ImageNet is not here")
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("size", "crop"), NATIVE)
def test_the_native_canvas_on_real_images(size, crop, interpolation):
    images = ImageNet(str(SAMPLE), None, 0).images
    native = images.on(Canvas.native(size, crop, interpolation))
    for index in range(0, len(images), 50):
        expected = evaluated_by_timm(images.image(index), size, crop, interpolation)
        assert (native.read(index) == expected).all()
