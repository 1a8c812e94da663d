"""Any folder of images, labelled by its subfolders or unlabelled."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sat_exp.datasets import Folder
from sat_exp.errors import UserError
from sat_exp.testing import check_dataset


def paint(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (shade, shade, shade)).save(path)


def test_a_folder_for_each_class(tmp_path):
    for shade, name in enumerate(("class10/a.png", "class2/b.bmp", "class2/deep/class1/c.webp", ".trash/d.png")):
        paint(tmp_path / "birds" / name, 10 * shade)
    birds = Folder(str(tmp_path / "birds"), None, 0, resize=20, crop=10)
    check_dataset(birds)
    images = birds.images
    assert images.ids == ("class10/a.png", "class2/b.bmp", "class2/deep/class1/c.webp")
    assert images.class_names == ("class1", "class2", "class10")
    assert images.labels.tolist() == [2, 1, 0]
    assert images.labels.dtype == np.int64
    assert images.name == images.label_space == "birds"
    assert images.shape == (3, 10, 10)
    assert abs(int(images.read(2).mean()) - 20) <= 1
    assert Folder(str(tmp_path / "birds"), None, 0, label_space="fowl").images.label_space == "fowl"


def test_images_directly_in_the_folder_make_it_unlabelled(tmp_path):
    for shade, name in enumerate(("z.png", "more/a.png", "more/deep/b.jpg", "m.JPEG")):
        paint(tmp_path / name, shade)
    unlabelled = Folder(str(tmp_path), None, 0, label_space="ignored")
    check_dataset(unlabelled)
    images = unlabelled.images
    assert images.ids == ("m.JPEG", "more/a.png", "more/deep/b.jpg", "z.png")
    assert (images.labels, images.label_space, images.class_names) == (None, None, ())
    assert len(Folder(str(tmp_path), 2, 0).images) == 2


def test_a_listed_subset(tmp_path):
    for shade in range(9):
        paint(tmp_path / "set" / f"{shade}.png", shade)
    drawn = Folder(str(tmp_path / "set"), 4, 0).images
    drawn.table().to_csv(tmp_path / "ids.csv", index=False)
    assert Folder(str(tmp_path / "set"), None, 0, ids=str(tmp_path / "ids.csv")).images.ids == drawn.ids
    paint(tmp_path / "set" / drawn.ids[1], 200)
    with pytest.raises(UserError, match=f"other images: {drawn.ids[1]} differs"):
        Folder(str(tmp_path / "set"), None, 0, ids=str(tmp_path / "ids.csv"))


@pytest.mark.parametrize(
    ("root", "message"), [(None, r"dataset\.root=FOLDER"), ("absent", "no folder"), (".", "no images")]
)
def test_what_is_no_folder_of_images_is_refused(tmp_path, monkeypatch, root, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        Folder(root, None, 0)
