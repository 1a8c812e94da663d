"""The reader of Fashion-MNIST's idx files, and the images that it returns."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from sat_exp.datasets import FashionMNIST
from sat_exp.datasets.fashion_mnist import read_idx
from sat_exp.errors import UserError


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write(path, values: np.ndarray) -> None:
    path.write_bytes(gzip.compress(idx(values)))


DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def root(tmp_path):
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 30)):
        write(tmp_path / f"{part}-images-idx3-ubyte.gz", generator.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10)
    return tmp_path


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 28, 28)])
def test_what_was_written_is_read(tmp_path, shape):
    values = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    write(tmp_path / "a.gz", values)
    assert (read_idx(tmp_path / "a.gz") == values).all()


def damaged_files() -> dict[str, bytes]:
    good = gzip.compress(idx(np.arange(200, dtype=np.uint8)))
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    return {
        "empty": b"",
        "cut short": good[:-20],
        "a byte flipped": bytes(flipped),
        "not gzip": b"plain text",
        "empty inside": gzip.compress(b""),
        "two bytes inside": gzip.compress(b"\0\0"),
        "floats": gzip.compress(b"\0\0\x0d\x01" + struct.pack(">I", 1) + b"\0\0\0\0"),
        "too few values": gzip.compress(idx(np.arange(9, dtype=np.uint8))[:-1]),
        "header cut short": gzip.compress(b"\0\0\x08\x03\0\0"),
    }


@pytest.mark.parametrize("damage", damaged_files())
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    (tmp_path / "bad.gz").write_bytes(damaged_files()[damage])
    with pytest.raises(UserError, match=r"bad\.gz") as caught:
        read_idx(tmp_path / "bad.gz")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(UserError, match=r"no t10k-images-idx3-ubyte\.gz.*dataset\.root="):
        FashionMNIST(str(tmp_path), None, 0)


def test_pixels_are_the_images_with_a_black_border(root):
    images = FashionMNIST(str(root), None, 0).images
    raw = read_idx(root / "t10k-images-idx3-ubyte.gz")
    pixels = images.read(7)
    assert pixels.shape == images.shape == (1, 32, 32)
    assert pixels.dtype == np.uint8
    assert (pixels[0, 2:30, 2:30] == raw[7]).all()
    assert pixels.sum(dtype=int) == raw[7].sum(dtype=int)
    assert images.labels[7] == 7
    assert images.ids[7] == "t10k-00007"


def test_contents_tell_images_apart(root):
    images = FashionMNIST(str(root), None, 0).images
    assert len({images.contents(index) for index in range(len(images))}) == len(images)


def test_a_training_batch(root):
    pixels, labels = next(iter(FashionMNIST(str(root), None, 0, batch_size=8).train_dataloader()))
    assert pixels.shape == (8, 1, 32, 32)
    assert labels.shape == (8,)


def test_the_bundled_images_are_balanced():
    images = FashionMNIST(None, 100, 0).images
    assert (np.bincount(images.labels) == 10).all()


def test_another_border_is_other_images(root, monkeypatch):
    before = FashionMNIST(str(root), None, 0).images
    monkeypatch.setattr("sat_exp.datasets.fashion_mnist.BORDER", 3)
    after = FashionMNIST(str(root), None, 0).images
    assert before.canvas.recipe != after.canvas.recipe


@pytest.mark.parametrize("folder", [None, DEBIAN], ids=["bundled", "debian"])
def test_every_pixel_is_that_of_the_files(folder):
    if folder is not None and not folder.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    data = FashionMNIST(folder and str(folder), None, 0)
    raw = read_idx(data.root / "t10k-images-idx3-ubyte.gz")
    expected = np.zeros((len(raw), 1, 32, 32), dtype=np.uint8)
    expected[:, 0, 2:30, 2:30] = raw
    assert all((data.images.read(index) == expected[index]).all() for index in range(len(raw)))


def test_a_list_of_images(root, tmp_path):
    images = FashionMNIST(str(root), 10, 0).images
    images.table().to_csv(tmp_path / "images.csv", index=False)
    assert FashionMNIST(str(root), None, 0, ids=str(tmp_path / "images.csv")).images.ids == images.ids
