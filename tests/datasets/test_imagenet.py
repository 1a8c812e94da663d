"""Images of ImageNet-1k from folders, lists, a download and a package."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sat_exp.datasets import Foolbox20, ImageNet, Imagenette
from sat_exp.datasets.imagenet import class_names, synsets
from sat_exp.errors import UserError
from sat_exp.testing import check_dataset

TENCH, GOLDFISH, SPRINGER = "n01440764", "n01443537", "n02102040"
foolbox = pytest.mark.skipif(importlib.util.find_spec("foolbox") is None, reason="foolbox is not installed")


def paint(path: Path, shade: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (shade, shade, shade)).save(path)


def fill(root: Path) -> None:
    for synset in (SPRINGER, TENCH):
        for number in range(3):
            paint(root / synset / f"{synset}_{number}.JPEG", 10 * number)


def images(root: Path, size: int | None = None):
    return ImageNet(str(root), size, 0).images


def test_the_standard_order_of_the_classes():
    assert len(synsets()) == len(class_names()) == len(set(class_names())) == 1000
    assert synsets()[TENCH] == 0
    assert synsets()[GOLDFISH] == 1
    assert synsets()[SPRINGER] == 217
    names = class_names()
    assert (names[0], names[1], names[217], names[999]) == ("tench", "goldfish", "English springer", "toilet tissue")
    assert (names[134], names[517]) == ("crane (134)", "crane (517)")


@pytest.mark.parametrize("inside", ["", "val"])
def test_synset_folders(tmp_path, inside):
    fill(tmp_path / inside)
    paint(tmp_path / inside / ".cache" / "thumbnail.png")
    paint(tmp_path / inside / TENCH / "._hidden.png")
    (tmp_path / inside / TENCH / "notes.txt").write_text("no image")
    check_dataset(ImageNet(str(tmp_path), None, 0))
    found = images(tmp_path)
    assert found.ids == tuple(f"{synset}/{synset}_{k}.JPEG" for synset in (TENCH, SPRINGER) for k in range(3))
    assert found.labels.tolist() == [0, 0, 0, 217, 217, 217]
    assert found.labels.dtype == np.int64
    assert found.label_space == "imagenet1k"
    assert found.read(5).shape == found.shape == (3, 224, 224)
    assert abs(int(found.read(5).mean()) - 20) <= 1
    assert len({found.contents(index) for index in range(3)}) == 3


def test_labels_csv(tmp_path):
    paint(tmp_path / "b.png", 20)
    paint(tmp_path / "deep" / "a.png", 10)
    (tmp_path / "labels.csv").write_text("wnid,imagenet_class,path\nx,7,deep/a.png\nx,999,b.png\n")
    found = images(tmp_path)
    assert found.ids == ("b.png", "deep/a.png")
    assert found.labels.tolist() == [999, 7]
    assert (found.read(0) == 20).all()
    assert (found.read(1) == 10).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.png,1\n", "lacks the columns"),
        ("", "lacks the columns"),
        ("path,imagenet_class\n", "lists no images"),
        ("path,imagenet_class\na.png,1000\n", "line 2 of .*imagenet_class is '1000'"),
        ("path,imagenet_class\na.png,cat\n", "imagenet_class is 'cat'"),
        ("path,imagenet_class\na.png\n", "imagenet_class is ''"),
        ("path,imagenet_class\na.png,-1\n", "imagenet_class is '-1'"),
        ("path,imagenet_class\na.png,1\na.png,2\n", "line 3 of .*listed twice"),
        ("path,imagenet_class\nz.png,1\n", "there is no file"),
    ],
)
def test_a_bad_labels_csv_is_refused(tmp_path, text, message):
    paint(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        images(tmp_path)


def test_a_labels_csv_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"path,imagenet_class\n\xff\xfe\n")
    with pytest.raises(UserError, match="cannot be read"):
        images(tmp_path)


def test_a_folder_that_is_no_synset_is_refused(tmp_path):
    fill(tmp_path)
    paint(tmp_path / "cats" / "a.png")
    with pytest.raises(UserError, match=r"folder cats .* no synset"):
        images(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / TENCH).mkdir()
    with pytest.raises(UserError, match="no images"):
        images(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.root=.*absent is neither a folder nor a .tar"):
        images(tmp_path / "absent")


def test_no_folder_says_what_to_do():
    with pytest.raises(UserError, match=r"dataset\.root=.*experiment=quickstart"):
        ImageNet(None, None, 0)


def test_more_images_than_there_are(tmp_path):
    fill(tmp_path)
    with pytest.raises(UserError, match="imagenet has 6 images"):
        images(tmp_path, 7)


def test_the_canvas_is_a_setting(tmp_path):
    fill(tmp_path)
    found = ImageNet(str(tmp_path), 4, 0, resize=64, crop=48).images
    assert len(found) == 4
    assert found.read(0).shape == found.shape == (3, 48, 48)


def test_imagenette_is_found_in_its_folder_or_the_one_above(tmp_path):
    fill(tmp_path / "imagenette2-320" / "val")
    for root in (tmp_path, tmp_path / "imagenette2-320"):
        found = Imagenette(str(root), 2, 0).images
        assert found.name == "imagenette"
        assert found.labels.tolist() == [0, 217]


def test_imagenette_is_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path)
    fill(tmp_path / "imagenette2-320" / "val")
    assert len(Imagenette(None, None, 0).images) == 6


@foolbox
def test_foolbox20_has_twenty_labelled_images(monkeypatch):
    monkeypatch.delitem(sys.modules, "foolbox", raising=False)
    check_dataset(Foolbox20(None, None, 0))
    found = Foolbox20(None, None, 0).images
    assert len(found) == 20
    assert found.ids[0] == "imagenet_00_243.jpg"
    assert found.class_names[found.labels[0]] == "bull mastiff"
    assert found.read(10).shape == (3, 224, 224)
    assert "foolbox" not in sys.modules


def test_foolbox20_without_foolbox_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"no package foolbox.*pip install"):
        Foolbox20(None, None, 0)


def test_foolbox20_in_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match="no files named"):
        Foolbox20(str(tmp_path), None, 0)
