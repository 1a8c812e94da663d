"""Flowers-102 and CIFAR, from small files in torchvision's formats."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import flowers102 as torchvision_flowers

from sat_exp.datasets import CIFAR10, CIFAR100, Flowers102, torchvision_sets
from sat_exp.datasets.imagenet import IMAGENETTE
from sat_exp.datasets.torchvision_sets import CIFAR_SHA256, FLOWERS_FILES
from sat_exp.errors import UserError
from sat_exp.testing import check_dataset

SETS = {CIFAR10: "cifar-10-batches-py", CIFAR100: "cifar-100-python", Flowers102: "flowers-102"}


@pytest.fixture
def any_checksum(monkeypatch):
    """Files of any contents pass for the published ones."""
    for module in (torchvision_sets, torchvision_flowers):
        monkeypatch.setattr(module, "check_integrity", lambda path, _=None: Path(path).is_file())


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def cifar(root: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Thirty test images, [30, 3, 32, 32], and their labels, written as the published archive unpacks."""
    generator = np.random.default_rng(classes)
    pixels = generator.integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
    labels = generator.permutation(30) % classes
    names = {10: "label_names", 100: "fine_label_names"}[classes]
    batch = {"data": pixels.reshape(30, -1), {10: "labels", 100: "fine_labels"}[classes]: labels.tolist()}
    files: dict[str, dict] = {
        10: {"test_batch": batch, "batches.meta": {names: [f"kind {label}" for label in range(classes)]}},
        100: {"test": batch, "meta": {names: [f"kind {label}" for label in range(classes)]}},
    }[classes]
    published = {10: torchvision.datasets.CIFAR10, 100: torchvision.datasets.CIFAR100}[classes]
    folder = root / published.base_folder
    folder.mkdir(parents=True)
    for name, _ in published.train_list:
        (folder / name).write_bytes(b"not read")
    for name, contents in files.items():
        (folder / name).write_bytes(pickle.dumps(contents))
    return pixels, labels


def flowers(root: Path) -> dict[str, int]:
    """Twelve pictures, the test split every second of them; test file name → class, from 0."""
    folder = root / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    labels = np.array([102, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 101])
    for number in range(1, 13):
        Image.new("RGB", (60, 50), (20 * number, 0, 0)).save(folder / "jpg" / f"image_{number:05d}.jpg")
    test = [11, 1, 3, 5, 7, 9]
    savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    savemat(folder / "setid.mat", {"trnid": [[2, 4]], "valid": [[6, 8, 10, 12]], "tstid": [test]})
    return {f"image_{number:05d}.jpg": int(labels[number - 1]) - 1 for number in test}


@pytest.mark.parametrize(("module", "classes"), [(CIFAR10, 10), (CIFAR100, 100)])
def test_cifar_is_its_own_pixels(tmp_path, any_checksum, offline, module, classes):
    pixels, labels = cifar(tmp_path, classes)
    check_dataset(module(str(tmp_path), None, 0))
    images = module(str(tmp_path), None, 0).images
    assert images.name == images.label_space == f"cifar{classes}"
    assert len(images.class_names) == classes
    assert images.class_names[3] == "kind 3"
    assert images.labels.tolist() == labels.tolist()
    assert images.labels.dtype == np.int64
    assert images.shape == (3, 32, 32)
    assert all((images.read(index) == pixels[index]).all() for index in range(30))
    assert len({images.contents(index) for index in range(30)}) == 30
    assert images.ids[29] == "test-00029"
    assert len(module(str(tmp_path), 7, 0).images) == 7


def test_flowers_are_the_test_split(tmp_path, any_checksum, offline):
    expected = flowers(tmp_path)
    check_dataset(Flowers102(str(tmp_path), None, 0, resize=40, crop=32))
    images = Flowers102(str(tmp_path), None, 0, resize=40, crop=32).images
    assert images.ids == tuple(sorted(expected))
    assert images.labels.tolist() == [expected[name] for name in images.ids]
    assert images.labels.tolist()[0] == 101
    assert len(images.class_names) == 102
    assert images.class_names[0] == "pink primrose"
    assert images.label_space == "flowers102"
    assert images.shape == images.read(0).shape == (3, 32, 32)
    assert abs(int(images.read(1)[0].mean()) - 60) <= 2
    assert (tmp_path / "flowers-102/jpg/image_00003.jpg").is_file()


def test_the_split_is_the_published_one():
    """The test split of Flowers-102 has 6,149 images, the one that torchvision calls tstid."""
    assert torchvision.datasets.Flowers102._splits_map["test"] == "tstid"
    assert len(torchvision.datasets.Flowers102.classes) == 102


def test_the_files_are_those_that_torchvision_downloads():
    flowers = torchvision.datasets.Flowers102
    names = [name for name, _ in flowers._file_dict.values()]
    assert [file.url for file in FLOWERS_FILES] == [flowers._download_url_prefix + name for name in names]
    assert torchvision.datasets.Imagenette._ARCHIVES["320px"][0] == IMAGENETTE.url
    digests = [file.sha256 for file in (*FLOWERS_FILES, IMAGENETTE)] + list(CIFAR_SHA256.values())
    assert len({*digests}) == len(digests) == 6
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("file", ["test_batch", "batches.meta"])
def test_a_crafted_pickle_of_cifar_runs_nothing(tmp_path, any_checksum, file):
    cifar(tmp_path, 10)
    (tmp_path / "cifar-10-batches-py" / file).write_bytes(pickle.dumps({"data": Canary(tmp_path / "made")}))
    with pytest.raises(UserError, match=r"is not the published set .*only arrays are read"):
        CIFAR10(str(tmp_path), None, 0)
    assert not (tmp_path / "made").exists()


def test_the_published_pickles_of_python_2_are_read(tmp_path, any_checksum):
    """Strings of Python 2, which stand for bytes and for texts alike."""
    pixels, labels = cifar(tmp_path, 10)
    data = pixels.reshape(30, -1)
    text = pickle.dumps({"data": data, "labels": labels.tolist()}, protocol=2)
    (tmp_path / "cifar-10-batches-py/test_batch").write_bytes(text.replace(b"numpy._core", b"numpy.core"))
    assert (CIFAR10(str(tmp_path), None, 0).images.read(29) == pixels[29]).all()


@pytest.mark.parametrize("module", SETS)
def test_what_is_not_the_published_set_is_refused(tmp_path, offline, module):
    (tmp_path / SETS[module]).mkdir()
    with pytest.raises(UserError, match=rf"{SETS[module]} is not the published set.*remove it"):
        module(str(tmp_path), None, 0)
