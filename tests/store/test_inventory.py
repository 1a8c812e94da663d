"""Listing, checking and pruning a store, as task=store does them."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from omegaconf import OmegaConf

from sat_exp.errors import UserError
from sat_exp.store import Store, inventory
from sat_exp.tasks import store as task

SIZES = {"images": (12, 1, 8, 8), "logits": (12, 5), "adversarial": (9, 1, 8, 8), "predictions": (9,)}
MODELS = ("vit", "vit_small", "resnet")


def fill(store: Store, kind: str, facts: dict[str, Any], name: str, chunks: int | None = None) -> str:
    """An array with the first `chunks` of its chunks written, or all; its key."""
    dtype = {"logits": "float32", "predictions": "int32"}.get(kind, "uint8")
    array = store.open(kind, facts, shape=SIZES[kind], dtype=dtype, chunk=4, name=name)
    for chunk in array.missing()[:chunks]:
        array.write(chunk, np.ones((array.length(chunk), *SIZES[kind][1:]), dtype))
    return array.path.name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The artefacts of three models, one of them not attacked to the end."""
    store = Store(tmp_path / "store")
    fill(store, "images", {"images": "d"}, "some_images")
    for model in MODELS:
        fill(store, "logits", {"images": "d", "model": model}, model)
        facts = {"images": "d", "model": model, "numbers": {"epsilon": 8, "steps": 50}}
        key = fill(store, "adversarial", facts, f"{model} PGD", 1 if model == "resnet" else None)
        for target in MODELS if model != "resnet" else ():
            fill(store, "predictions", {"adversarial": key, "target": target}, f"{model} -> {target}")
    store.lock("attack", "vit").acquire().lock.release()
    return store


def run(store: Store, *, verify: bool = False, prune: str | None = None) -> None:
    task.run(OmegaConf.create({"output_dir": str(store.folder.parent)}), name="store", verify=verify, prune=prune)


def names(store: Store, kind: str) -> list[str]:
    return [artefact.name for artefact in inventory.artefacts(store) if artefact.kind == kind]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_everything_is_listed_with_its_size(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    found = inventory.artefacts(store)
    assert len(found) == 1 + 3 + 3 + 6
    on_disk = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    assert sum(artefact.size for artefact in found) == on_disk
    (unfinished,) = [artefact for artefact in found if artefact.done < artefact.rows]
    assert (unfinished.name, unfinished.done, unfinished.rows) == ("resnet PGD", 4, 9)
    run(store)
    printed = capsys.readouterr().out
    for part in ("resnet PGD, epsilon 8, steps 50, some_images", "4 of 9", "vit -> 3 models", "6 arrays", "13 arrays"):
        assert part in printed


def test_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ({}, {"verify": True}, {"prune": "images"}):
        run(Store(tmp_path / "store"), **options)  # type: ignore[arg-type]
    assert capsys.readouterr().out.count("nothing is stored in") == 3
    assert not (tmp_path / "store").exists()


def test_a_sound_store_is_verified(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run(store, verify=True)
    assert "every file is as it was written" in capsys.readouterr().out


def test_damaged_files_are_named_and_removed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    chunk = next(path for path in sorted(store.folder.glob("adversarial/*/c/0/**/*")) if path.is_file())
    metadata = next(store.folder.glob("logits/*/zarr.json"))
    chunk.write_bytes(chunk.read_bytes()[:-2])
    metadata.write_text(metadata.read_text().replace("12", "13"))
    with pytest.raises(UserError, match=r"damaged files removed from .*: 2; run the task that made them again"):
        run(store, verify=True)
    printed = capsys.readouterr().out
    for path in (chunk, metadata):
        assert f"removed: {path} is damaged" in printed
        assert not path.exists()
    run(store, verify=True)


def test_pruning_a_kind_takes_what_can_not_be_used_without_it(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run(store, prune="adversarial")
    assert {artefact.kind for artefact in inventory.artefacts(store)} == {"images", "logits"}
    printed = capsys.readouterr().out
    assert "removed adversarial: vit PGD" in printed
    assert "removed predictions: vit -> 3 models" in printed
    assert "freed" in printed


def test_pruning_by_name(store: Store) -> None:
    run(store, prune="vit PGD")
    assert names(store, "adversarial") == ["resnet PGD", "vit_small PGD"]
    assert names(store, "predictions") == [f"vit_small -> {target}" for target in sorted(MODELS)]
    run(store, prune="*-> resnet")
    assert names(store, "predictions") == ["vit_small -> vit", "vit_small -> vit_small"]
    run(store, prune="vit*")
    assert names(store, "logits") == ["resnet"]
    assert names(store, "images") == ["some_images"]


def test_what_was_pruned_is_begun_anew(store: Store) -> None:
    run(store, prune="images")
    array = store.open("images", {"images": "d"}, shape=SIZES["images"], dtype="uint8", chunk=4, name="some_images")
    assert array.missing() == [0, 1, 2]


def test_files_of_dead_writers_go_and_those_of_the_living_stay(store: Store) -> None:
    folder = next(store.folder.glob("images/*/c/0/0/0"))
    old, new = folder / "0.abc.partial", folder / "0.def.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 3600,) * 2)
    run(store, prune="nothing of this name")
    assert not old.exists()
    assert new.exists()
    assert len(inventory.artefacts(store)) == 13


def test_a_name_that_fits_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run(store, prune="adversrial")
    printed = capsys.readouterr().out
    assert (
        "nothing stored has the kind or name 'adversrial'; kinds: adversarial, images, logits, predictions" in printed
    )


def hold(path: Path, held: Any, over: Any) -> None:
    with FileLock(path):
        held.set()
        over.wait()


@pytest.fixture
def busy(store: Store) -> Iterator[None]:
    """Another process holds a lock of the store."""
    context = multiprocessing.get_context("fork")
    held, over = context.Event(), context.Event()
    process = context.Process(target=hold, args=(next((store.folder / "locks").iterdir()), held, over))
    process.start()
    assert held.wait(20)
    yield
    over.set()
    process.join()


@pytest.mark.usefixtures("busy")
def test_nothing_is_pruned_while_others_work(store: Store) -> None:
    with pytest.raises(UserError, match=r"another process is at work in .*: prune when it has ended"):
        run(store, prune="*")
    run(store, verify=True)
    assert len(inventory.artefacts(store)) == 13
