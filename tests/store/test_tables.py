"""Tables of rows: a file is read only as the row that it was written for, wherever it is moved."""

import threading
from typing import Any

import numpy as np
import pytest

from sat_exp.files import PARTIAL
from sat_exp.store import Damaged, Store, StoredRow
from sat_exp.store.tables import StoredTable

from .helpers import files, flip, folder_of, quarantined, swap

COLUMNS = 6
FACTS = {"adversarial": "ab"}


def table(store: Store, **notes: Any) -> StoredTable:
    return store.table("predictions", FACTS, columns=COLUMNS, dtype="int32", **notes)


def row(store: Store, target: str) -> StoredRow:
    return table(store).row({"target": target}, target)


def values(target: str) -> np.ndarray:
    return np.frombuffer(target.encode().ljust(COLUMNS * 4, b"."), np.int32, COLUMNS)


def written(store: Store, *targets: str) -> None:
    for target in targets:
        row(store, target).write(0, values(target))


def test_rows_come_back_from_another_store_object(store: Store) -> None:
    written(store, "vit", "resnet")
    other = Store.at(store.backend.root)
    for target in ("vit", "resnet"):
        assert row(other, target).missing() == []
        np.testing.assert_array_equal(row(other, target).read_all(), values(target))
    assert row(other, "swin").missing() == [0]


def test_a_table_that_is_open_sees_rows_of_others(store: Store) -> None:
    ours = row(store, "vit")
    assert ours.missing() == [0]
    written(Store.at(store.backend.root), "vit")
    assert ours.missing() == []
    np.testing.assert_array_equal(ours.read_all(), values("vit"))


def test_a_row_is_written_once(store: Store) -> None:
    written(store, "vit")
    row(Store.at(store.backend.root), "vit").write(0, values("other"))
    np.testing.assert_array_equal(row(Store.at(store.backend.root), "vit").read_all(), values("vit"))


@pytest.mark.parametrize(
    "name", ["a/b", "../../a", "~", "a~b", "é" * 40, "", ".", "x" * 300, "%2F", "a b\n", "model.partial", "zarr.json"]
)
def test_any_name_is_a_name(store: Store, name: str) -> None:
    written(store, name)
    again = Store.at(store.backend.root)
    np.testing.assert_array_equal(row(again, name).read_all(), values(name))
    assert len(table(again).listed()) == 1
    assert {path.count("/") for path in files(store)} == {2}


def test_names_that_begin_alike_are_other_rows(store: Store) -> None:
    names = ["x" * 200 + end for end in "abc"]
    written(store, *names)
    for name in names:
        np.testing.assert_array_equal(row(Store.at(store.backend.root), name).read_all(), values(name))


def test_the_wrong_number_of_values_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="for a row of 6"):
        row(store, "vit").write(0, np.zeros(5, np.int32))


def test_a_row_of_no_values_is_there(store: Store) -> None:
    empty = store.table("predictions", {}, columns=0, dtype="int32").row({"target": "vit"}, "vit")
    assert empty.missing() == []
    assert empty.read_all().shape == (0,)


@pytest.mark.parametrize("position", [0, 11, -1])
def test_a_flipped_bit_is_noticed_and_the_row_written_again(store: Store, position: int) -> None:
    written(store, "vit", "resnet")
    path = store.backend.root / row(store, "vit").path
    flip(path, position)
    damaged = path.read_bytes()
    with pytest.raises(Damaged, match=f"{path} is damaged"):
        row(store, "vit").read_all()
    assert list(quarantined(store).values()) == [damaged]
    assert row(store, "vit").missing() == [0]
    written(store, "vit")
    for target in ("vit", "resnet"):
        np.testing.assert_array_equal(row(Store.at(store.backend.root), target).read_all(), values(target))


@pytest.mark.parametrize("length", [0, 3, 4, 27, 29, 56])
def test_a_row_of_another_length_is_noticed(store: Store, length: int) -> None:
    written(store, "vit")
    path = store.backend.root / row(store, "vit").path
    path.write_bytes(path.read_bytes().ljust(length, b"\0")[:length])
    with pytest.raises(Damaged, match="bytes instead of 28"):
        row(store, "vit").read_all()


def test_a_row_that_is_gone(store: Store) -> None:
    written(store, "vit")
    (store.backend.root / row(store, "vit").path).unlink()
    with pytest.raises(Damaged, match="is gone"):
        row(store, "vit").read_all()
    assert row(store, "vit").missing() == [0]


def test_rows_that_changed_places_are_noticed(store: Store) -> None:
    written(store, "vit", "resnet")
    swap(store.backend.root / row(store, "vit").path, store.backend.root / row(store, "resnet").path)
    for target in ("vit", "resnet"):
        with pytest.raises(Damaged, match="checksum"):
            row(Store.at(store.backend.root), target).read_all()
    assert len(quarantined(store)) == 2


def test_a_row_renamed_to_another_row_is_noticed(store: Store) -> None:
    written(store, "vit")
    source, target = row(store, "vit").path, row(store, "resnet").path
    (store.backend.root / source).rename(store.backend.root / target)
    again = Store.at(store.backend.root)
    assert row(again, "vit").missing() == [0]
    with pytest.raises(Damaged, match="checksum"):
        row(again, "resnet").read_all()


def test_a_row_of_another_table_is_noticed(store: Store) -> None:
    """Both tables have rows of the same targets, so that the file has the name of a row in either."""
    other = store.table("predictions", {"adversarial": "cd"}, columns=COLUMNS, dtype="int32")
    foreign = other.row({"target": "vit"}, "vit")
    foreign.write(0, values("other"))
    written(store, "vit")
    path = store.backend.root / row(store, "vit").path
    path.write_bytes((store.backend.root / foreign.path).read_bytes())
    with pytest.raises(Damaged, match="checksum"):
        row(Store.at(store.backend.root), "vit").read_all()


def test_of_two_files_of_a_row_the_sound_one_is_read(store: Store) -> None:
    """Two processes may call a row by two names."""
    facts = {"target": "vit"}
    first, second = (
        Store.at(store.backend.root).table("predictions", FACTS, columns=COLUMNS, dtype="int32") for _ in range(2)
    )
    one, two = first.row(facts, "a name"), second.row(facts, "another")
    assert (one.missing(), two.missing()) == ([0], [0])
    one.write(0, values("vit"))
    two.write(0, values("vit"))
    assert one.path != two.path
    flip(store.backend.root / one.path, 3)
    reader = row(Store.at(store.backend.root), "vit")
    for _ in range(2):
        try:
            np.testing.assert_array_equal(reader.read_all(), values("vit"))
        except Damaged:
            assert reader.missing() == []
    assert (store.backend.root / two.path).exists()


def test_two_threads_that_open_a_table_at_once(store: Store) -> None:
    stores = [Store.at(store.backend.root) for _ in range(4)]
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        written(stores[number], *(f"target {each}" for each in range(8)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(table(Store.at(store.backend.root)).listed()) == 8
    assert not [name for name in files(store) if name.endswith(PARTIAL)]


def test_damaged_metadata_lose_no_row(store: Store) -> None:
    written(store, "vit", "resnet")
    path = table(store).path
    before = files(store)
    flip(folder_of(store, path) / "zarr.json", 20)
    again = Store.at(store.backend.root)
    np.testing.assert_array_equal(row(again, "vit").read_all(), values("vit"))
    after = files(store)
    assert {name: after.get(name) for name in before} == before
    assert len(quarantined(store)) == 1


def test_the_notes_of_a_table(store: Store) -> None:
    table(store, name="vit PGD").note(seconds=2)
    assert table(Store.at(store.backend.root)).notes == {"name": "vit PGD", "seconds": 2}
