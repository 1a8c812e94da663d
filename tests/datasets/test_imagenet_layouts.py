"""Every layout of ImageNet gives the same names, labels, contents and pixels."""

import csv
import io
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from scipy.io import savemat

from sat_exp.datasets import ImageNet, ImageSet
from sat_exp.datasets.imagenet import synsets
from sat_exp.errors import UserError

SYNSETS = ("n02102040", "n01440764", "n01443537")
COUNT = 7
DEVKIT = "ILSVRC2012_devkit_t12"
SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "imagenet_sample"


def jpeg(seed: int) -> bytes:
    """A smooth picture of 60×50 pixels, as JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((60, 50), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


FILES = {f"ILSVRC2012_val_{number:08d}.JPEG": jpeg(number) for number in range(1, COUNT + 1)}
TRUTH = {name: SYNSETS[position % 3] for position, name in enumerate(FILES)}


def in_synset_folders(root: Path) -> Path:
    for name, contents in FILES.items():
        (root / TRUTH[name]).mkdir(parents=True, exist_ok=True)
        (root / TRUTH[name] / name).write_bytes(contents)
    return root


def flat(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, contents in FILES.items():
        (root / name).write_bytes(contents)
    return root


def devkit(root: Path) -> Path:
    """The devkit's two files, unpacked: it numbers the synsets in an order of its own, and has inner nodes."""
    numbered = [*sorted(synsets(), reverse=True), "n00001740", "n00015388"]
    kind = [("ILSVRC2012_ID", "f8"), *((key, "O") for key in ("WNID", "words", "gloss")), ("num_children", "f8")]
    rows = [(i + 1, synset, f"word {i}, other", "gloss", 0 if i < 1000 else 9) for i, synset in enumerate(numbered)]
    data = root / DEVKIT / "data"
    data.mkdir(parents=True)
    savemat(data / "meta.mat", {"synsets": np.array(rows, dtype=kind).reshape(-1, 1)})
    lines = "".join(f"{numbered.index(synset) + 1}\n" for synset in TRUTH.values())
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)
    return root / DEVKIT


def packed_devkit(root: Path) -> Path:
    folder = devkit(root)
    archive = root / f"{DEVKIT}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, DEVKIT)
    shutil.rmtree(folder)
    return archive


def tarred(folder: Path, tar: Path, inside: str = "") -> Path:
    with tarfile.open(tar, "w") as archive:
        archive.add(folder, inside or ".")
    shutil.rmtree(folder)
    return tar


def solution(file: Path) -> None:
    with file.open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["ImageId", "PredictionString"])
        for name, synset in reversed(TRUTH.items()):
            table.writerow([Path(name).stem, f"{synset} 85 1 499 272 {synset} 3 4 5 6 "])


def synset_folders(root):
    return in_synset_folders(root)


def val_folder(root):
    in_synset_folders(root / "val")
    return root


def flat_and_packed_devkit(root):
    packed_devkit(flat(root))
    return root


def flat_and_unpacked_devkit(root):
    devkit(flat(root))
    return root


def flat_beside_the_devkit(root):
    packed_devkit(root)
    return flat(root / "images")


def flat_val_folder_beside_the_devkit(root):
    flat(root / "val")
    devkit(root)
    return root


def flat_and_the_two_files(root):
    for file in (devkit(root) / "data").iterdir():
        file.rename(root / file.name)
    return flat(root)


def kaggle(root):
    flat(root / "ILSVRC" / "Data" / "CLS-LOC" / "val")
    solution(root / "LOC_val_solution.csv")
    return root


def flat_and_kaggles_table(root):
    solution(flat(root) / "LOC_val_solution.csv")
    return root


def tar_of_synset_folders(root):
    return tarred(in_synset_folders(root / "inside"), root / "val.tar")


def tar_of_a_val_folder(root):
    return tarred(in_synset_folders(root / "inside"), root / "images.tar", "deep/val")


def flat_tar(root):
    packed_devkit(root)
    return tarred(flat(root / "inside"), root / "ILSVRC2012_img_val.tar")


def folder_with_the_published_tar(root):
    flat_tar(root)
    return root


LAYOUTS = [
    synset_folders, val_folder, flat_and_packed_devkit, flat_and_unpacked_devkit, flat_beside_the_devkit,
    flat_val_folder_beside_the_devkit, flat_and_the_two_files, kaggle, flat_and_kaggles_table, tar_of_synset_folders,
    tar_of_a_val_folder, flat_tar, folder_with_the_published_tar,
]  # fmt: skip


def images(root: Path, size: int | None = None) -> ImageSet:
    return ImageNet(str(root), size, 0, resize=40, crop=32).images


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_layout_is_the_same_images(tmp_path, layout):
    expected = images(in_synset_folders(tmp_path / "plain"))
    (tmp_path / "copy").mkdir()
    root = layout(tmp_path / "copy")
    before = sorted(root.parent.rglob("*"))
    found = images(root)
    assert found.ids == expected.ids == tuple(sorted(f"{TRUTH[name]}/{name}" for name in FILES))
    assert [list(synsets())[label] for label in found.labels] == [id.split("/")[0] for id in found.ids]
    assert found.labels.dtype == np.int64
    assert found.table().equals(expected.table())
    for index in range(COUNT):
        assert (found.read(index) == expected.read(index)).all()
    assert images(root, 3).ids == images(tmp_path / "plain", 3).ids
    assert sorted(root.parent.rglob("*")) == before


def test_the_devkit_is_read_as_torchvision_reads_it(tmp_path, monkeypatch):
    flat_and_packed_devkit(tmp_path)
    found = images(tmp_path)
    monkeypatch.setattr(torchvision.datasets.imagenet, "_verify_archive", lambda *_: None)
    torchvision.datasets.imagenet.parse_devkit_archive(tmp_path)
    _, expected = torch.load(tmp_path / "meta.bin")
    by_file = {id.split("/")[1]: id.split("/")[0] for id in found.ids}
    assert [by_file[name] for name in sorted(by_file)] == expected


def test_threads_read_a_tar_as_one_does(tmp_path):
    found = images(tar_of_synset_folders(tmp_path))
    expected = [found.contents(index) for index in range(COUNT)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(found.contents, list(range(COUNT)) * 100)) == expected * 100


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of ImageNet is not here")
def test_the_sample_is_the_same_by_its_list_by_its_folders_and_as_a_tar(tmp_path):
    listed = ImageNet(str(SAMPLE), None, 0).images
    for folder in SAMPLE.iterdir():
        if folder.is_dir():
            (tmp_path / folder.name).symlink_to(folder)
    folders = ImageNet(str(tmp_path), None, 0).images
    with tarfile.open(tmp_path / "sample.tar", "w", dereference=True) as archive:
        for folder in sorted(tmp_path.glob("n*"), reverse=True):
            archive.add(folder, folder.name)
    tar = ImageNet(str(tmp_path / "sample.tar"), None, 0).images
    assert len(listed) == 500
    assert listed.table().equals(folders.table())
    assert listed.table().equals(tar.table())
    assert (tar.read(123) == listed.read(123)).all()


def test_flat_images_without_labels_say_what_to_put_there(tmp_path):
    with pytest.raises(UserError, match=r"without their labels: put ILSVRC2012_devkit_t12\.tar\.gz.*LOC_val_solution"):
        images(flat(tmp_path / "flat"))


def test_a_ground_truth_without_the_devkits_numbers_is_refused(tmp_path):
    root = flat_and_the_two_files(tmp_path)
    (root / "meta.mat").unlink()
    with pytest.raises(UserError, match=r"meta\.mat is not next to it"):
        images(root)


def test_a_ground_truth_that_is_too_short_is_refused(tmp_path):
    root = flat_and_the_two_files(tmp_path)
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n")
    with pytest.raises(UserError, match=r"ILSVRC2012_val_00000003\.JPEG .* is not in the file of labels"):
        images(root)


@pytest.mark.parametrize("damage", [b"", b"no tar", None])
@pytest.mark.parametrize("file", [f"{DEVKIT}.tar.gz", "meta.mat", "ILSVRC2012_validation_ground_truth.txt"])
def test_a_damaged_devkit_is_refused_by_name(tmp_path, file, damage):
    root = flat_and_packed_devkit(tmp_path) if file.endswith("gz") else flat_and_the_two_files(tmp_path)
    contents = (root / file).read_bytes()
    (root / file).write_bytes(contents[: len(contents) // 2] if damage is None else damage)
    with pytest.raises(UserError, match=r"cannot be read|is not in the file of labels") as caught:
        images(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "contents", ["", "ImageId,PredictionString\n", "ImageId,PredictionString\nx\n", "ImageId\nx\n", "ImageId,\n\0"]
)
def test_a_damaged_kaggle_table_is_refused_by_name(tmp_path, contents):
    root = flat_and_kaggles_table(tmp_path)
    (root / "LOC_val_solution.csv").write_text(contents)
    with pytest.raises(UserError, match=r"LOC_val_solution\.csv cannot be read"):
        images(root)


@pytest.mark.parametrize("contents", [b"", b"no tar at all" * 100, None])
def test_a_damaged_tar_is_refused_by_name(tmp_path, contents):
    tar = tar_of_synset_folders(tmp_path)
    tar.write_bytes(tar.read_bytes()[:2000] if contents is None else contents)

    def read_all() -> None:
        found = images(tar)
        for index in range(len(found)):
            found.read(index)

    with pytest.raises(UserError, match=r"val\.tar") as caught:
        read_all()
    assert "\n" not in str(caught.value)


def test_a_tar_without_images_is_refused(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"val\.tar"):
        images(tarred(tmp_path / "inside", tmp_path / "val.tar"))


def test_a_damaged_picture_in_a_tar_is_refused_by_name(tmp_path):
    in_synset_folders(tmp_path / "inside")
    name = next(iter(FILES))
    (tmp_path / "inside" / TRUTH[name] / name).write_bytes(FILES[name][:300])
    found = images(tarred(tmp_path / "inside", tmp_path / "val.tar"))
    with pytest.raises(UserError, match=rf"{name} in .*val\.tar is not a readable"):
        found.read(found.ids.index(f"{TRUTH[name]}/{name}"))


def test_a_stranger_among_the_flat_images_is_refused_by_name(tmp_path):
    root = flat_and_packed_devkit(tmp_path)
    (root / "cat.png").write_bytes(jpeg(0))
    with pytest.raises(UserError, match=r"cat\.png .* is not in the file of labels"):
        images(root)


def test_images_in_no_synset_folder_are_refused(tmp_path):
    (tmp_path / "cat.png").write_bytes(jpeg(0))
    with pytest.raises(UserError, match=r"cat\.png in .* is in no synset folder"):
        images(tmp_path)


def test_one_image_in_two_places_is_refused(tmp_path):
    in_synset_folders(tmp_path / "a")
    in_synset_folders(tmp_path / "b")
    with pytest.raises(UserError, match="two images of imagenet are called n01440764/"):
        images(tmp_path)
