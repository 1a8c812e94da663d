"""What the store remembers of a model is used while all that determines it is the same, and never otherwise."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sat_exp.measurement import identity as module
from sat_exp.measurement.identity import Identity, remembered
from sat_exp.models import Configured
from sat_exp.models.weights import digest
from sat_exp.modules.hardware import Placed
from sat_exp.store import Store

NAME = "fashion_regnet"


class Counted(Configured):
    """A configured model that counts how often it is loaded."""

    loads = 0

    def load(self) -> Any:
        type(self).loads += 1
        return super().load()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """As in a process that has not imported networks; the code is that of a folder, which is given."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "network.py").write_text("x = 1\n")
    monkeypatch.setattr(module, "imported", lambda: False)
    monkeypatch.setattr(module, "folders", lambda: [code])
    monkeypatch.setattr(module, "STARTED", module.time.time_ns() + 10**12)
    monkeypatch.setattr(Counted, "loads", 0)
    again()
    yield code
    again()


def again() -> None:
    """As if another process began."""
    module.state.cache_clear()
    module.newest.cache_clear()


def identity(candidate: Any, store: Store) -> Identity:
    return module.identity(candidate, store, lambda: Placed(candidate.load()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "store")


@pytest.fixture
def model(study: Any, tmp_path: Path) -> Callable[..., Counted]:
    """A bundled model, with its own copy of the weights, and with changes to its configuration."""
    path = tmp_path / "weights.safetensors"
    shutil.copy(study.BUNDLED / f"{NAME}.safetensors", path)
    return lambda **changes: Counted(study.model(NAME, **{"checkpoint": str(path)} | changes).config)


def test_a_model_is_loaded_once(model: Callable[..., Counted], store: Store) -> None:
    found = identity(model(), store)
    again()
    assert identity(model(), store) == found
    assert Counted.loads == 1
    loaded = model().load()
    assert found == Identity(loaded.fingerprint, loaded.parameters, model().stated_components)


def test_it_is_not_listed_among_the_results_of_a_run(model: Callable[..., Counted], store: Store) -> None:
    identity(model(), store)
    assert not len(store.manifest())


def test_derived_components_are_remembered(model: Callable[..., Counted], store: Store) -> None:
    found = identity(model(components=None), store)
    again()
    assert identity(model(components=None), store) == found
    assert len(found.components) == 13
    assert Counted.loads == 1


def other_weights(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    path = Path(model.config.checkpoint)
    state = module.Configured(model.config).load().classifier.network.state_dict()
    name = next(key for key, value in state.items() if value.is_floating_point())
    state[name] = state[name] * 1.5
    from safetensors.torch import save_file

    before = path.stat()
    save_file(state, path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return model


def other_record(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    path = Path(model.config.checkpoint)
    path.with_suffix(".json").write_text(f'{{"weights_sha256": "{digest(path)}"}}')
    return model


def other_settings(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    config = model.config.copy()
    config.input.mean = [0.5]
    return Counted(config)


def other_version(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    patch.setattr(module, "version", lambda library: "99.0" if library == "timm" else "1.0")
    return model


def edited_code(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    (code / "network.py").write_text("x = 2\n")
    return model


def new_code(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    (code / "inner").mkdir()
    (code / "inner" / "other.py").touch()
    return model


def code_not_found(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    patch.setattr(module, "folders", lambda: [code, None])
    return model


def imported_code(model: Counted, code: Path, patch: pytest.MonkeyPatch) -> Counted:
    patch.setattr(module, "imported", lambda: True)
    return model


@pytest.mark.parametrize(
    "change",
    [
        other_weights, other_record, other_settings, other_version, edited_code, new_code, code_not_found,
        imported_code,
    ],
)  # fmt: skip
def test_a_change_leads_to_a_new_load(
    change: Callable[..., Counted],
    model: Callable[..., Counted],
    store: Store,
    fresh: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = identity(model(), store)
    changed = change(model(), fresh, monkeypatch)
    again()
    assert remembered(changed, store) is None
    later = identity(changed, store)
    assert Counted.loads == 2
    assert (later == found) == (change not in (other_weights, other_settings))


def test_weights_that_are_gone_are_the_error_that_they_were(model: Callable[..., Counted], store: Store) -> None:
    identity(model(), store)
    Path(model().config.checkpoint).unlink()
    again()
    with pytest.raises(Exception, match="no weights at"):
        identity(model(), store)


@pytest.mark.parametrize("kind", ["metadata", "contents", "notes"])
def test_a_damaged_memory_is_repaired_by_a_new_load(kind: str, model: Callable[..., Counted], store: Store) -> None:
    found = identity(model(), store)
    (folder,) = Path(store.backend.locate("identities")).iterdir()
    file = folder / {"metadata": "zarr.json", "contents": "0", "notes": "notes.json"}[kind]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    again()
    assert identity(model(), store) == found
    again()
    assert identity(model(), store) == found
    assert Counted.loads == (1 if kind == "metadata" else 2)


def test_code_that_was_changed_after_the_start_is_not_remembered(
    model: Callable[..., Counted], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STARTED", 0)
    identity(model(), store)
    again()
    assert remembered(model(), store) is None


class Foreign(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_network_with_a_part_of_other_code_is_not_remembered(
    model: Callable[..., Counted], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Counted.load

    def foreign(counted: Counted) -> Any:
        loaded = load(counted)
        loaded.classifier.network.add_module("foreign", Foreign())
        return loaded

    monkeypatch.setattr(Counted, "load", foreign)
    identity(model(), store)
    again()
    assert remembered(model(), store) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint": None},
        {"checkpoint_reader": "sat_exp.models.squeezenet.read"},
        {"network": {"_target_": "transformers.ResNetForImageClassification"}},
        {"network": {"_target_": "my_package.Network"}},
        {"network": {"norm_layer": {"_target_": "my_package.Norm"}}},
    ],
)
def test_weights_of_a_hub_and_other_code_are_never_relied_on(changes: Any, model: Callable[..., Counted]) -> None:
    assert module.determining(model()) is not None
    assert module.determining(model(**changes)) is None


def test_random_weights_are_told_apart_by_their_seed(model: Callable[..., Counted], store: Store) -> None:
    seeds = [model(pretrained=False, training={"seed": seed}) for seed in (0, 1)]
    first, second = (identity(each, store) for each in seeds)
    again()
    assert first.fingerprint != second.fingerprint
    assert [identity(each, store) for each in seeds] == [first, second]
    assert Counted.loads == 2


def test_a_wrong_memory_is_found_when_the_model_is_loaded(
    study: Any, model: Callable[..., Counted], store: Store, undisturbed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    right = identity(model(), store)
    (folder,) = Path(store.backend.locate("identities")).iterdir()
    (folder / "0").unlink()
    facts = module.determining(model())
    assert facts is not None
    module.entry(facts, store).write(0, module.np.zeros(module.BYTES, "uint8"))
    again()
    assert identity(model(), store).fingerprint == "00" * module.BYTES
    measured = study.measurement(store.backend.locate(""), size=16, steps=1).run([model()])
    assert "is outdated" in caplog.text
    assert measured.models[0].fingerprint == right.fingerprint
    again()
    assert identity(model(), store) == right
