"""Listing, checking and pruning a store with task=store."""

import os
import re
import resource
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp.errors import UserError
from sat_exp.store import Store, inventory
from sat_exp.store.encoding import sign

from .helpers import files, flip, quarantined, run

SIZES = {"images": (12, 1, 8, 8), "logits": (12, 5), "adversarial": (9, 1, 8, 8)}
MODELS = ("vit", "vit_small", "resnet")


def fill(store: Store, kind: str, facts: dict[str, Any], name: str, chunks: int | None = None) -> str:
    """An array with the first `chunks` of its chunks written, or all; its key."""
    dtype = {"logits": "float32"}.get(kind, "uint8")
    array = store.open(kind, facts, shape=SIZES[kind], dtype=dtype, chunk=4, name=name)
    for chunk in array.missing()[:chunks]:
        array.write(chunk, np.ones((array.length(chunk), *SIZES[kind][1:]), dtype))
    return array.key


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The artefacts of three models, one of them not attacked to the end."""
    store = Store.at(tmp_path / "store")
    fill(store, "images", {"images": "d"}, "some_images")
    digest = store.arrays()[0].digest
    for model in MODELS:
        fill(store, "logits", {"images": digest, "model": model}, model)
        facts = {"images": digest, "model": model, "numbers": {"epsilon": 8, "steps": 50}}
        key = fill(store, "adversarial", facts, f"{model} PGD", 1 if model == "resnet" else None)
        if model != "resnet":
            table = store.table("predictions", facts | {"of": key}, columns=9, dtype="int32", name=model)
            for target in MODELS:
                table.row({"target": target}, target).write(0, np.ones(9, np.int32))
    return store


def names(store: Store, kind: str) -> list[str]:
    return [item.name for item in inventory.items(store) if item.kind == kind]


def first(store: Store, pattern: str) -> Path:
    return min(store.backend.root.glob(pattern))


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def test_everything_is_listed_with_its_size(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    found = inventory.items(store)
    assert len(found) == 1 + 3 + 3 + 6
    of_tables = {name for name in files(store) if name.startswith("predictions") and name.endswith(".json")}
    on_disk = sum(len(data) for name, data in files(store).items() if name not in of_tables)
    assert sum(item.size for item in found) == on_disk
    (unfinished,) = [item for item in found if item.done < item.rows]
    assert (unfinished.name, unfinished.done, unfinished.rows) == ("resnet PGD", 4, 9)
    run(store)
    totals = [re.findall(r"\w+", row)[:3] for row in capsys.readouterr().out.splitlines()]
    for row in (["adversarial", "3", "2"], ["logits", "3", "3"], ["predictions", "2", "2"], ["total", "9", "8"]):
        assert row in totals
    run(store, kind="adversarial")
    printed = capsys.readouterr().out
    assert "resnet PGD, epsilon 8, steps 50, some_images" in printed
    assert "4 of 9" in printed
    run(store, kind="predictions")
    assert "vit -> 3 models" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"task\.kind=logit: did you mean logits"):
        run(store, kind="logit")


def test_the_totals_of_a_large_store_fit_on_a_screen(store, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    digest = store.arrays()[0].digest
    for number in range(60):
        fill(store, "logits", {"images": digest, "model": f"m{number}"}, f"model_{number}")
    run(store)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) < 24
    assert max(map(len, printed[1:])) <= 80


def test_listing_changes_nothing(store: Store) -> None:
    flip(first(store, "logits/*/zarr.json"), 30)
    flip(first(store, "adversarial/*/notes.json"), 30)
    before = files(store)
    run(store)
    assert files(store) == before


def test_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.at(tmp_path / "store")
    for options in ({}, {"verify": True}):
        run(store, **options)
        assert not store.backend.root.exists()
    run(store, prune="images")
    assert capsys.readouterr().out.count("nothing is stored in") == 3


def test_a_sound_store_is_verified(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(store)
    run(store, verify=True)
    assert "every file is as it was written" in capsys.readouterr().out
    assert files(store) == before


@pytest.mark.parametrize(
    "pattern", ["adversarial/*/1.0.0.0", "predictions/*/*~*", "*/*/zarr.json", "*/*/notes.json", "*/*/seal.json"]
)
def test_every_damaged_file_is_named_and_kept_apart(
    store: Store, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, chosen = files(store), sorted(store.backend.root.glob(pattern))
    for path in chosen:
        flip(path, 30)
    damaged = sorted(path.read_bytes() for path in chosen)
    with pytest.raises(UserError, match=rf"damaged files: {len(chosen)}; run the task that made them again"):
        run(store, verify=True)
    printed = capsys.readouterr().out
    assert all(f"damaged: {path} is damaged" in printed for path in chosen)
    assert f"{len(chosen)} damaged files, " in printed
    assert sorted(quarantined(store).values()) == damaged
    gone = {str(path.relative_to(store.backend.root)) for path in chosen}
    after = files(store)
    assert {name: after.get(name) for name in before if name not in gone} == {
        name: data for name, data in before.items() if name not in gone
    }
    assert not gone & after.keys()
    assert inventory.remove(store, "nothing of this name")[0] == []
    assert sorted(quarantined(store).values()) == damaged


def test_all_sound_chunks_are_used_after_metadata_were_damaged(store: Store) -> None:
    path = first(store, "images/*/zarr.json")
    flip(path, 40)
    with pytest.raises(UserError):
        run(store, verify=True)
    again = Store.at(store.backend.root).open("images", {"images": "d"}, shape=SIZES["images"], dtype="uint8", chunk=5)
    assert (again.missing(), again.chunk) == ([], 4)
    assert again.read_all().all()


def test_the_quarantine_is_pruned_on_request_only(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    path = first(store, "images/*/0.0.0.0")
    flip(path, 0)
    size = path.stat().st_size
    with pytest.raises(UserError):
        run(store, verify=True)
    for pattern in ("*", "images"):
        run(store, prune=pattern)
    assert len(quarantined(store)) == 1
    capsys.readouterr()
    run(store, prune="quarantine")
    assert quarantined(store) == {}
    assert not list((store.backend.root / "quarantine").rglob("*"))
    printed = capsys.readouterr().out
    assert "freed" in printed
    assert "nothing stored has" not in printed
    assert size > 0


def test_a_read_only_store_is_listed_and_verified(mount: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.at(mount / "store")
    fill(store, "images", {"images": "d"}, "some_images")
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    run(store, verify=True)
    assert "every file is as it was written" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"cannot write to .*; give output_dir=FOLDER"):
        run(store, prune="images")


def test_pruning_a_kind(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(store)
    run(store, prune="adversarial")
    assert {item.kind for item in inventory.items(store)} == {"images", "logits", "predictions"}
    assert files(store) == {name: data for name, data in before.items() if not name.startswith("adversarial")}
    printed = capsys.readouterr().out
    assert "removed adversarial: vit PGD" in printed
    assert "freed" in printed


def test_pruning_by_name(store: Store) -> None:
    run(store, prune="vit PGD")
    assert names(store, "adversarial") == ["resnet PGD", "vit_small PGD"]
    run(store, prune="*-> resnet")
    assert names(store, "predictions") == [f"{a} -> {b}" for a in ("vit", "vit_small") for b in ("vit", "vit_small")]
    run(store, prune="vit*")
    assert names(store, "logits") == ["resnet"]
    assert names(store, "predictions") == []
    assert not list(store.backend.root.glob("predictions/*"))
    assert names(store, "images") == ["some_images"]


def test_a_table_without_rows_is_listed_checked_and_pruned(store: Store) -> None:
    store.table("predictions", {"new": 1}, columns=9, dtype="int32", name="new")
    (item,) = [item for item in inventory.items(store) if item.name == "new"]
    assert (item.done, item.rows) == (0, 0)
    flip(store.backend.root / item.path / "notes.json", 20)
    with pytest.raises(UserError, match="damaged files: 1"):
        run(store, verify=True)
    run(store, prune="predictions")
    assert not list(store.backend.root.glob("predictions/*"))


def test_what_was_pruned_is_begun_again(store: Store) -> None:
    run(store, prune="images")
    array = store.open("images", {"images": "d"}, shape=SIZES["images"], dtype="uint8", chunk=4, name="some_images")
    assert array.missing() == [0, 1, 2]


def test_pruning_that_is_killed_leaves_nothing_unsound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata go first; the chunks that are left are sound, and are used or pruned later."""
    unlink, removed = Path.unlink, []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            inventory.remove(store, "images")
    assert removed[0] == "zarr.json"
    assert "seal.json" not in removed
    again = Store.at(store.backend.root).open("images", {"images": "d"}, shape=SIZES["images"], dtype="uint8", chunk=4)
    assert [again.part(chunk) for chunk in again.missing()] == removed[1:]
    assert again.read(({0, 1, 2} - set(again.missing())).pop()).all()


def test_files_of_dead_writers_go_and_those_of_the_living_stay(store: Store) -> None:
    folder = first(store, "images/*")
    old, new = folder / "0.abc.partial", folder / "0.def.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 3600,) * 2)
    run(store, prune="nothing of this name")
    assert not old.exists()
    assert new.exists()
    assert len(inventory.items(store)) == 13


def test_a_name_that_fits_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(store)
    run(store, prune="adversrial")
    assert (
        "nothing stored has the kind or name 'adversrial'; kinds: adversarial, images, logits, predictions"
        in capsys.readouterr().out
    )
    assert files(store) == before


def test_pruning_opens_few_files_however_many_locks_there_are(store: Store) -> None:
    for number in range(3000):
        (store.backend.root / f"locks/{number:024x}.lock").touch()
    for number in range(300):
        folder = store.backend.root / f"logits/{number:024x}"
        folder.mkdir()
        begun = {"table": {"columns": 1, "dtype": "int32"}, "attributes": {"facts": {}}}
        (folder / "zarr.json").write_bytes(sign(begun))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(64, highest + 16), hard))
    try:
        removed, _ = inventory.remove(store, "logits")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(removed) == 303
    assert not list(store.backend.root.glob("locks/*.lock"))
    assert not list(store.backend.root.glob("logits/*"))


def test_alone_in_one_process_too(store: Store) -> None:
    refused = []

    def other_thread() -> None:
        try:
            inventory.remove(store, "*")
        except (UserError, RuntimeError) as error:
            refused.append(error)

    with store.backend.in_use():
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert len(inventory.items(store)) == 13


def test_chunks_whose_metadata_are_gone_are_not_called_sound(store: Store) -> None:
    """Nothing is moved: the run that needs them writes the metadata again."""
    metadata = next(store.backend.root.glob("logits/*/zarr.json"))
    metadata.unlink()
    with pytest.raises(UserError, match="damaged files: 1"):
        run(store, verify=True)
    assert sorted(path.name for path in metadata.parent.glob("*.0")) == ["0.0", "1.0", "2.0"]
    assert inventory.quarantined(store) == []


def test_pruning_follows_no_link_out_of_the_store(store: Store, tmp_path: Path) -> None:
    own = tmp_path / "own/sub/file.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    (store.backend.root / "quarantine").symlink_to(tmp_path / "own")
    inventory.remove(store, "quarantine")
    assert own.read_text() == "mine"
