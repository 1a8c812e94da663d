"""The balanced, seeded subset of an image set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_exp.datasets.image_set import ImageSet, balanced
from sat_exp.errors import UserError

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=60)


def labelled(labels: list[int]) -> ImageSet:
    return ImageSet(
        name="numbered",
        label_space="digits",
        class_names=tuple("0123456"),
        ids=tuple(str(index) for index in range(len(labels))),
        labels=np.array(labels, dtype=np.int64),
        shape=(1, 1, 1),
        recipe="none",
        read=lambda index: np.full((1, 1, 1), index, np.uint8),
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
        labelled([0, 1, 2]).subset(2, seed)
