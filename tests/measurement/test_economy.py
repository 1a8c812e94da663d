"""A measurement does not load, read or keep anything that it does not need."""

import gc
import logging
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sat_exp.measurement.division
import sat_exp.modules.hardware
from sat_exp.models import loading
from sat_exp.store import Store
from sat_exp.store.folder import Folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the objects that are read from a store."""
    names: list[str] = []
    original = Folder.read

    def noted(folder: Folder, name: str) -> bytes | None:
        names.append(name)
        return original(folder, name)

    monkeypatch.setattr(Folder, "read", noted)
    return names


def test_a_complete_store_is_not_read_through_again(study: Any, undisturbed: Any, read: list[str]) -> None:
    """No pixel of the clean or the adversarial images, and each row of predictions once."""
    study.measurement(undisturbed.folder).run(study.models())
    parts = [name for name in read if not name.endswith(".json")]
    assert {name.split("/")[0] for name in parts} - {"identities"} == {"logits", "predictions"}
    assert len(parts) == len(set(parts))


def test_adversarial_images_are_read_once_for_all_targets(study: Any, tmp_path: Path, read: list[str]) -> None:
    study.measurement(tmp_path).run(study.models())
    images = [name for name in read if name.startswith("adversarial/") and not name.endswith(".json")]
    assert set(Counter(images).values()) == {3}  # twice for their check, once for the targets


def test_each_model_is_loaded_once(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = loading.load

    def noted(config: Any) -> Any:
        loads.append(config.name)
        return load(config)

    monkeypatch.setattr(loading, "load", noted)
    study.measurement(tmp_path, size=10, steps=1).run(study.models())
    assert sorted(loads) == sorted(study.NAMES)


def test_with_memory_for_one_model_the_results_are_the_same(
    study: Any, undisturbed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sat_exp.measurement.division, "ROOM", 0)
    study.measurement(tmp_path).run(study.models())
    assert study.chunks(tmp_path) == undisturbed.chunks


def test_batches_may_be_larger_than_stored_chunks(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 24 images fill three chunks of 8 at once: the images are those of a plain loop over the batches."""
    monkeypatch.setattr(sat_exp.modules.hardware, "CHUNK", 8)
    prepared = study.measurement(tmp_path, batch_size=24)
    (source,) = prepared.run(study.models(study.NAMES[:1])).sources
    assert source.adversarial.chunk == 8
    classifier = study.model(source.name).load().classifier
    for rows in np.split(source.rows, range(24, len(source.rows), 24)):
        pixels = torch.from_numpy(source.view.pixels.gather(rows))
        labels = torch.from_numpy(prepared.images.labels[rows])
        seeds = torch.from_numpy(prepared.stages.seeds[rows])
        stored = source.adversarial.gather(np.searchsorted(source.rows, rows))
        np.testing.assert_array_equal(stored, prepared.attack(classifier, pixels, labels, seeds).numpy())


def test_the_predictions_of_all_targets_on_a_source_are_one_artefact(study: Any, undisturbed: Any) -> None:
    tables = list((undisturbed.folder / "predictions").iterdir())
    assert len(tables) == len(study.NAMES)
    for table in tables:
        assert sum("~" in file.name for file in table.iterdir()) == len(study.NAMES)


def test_a_model_is_loaded_only_under_its_lock(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that has the lock is at work on it: loading and hashing it would be in vain."""
    events: list[str] = []
    load, lock = loading.load, Store.lock

    def noted_load(config: Any) -> Any:
        events.append(f"load {config.name}")
        return load(config)

    def noted_lock(store: Store, *parts: str, timeout: float = -1) -> Any:
        if parts[0] == "attack":
            events.append("lock")
        return lock(store, *parts, timeout=timeout)

    monkeypatch.setattr(loading, "load", noted_load)
    monkeypatch.setattr(Store, "lock", noted_lock)
    study.measurement(tmp_path, size=10, steps=1).run(study.models(study.NAMES[:1]))
    assert events[:2] == ["lock", f"load {study.NAMES[0]}"]


class Failing(nn.Module):
    """A network that fails once it is asked for the clean images."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Any) -> Any:
        raise ArithmeticError("no answer")


def test_a_failure_keeps_neither_the_model_nor_what_it_computed(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks: list[weakref.ref[nn.Module]] = []
    load = loading.load

    def failing(config: Any) -> Any:
        model = load(config)
        if config.name == study.NAMES[0]:
            model.classifier.network = Failing(model.classifier.network)
            networks.append(weakref.ref(model.classifier.network))
        return model

    monkeypatch.setattr(loading, "load", failing)
    monkeypatch.setattr(logging.getLogger("sat_exp.measurement.scheduling"), "disabled", True)
    prepared = study.measurement(tmp_path, size=10, steps=1)
    measured = prepared.run(study.models())
    assert measured.failures == {study.NAMES[0]: "ArithmeticError: no answer"}
    gc.collect()
    assert [network() for network in networks] == [None]
