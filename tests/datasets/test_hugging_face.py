"""Data sets in Hugging Face's formats, written by its own library; copies of ImageNet are among them."""

import builtins
import hashlib
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sat_exp.datasets import Folder, HuggingFace, ImageNet
from sat_exp.datasets.imagenet import class_names, synsets
from sat_exp.errors import UserError
from sat_exp.testing import check_dataset

datasets = pytest.importorskip("datasets")

COUNT = 9
SYNSETS = ("n02102040", "n01440764", "n01443537")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def encoded(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((60, 50), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


PICTURES = [encoded(seed) for seed in range(COUNT)]


def table(labels=None, kind=None, image: str = "image", column: str = "label", names=None):
    """A set of the nine pictures, with a column of labels where they are given."""
    files = names or [f"{index}.jpg" for index in range(COUNT)]
    columns = {"note": ["x"] * COUNT}
    columns[image] = [{"bytes": data, "path": name} for data, name in zip(PICTURES, files, strict=True)]
    features = {"note": datasets.Value("string"), image: datasets.Image()}
    if labels is not None:
        columns[column], features[column] = labels, kind
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def birds(**options):
    return table([index % 3 for index in range(COUNT)], datasets.ClassLabel(names=["wren", "tit", "owl"]), **options)


def saved(data, root: Path) -> Path:
    datasets.DatasetDict({"test": data, "train": data.select([0])}).save_to_disk(root)
    return root


def saved_alone(data, root: Path) -> Path:
    data.save_to_disk(root)
    return root


def parquet(data, root: Path) -> Path:
    (root / "data").mkdir(parents=True)
    data.to_parquet(root / "data" / "test-00000-of-00001.parquet")
    data.select([0]).to_parquet(root / "data" / "train-00000-of-00001.parquet")
    return root


def images(root: Path, **options):
    return HuggingFace(str(root), options.pop("size", None), 0, resize=40, crop=32, **options).images


@pytest.mark.parametrize("layout", [saved, saved_alone, parquet])
def test_a_local_set_is_its_rows(tmp_path, layout):
    found = images(layout(birds(), tmp_path / "birds"))
    check_dataset(HuggingFace(str(tmp_path / "birds"), None, 0))
    assert found.name == found.label_space == "birds"
    assert found.class_names == ("wren", "tit", "owl")
    assert found.labels.tolist() == [index % 3 for index in range(COUNT)]
    assert found.ids[8] == "test-00000008"
    assert [found.contents(index) for index in range(COUNT)] == [hashlib.sha256(data).hexdigest() for data in PICTURES]
    assert np.asarray(found.image(4)).tolist() == np.asarray(Image.open(io.BytesIO(PICTURES[4]))).tolist()
    assert found.read(4).shape == found.shape == (3, 32, 32)
    assert np.bincount(images(tmp_path / "birds", size=6).labels).tolist() == [2, 2, 2]
    assert images(tmp_path / "birds", label_space="fowl").label_space == "fowl"


def test_a_folder_of_images_is_what_the_folder_data_set_makes_of_it(tmp_path):
    for index, data in enumerate(PICTURES):
        file = tmp_path / "birds" / "test" / ("owl", "wren")[index % 2] / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    found, expected = images(tmp_path / "birds"), Folder(str(tmp_path / "birds" / "test"), None, 0).images
    assert found.class_names == expected.class_names
    key = ["sha256", "label", "class"]
    rows, expected_rows = (one.table()[key].sort_values(key, ignore_index=True) for one in (found, expected))
    assert rows.equals(expected_rows)


def test_columns_are_found_by_their_types(tmp_path):
    found = images(saved(birds(image="photo", column="species"), tmp_path / "birds"))
    assert found.class_names == ("wren", "tit", "owl")
    assert found.contents(0) == hashlib.sha256(PICTURES[0]).hexdigest()


def test_plain_numbers_and_names_are_labels_where_the_column_is_called_so(tmp_path):
    numbers = images(saved(table([10, 2, 0] * 3, datasets.Value("int32")), tmp_path / "numbers"))
    assert numbers.labels.tolist() == [10, 2, 0] * 3
    assert numbers.class_names == tuple(str(label) for label in range(11))
    words = images(saved(table(["b", "a", "c"] * 3, datasets.Value("string"), column="labels"), tmp_path / "words"))
    assert words.class_names == ("a", "b", "c")
    assert words.labels.tolist() == [1, 0, 2] * 3


@pytest.mark.parametrize("labels", [None, [-1] * COUNT])
def test_without_labels_a_set_is_unlabelled(tmp_path, labels):
    found = images(saved(table(labels, datasets.ClassLabel(names=["a", "b"])), tmp_path / "set"), label_space="x")
    assert (found.labels, found.label_space, found.class_names) == (None, None, ())
    assert len(found) == COUNT


def test_threads_read_as_one_does(tmp_path):
    found = images(parquet(birds(), tmp_path / "birds"))
    expected = [found.contents(index) for index in range(COUNT)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(found.contents, list(range(COUNT)) * 50)) == expected * 50


def test_a_listed_subset(tmp_path):
    root = saved(birds(), tmp_path / "birds")
    drawn = images(root, size=4)
    drawn.table().to_csv(tmp_path / "ids.csv", index=False)
    assert images(root, ids=str(tmp_path / "ids.csv")).table().equals(drawn.table())


@pytest.mark.parametrize("layout", [saved, parquet])
def test_an_unknown_split_names_those_there_are(tmp_path, layout):
    with pytest.raises(UserError, match=r"no split validation in .*dataset\.split= one of (test, train|train, test)"):
        images(layout(birds(), tmp_path / "birds"), split="validation")


def test_a_damaged_picture_is_refused_by_its_row(tmp_path):
    data = datasets.Dataset.from_dict(
        {"image": [{"bytes": PICTURES[0][:200], "path": None}]}, features=datasets.Features({"image": datasets.Image()})
    )
    with pytest.raises(UserError, match="row 0 of birds is not a readable"):
        images(saved(data, tmp_path / "birds")).read(0)


def test_a_set_without_images_is_refused(tmp_path):
    with pytest.raises(UserError, match="words has no column of images, but text"):
        images(saved(datasets.Dataset.from_dict({"text": ["a"]}), tmp_path / "words"))


def test_an_empty_split_is_refused(tmp_path):
    root = parquet(birds(), tmp_path / "birds")
    birds().select([]).to_parquet(root / "data" / "validation-00000-of-00001.parquet")
    with pytest.raises(UserError, match=r"birds cannot be loaded .*no data"):
        images(root, split="validation")


def test_labels_that_are_no_classes_are_refused(tmp_path):
    with pytest.raises(UserError, match="column label holds no class"):
        images(saved(table([0.5] * COUNT, datasets.Value("float32")), tmp_path / "set"))


def test_a_folder_that_holds_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        images(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_root_says_what_to_give():
    with pytest.raises(UserError, match=r"dataset\.root=.*OWNER/NAME"):
        HuggingFace(None, None, 0)


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "datasets":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for start in (HuggingFace, ImageNet):
        with pytest.raises(UserError, match=r"pip install 'sat_exp\[hf\]'"):
            start("hfds/owner/name", None, 0)


@pytest.mark.parametrize(("module", "root"), [(HuggingFace, "owner/name"), (ImageNet, "hfds/ILSVRC/imagenet-1k")])
def test_offline_is_one_line_and_at_once(tmp_path, monkeypatch, module, root):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(UserError, match=r"could not be downloaded from Hugging Face.*local copy") as caught:
        module(root, None, 0)
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value)


def hub_names(suffix: bool) -> list[str]:
    """File names as the copy at the hub has them: with the synset after the number."""
    return [
        f"ILSVRC2012_val_{number:08d}" + (f"_{SYNSETS[number % 3]}" if suffix else "") + ".JPEG"
        for number in range(COUNT, 0, -1)
    ]


def as_synset_folders(root: Path) -> Path:
    for name, data in zip(hub_names(False), PICTURES, strict=True):
        synset = SYNSETS[int(name[15:23]) % 3]
        (root / synset).mkdir(parents=True, exist_ok=True)
        (root / synset / name).write_bytes(data)
    return root


def imagenet_copy(class_labels, **options):
    indices = [class_labels.index(SYNSETS[int(name[15:23]) % 3]) for name in hub_names(False)]
    names = list(class_names()) if len(class_labels) == 1000 else class_labels
    return table(indices, datasets.ClassLabel(names=names), **options)


def validation_parquet(data, root: Path) -> Path:
    (root / "data").mkdir(parents=True)
    data.to_parquet(root / "data" / "validation-00000-of-00001.parquet")
    return root


def saved_validation(data, root: Path) -> Path:
    datasets.DatasetDict({"validation": data}).save_to_disk(root)
    return root


@pytest.mark.parametrize("class_labels", [list(synsets()), list(SYNSETS)], ids=["the hub's names", "synsets"])
@pytest.mark.parametrize("suffix", [True, False])
@pytest.mark.parametrize("layout", [validation_parquet, saved_validation, saved_alone])
def test_a_copy_of_imagenet_is_the_same_images_as_its_folders(tmp_path, layout, suffix, class_labels):
    data = imagenet_copy(class_labels, names=hub_names(suffix))
    found = ImageNet(str(layout(data, tmp_path / "copy")), None, 0, resize=40, crop=32).images
    expected = ImageNet(str(as_synset_folders(tmp_path / "plain")), None, 0, resize=40, crop=32).images
    assert found.table().equals(expected.table())
    assert all((found.read(index) == expected.read(index)).all() for index in range(COUNT))


def test_a_copy_of_imagenet_from_the_hub(tmp_path, monkeypatch):
    copy = validation_parquet(imagenet_copy(list(synsets()), names=hub_names(True)), tmp_path / "copy")
    asked = []

    def snapshot(name, **options):
        asked.append((name, options))
        return str(copy)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    found = ImageNet("hfds/ILSVRC/imagenet-1k", None, 0).images
    assert found.table().equals(ImageNet(str(copy), None, 0).images.table())
    assert asked == [("ILSVRC/imagenet-1k", {"repo_type": "dataset", "allow_patterns": "data/validation-*"})]


def test_rows_without_file_names_are_named_by_their_number(tmp_path):
    data = imagenet_copy(list(SYNSETS), names=[""] * COUNT)
    found = ImageNet(str(validation_parquet(data, tmp_path / "copy")), None, 0).images
    assert sorted(name.split("/")[1] for name in found.ids) == [f"{row:08d}" for row in range(COUNT)]
    position = found.ids.index(f"{SYNSETS[COUNT % 3]}/00000000")
    assert found.contents(position) == hashlib.sha256(PICTURES[0]).hexdigest()


def test_a_copy_of_something_else_is_refused(tmp_path):
    with pytest.raises(UserError, match="has 3 classes that are no synsets"):
        ImageNet(str(saved_validation(birds(), tmp_path / "birds")), None, 0)


def test_an_unlabelled_copy_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no labels"):
        ImageNet(str(saved_validation(table(), tmp_path / "copy")), None, 0)
