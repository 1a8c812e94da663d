"""Disks that are full or read-only, and folders that cannot be made."""

import errno
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp.errors import UserError
from sat_exp.store import Damaged, Store, Unwritable

from .helpers import FACTS, contents, file_of, files, fill, flip, open_array


def use_up(folder: Path) -> Path:
    """Fill the file system; the file that does."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"." * 4096):
            pass
    return filler


def test_a_full_disk_is_one_line_and_loses_nothing(mount: Path) -> None:
    array = Store.at(mount).open("images", FACTS, shape=(40, 20_000), dtype="uint8", chunk=1)
    noise = np.random.default_rng(0).integers(0, 256, (40, 20_000), np.uint8)

    def write_all() -> None:
        for chunk in array.missing():
            array.write(chunk, noise[array.span(chunk)])

    with pytest.raises(UserError, match=r"the disk is full at .*free some space"):
        write_all()
    left = array.missing()
    assert 20 < len(left) < 40
    assert array.damaged() == []
    assert not list(mount.rglob("*.partial"))
    written = min(left)
    np.testing.assert_array_equal(array.gather(range(written)), noise[:written])
    use_up(mount)
    with pytest.raises(UserError, match="the disk is full"):
        Store.at(mount).open("images", {"key": 1}, shape=(40,), dtype="uint8", chunk=4)


def test_damage_on_a_full_disk_stays_where_it_is(mount: Path) -> None:
    array = open_array(Store.at(mount))
    values = fill(array)
    flip(file_of(array, 1), 9)
    before = files(Store.at(mount))
    filler = use_up(mount)
    with pytest.raises(Unwritable, match="the disk is full at"):
        array.read(1)
    assert {name: files(Store.at(mount)).get(name) for name in before} == before
    filler.unlink()
    with pytest.raises(Damaged):
        array.read(1)
    fill(array)
    np.testing.assert_array_equal(array.read_all(), values)


def test_no_space_while_writing_a_chunk_or_a_note(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    array = open_array(store)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="the disk is full at"):
        array.write(0, contents()[:4])
    with pytest.raises(UserError, match="the disk is full at"):
        array.note(seconds=1)
    assert array.missing() == [0, 1, 2]
    assert array.notes == {"name": "some"}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store.at(tmp_path / "file" / "store")
    with pytest.raises(UserError, match=r"cannot .* Not a directory"):
        open_array(store)
    with pytest.raises(UserError, match=r"cannot write to .*output_dir="), store.lock("attack"):
        pass


def test_a_read_only_folder_is_one_line(mount: Path) -> None:
    array = open_array(Store.at(mount))
    fill(array)
    digest = array.digest
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    array = open_array(Store.at(mount))
    np.testing.assert_array_equal(array.read_all(), contents())
    assert array.digest == digest
    with pytest.raises(UserError, match=r"cannot write to .*Read-only file system; give output_dir="):
        array.write(0, contents()[:4])
    with pytest.raises(UserError, match=r"cannot write to .*output_dir="):
        open_array(Store.at(mount), {"other": 1})
    with pytest.raises(UserError, match=r"cannot write to .*output_dir="), Store.at(mount).lock("attack"):
        pass
