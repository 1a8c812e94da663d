"""The images that a run uses: a balanced, seeded subset of the set, or the images that a file lists."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sat_exp.datasets import Folder
from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.image_set import ImageSet, balanced
from sat_exp.errors import UserError
from sat_exp.settings import checked

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=60)


def labelled(labels: list[int]) -> ImageSet:
    return ImageSet(
        name="numbered",
        label_space="digits",
        class_names=tuple("0123456"),
        ids=tuple(str(index) for index in range(len(labels))),
        labels=np.array(labels, dtype=np.int64),
        canvas=Canvas(1, 1, mode="L"),
        image=lambda index: Image.new("L", (1, 1), index),
        contents=str,
    )


@given(label_lists, st.data(), st.integers(0, 2**32 - 1))
def test_exact_size_sorted_distinct_and_deterministic(labels, data, seed):
    size = data.draw(st.integers(1, len(labels)))
    chosen = balanced(np.array(labels), size, seed)
    assert len(chosen) == size
    assert (np.diff(chosen) > 0).all()
    assert chosen.min() >= 0
    assert chosen.max() < len(labels)
    assert (chosen == balanced(np.array(labels), size, seed)).all()


@given(label_lists, st.data(), st.integers(0, 1000))
def test_as_equally_many_of_each_class_as_there_are(labels, data, seed):
    size = data.draw(st.integers(1, len(labels)))
    array = np.array(labels)
    available = np.bincount(array, minlength=7)
    taken = np.bincount(array[balanced(array, size, seed)], minlength=7)
    not_exhausted = taken < available
    if not_exhausted.any():
        assert taken.max() - taken[not_exhausted].min() <= 1


@given(label_lists, st.data(), st.integers(0, 1000))
def test_a_larger_subset_contains_the_smaller(labels, data, seed):
    large = data.draw(st.integers(1, len(labels)))
    small = data.draw(st.integers(1, large))
    assert set(balanced(np.array(labels), small, seed)) <= set(balanced(np.array(labels), large, seed))


@given(label_lists, st.permutations(range(7)), st.data())
def test_renaming_the_classes_keeps_the_balance(labels, renaming, data):
    size = data.draw(st.integers(1, len(labels)))
    renamed = np.array([renaming[label] for label in labels])
    counts = np.bincount(np.array(labels)[balanced(np.array(labels), size, 0)])
    counts_renamed = np.bincount(renamed[balanced(renamed, size, 0)])
    assert sorted(counts[counts > 0]) == sorted(counts_renamed[counts_renamed > 0])


def test_another_seed_draws_other_images():
    labels = np.repeat(np.arange(10), 100)
    assert (balanced(labels, 50, 0) != balanced(labels, 50, 1)).any()


def test_subset_keeps_names_labels_pixels_and_contents_together():
    images = labelled([index % 7 for index in range(40)]).subset(10, 3)
    for index, name in enumerate(images.ids):
        assert images.labels[index] == int(name) % 7
        assert images.read(index) == int(name)
        assert images.contents(index) == name


def test_a_subset_of_a_subset_reads_the_right_images():
    images = labelled(list(range(7)) * 5).take([30, 20, 10, 5]).take([2, 0])
    assert images.ids == ("10", "30")
    assert images.read(1) == 30


def test_no_size_is_every_image():
    assert len(labelled([0, 1, 2]).subset(None, 0)) == 3


@pytest.mark.parametrize("size", [0, -1, 4, 1.5, "2", True])
def test_a_size_that_cannot_be_had_is_refused(size):
    with pytest.raises(UserError, match=f"dataset.size={size}.*1 to 3"):
        labelled([0, 1, 2]).subset(size, 0)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(UserError, match=r"dataset\.seed"):
        checked(Folder, {"root": "folder", "size": 2, "seed": seed}, "dataset")


def unlabelled(count: int) -> ImageSet:
    return replace(labelled([0] * count), labels=None, label_space=None, class_names=())


def test_a_subset_of_unlabelled_images_is_a_seeded_draw():
    images = unlabelled(200)
    drawn = images.subset(20, 0)
    assert drawn.labels is None
    assert len(set(drawn.ids)) == 20
    assert drawn.ids == images.subset(20, 0).ids == tuple(sorted(drawn.ids, key=int))
    assert drawn.ids != images.subset(20, 1).ids
    assert [drawn.contents(index) for index in range(20)] == list(drawn.ids)
    counts = np.zeros(200, dtype=int)
    for seed in range(400):
        counts[[int(name) for name in images.subset(20, seed).ids]] += 1
    assert abs(counts - 40).max() < 6 * np.sqrt(400 * 0.1 * 0.9)  # each image in a tenth of the draws


def test_five_of_each_of_a_thousand_classes():
    labels = np.repeat(np.arange(1000), 50)
    assert (np.bincount(labels[balanced(labels, 5000, 0)], minlength=1000) == 5).all()


def test_another_canvas_shows_the_same_images():
    images = labelled([0, 1, 2])
    other = images.on(Canvas(3, 2, mode="RGB"))
    assert other.shape == (3, 2, 2)
    assert images.shape == (1, 1, 1)
    assert (other.take([2, 1]).read(0) == 2).all()
    assert other.contents(2) == images.contents(2)


def written(images: ImageSet, file: Path, **columns) -> str:
    images.table().assign(**columns).to_csv(file, index=False)
    return str(file)


def test_the_table_names_labels_and_contents():
    table = labelled([3, 0]).table()
    assert table.columns.tolist() == ["id", "label", "class", "sha256"]
    assert table.values.tolist() == [["0", 3, "3", "0"], ["1", 0, "0", "1"]]
    assert labelled([3, 0]).table(["x", "y"])["sha256"].tolist() == ["x", "y"]
    table = unlabelled(2).table()
    assert table[["label", "class"]].isna().all(axis=None)
    assert table["id"].tolist() == ["0", "1"]


@given(label_lists, st.data())
def test_a_listed_subset_is_the_one_that_was_written(tmp_path_factory, labels, data):
    images = labelled(labels)
    size = data.draw(st.integers(1, len(labels)))
    drawn = images.subset(size, 5)
    file = written(drawn, tmp_path_factory.mktemp("ids") / "images.csv")
    assert images.listed(Path(file)).ids == drawn.ids
    assert (images.listed(Path(file)).labels == drawn.labels).all()


def test_the_order_of_the_file_does_not_matter_and_the_column_id_suffices(tmp_path):
    (tmp_path / "ids.csv").write_text("id\n5\n2\n30\n")
    assert labelled([0] * 40).listed(tmp_path / "ids.csv").ids == ("2", "5", "30")


def test_a_list_of_other_contents_is_refused_by_the_first_image_that_differs(tmp_path):
    images = labelled([0] * 9)
    file = written(images.take([3, 4, 5]), tmp_path / "ids.csv", sha256=["3", "no", "no"])
    with pytest.raises(UserError, match="lists other images: 4 differs in numbered"):
        images.listed(Path(file))


def test_images_that_the_set_does_not_have_are_counted(tmp_path):
    file = written(labelled([0] * 9), tmp_path / "ids.csv")
    with pytest.raises(UserError, match=r"5 of the 9 images in .* are not in numbered, the first is 4"):
        labelled([0] * 4).listed(Path(file))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"name\n1\n", "no column id"),
        (b"id\n", "lists no images"),
        (b"id\n1\n2\n1\n", "lists 1 twice"),
        (b"", "cannot be read"),
        (b"id\n\xff\n", "cannot be read"),
    ],
)
def test_a_bad_list_is_refused(tmp_path, contents, message):
    (tmp_path / "ids.csv").write_bytes(contents)
    with pytest.raises(UserError, match=message) as caught:
        labelled([0] * 4).listed(tmp_path / "ids.csv")
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.ids=.*absent\.csv cannot be read"):
        labelled([0]).listed(tmp_path / "absent.csv")


def test_a_list_and_a_size_exclude_each_other(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.size=null"):
        Folder(str(tmp_path), 1, 0, str(tmp_path / "ids.csv"))
