"""Measurements that drop adversarial images: the results are those of one that keeps them, at any time and whatever
else happens to the store."""

import itertools
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Trainer

import sat_exp.measurement.division
from sat_exp.engine.processes import Processes
from sat_exp.errors import UserError
from sat_exp.measurement import Examples, Measured, Scoring, choice, dropping, tables, with_examples
from sat_exp.measurement.stages import Stages
from sat_exp.modules import prediction
from sat_exp.store import Damaged, Store, inventory
from sat_exp.store.folder import Folder

SIZE, STEPS = 64, 1


@pytest.fixture(autouse=True)
def few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that most of the eight chunks of a source hold none."""
    monkeypatch.setattr(choice, "MOST", 3)


@pytest.fixture
def measure(study: Any) -> Any:
    """Measures with the examples, by default all models, and drops."""

    def run(place: Path, count: int = 3, **choices: Any) -> tuple[Measured, Examples, dict[str, pd.DataFrame]]:
        prepared = study.measurement(place, size=SIZE, steps=STEPS, **{"adversarial": "drop"} | choices)
        measured, found = with_examples(prepared, study.models(study.NAMES[:count]), None)
        return measured, found, tables(measured, prepared, Scoring())

    return run


@pytest.fixture(scope="module")
def kept(study: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The store and the results of a measurement that keeps everything."""
    folder = tmp_path_factory.mktemp("kept") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "MOST", 3)
        prepared = study.measurement(folder, size=SIZE, steps=STEPS)
        measured, found = with_examples(prepared, study.models(), None)
    return folder, (measured, found, tables(measured, prepared, Scoring()))


def same(left: Any, right: Any) -> None:
    """Predictions, tables without times, and pictures of two measurements agree."""
    for way, classes in right[0].predictions.items():
        np.testing.assert_array_equal(left[0].predictions[way], classes)
    assert left[0].warnings == right[0].warnings
    assert left[0].failures == right[0].failures
    assert left[1].pictures.keys() == right[1].pictures.keys()
    for file, pixels in right[1].pictures.items():
        np.testing.assert_array_equal(left[1].pictures[file], pixels)
    for one, other in ((left[1].tables, right[1].tables), (left[2], right[2])):
        assert one.keys() - {"time"} == other.keys() - {"time"}
        for name in one.keys() - {"time"}:
            pd.testing.assert_frame_equal(untimed(one[name]), untimed(other[name]))


def untimed(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=["attack_seconds", "attack_images_per_second"], errors="ignore")


def images(folder: Path) -> list[Path]:
    """The stored chunks of adversarial images."""
    return sorted(folder.glob("adversarial/*/*.0.0.0"))


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be computed from now on."""

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("something was computed again")

    monkeypatch.setattr(Trainer, "predict", forbidden)


@pytest.fixture
def attacked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The name of the source and the number of missing chunks of each attack of this process."""
    found: list[tuple[str, int]] = []
    generate = Stages.generate

    def noted(stages: Stages, source: Any, chunks: range, advance: Any) -> Any:
        found.append((source.name, len(set(chunks).intersection(source.adversarial.missing()))))
        return generate(stages, source, chunks, advance)

    monkeypatch.setattr(Stages, "generate", noted)
    return found


def test_the_results_are_those_of_kept_images(measure: Any, kept: Any, study: Any, tmp_path: Path) -> None:
    folder, expected = kept
    same(measure(tmp_path), expected)
    stored = study.chunks(tmp_path)
    assert stored.items() < study.chunks(folder).items()
    assert {
        name for name in study.chunks(folder).keys() - stored.keys() if not name.startswith("adversarial/")
    } == set()
    rows = expected[1].tables["examples"].groupby("model")["image"]
    holding = sum(
        len({int(at) // 8 for at in np.searchsorted(source.rows, rows.get_group(source.name))})
        for source in expected[0].sources
    )
    assert len(images(tmp_path)) == holding < len(images(folder)) / 2


def test_processes_give_the_same_results(measure: Any, kept: Any, tmp_path: Path, two_processes: Processes) -> None:
    same(measure(tmp_path, engine=two_processes), kept[1])
    assert len(images(tmp_path)) < len(images(kept[0])) / 2


def test_where_not_all_targets_fit_the_results_are_the_same(
    measure: Any, kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sat_exp.measurement.division, "ROOM", 0)
    monkeypatch.setattr(sat_exp.measurement.division, "BLOCKS", 2)
    same(measure(tmp_path), kept[1])


def test_native_views_give_the_same_results(study: Any, tmp_path: Path) -> None:
    larger = study.model(study.NAMES[1], input={"size": 40, "mean": [0.286], "std": [0.353]})
    found = []
    for way in ("keep", "drop"):
        prepared = study.measurement(tmp_path / way, protocol="native", size=16, steps=1, adversarial=way)
        measured, shown = with_examples(prepared, [study.model(study.NAMES[0]), larger], None)
        found.append((measured, shown, tables(measured, prepared, Scoring())))
    assert len({source.view.digest for source in found[0][0].sources}) == 2
    same(*found)


def test_never_more_than_a_block_is_stored(
    measure: Any, kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, create = 0, Folder.create
    of_source = max(source.adversarial.chunks for source in kept[1][0].sources)

    def counted(folder: Folder, name: str, data: bytes) -> bool:
        nonlocal most
        created = create(folder, name, data)
        if name.startswith("adversarial/"):
            most = max(most, len(images(tmp_path)))
        return created

    monkeypatch.setattr(Folder, "create", counted)
    measure(tmp_path)
    assert most <= of_source + len(images(tmp_path))


def test_a_second_run_computes_nothing(
    measure: Any, kept: Any, tmp_path: Path, study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(tmp_path)
    before = study.chunks(tmp_path)
    forbid(monkeypatch)
    same(measure(tmp_path), kept[1])
    assert study.chunks(tmp_path) == before


def test_kept_images_are_dropped_without_an_attack(
    measure: Any, kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Path(shutil.copytree(kept[0], tmp_path / "store"))
    forbid(monkeypatch)
    same(measure(store), kept[1])
    assert len(images(store)) < len(images(kept[0])) / 2


def test_keep_after_drop_attacks_again_and_keeps(measure: Any, kept: Any, study: Any, tmp_path: Path) -> None:
    measure(tmp_path)
    same(measure(tmp_path, adversarial="keep"), kept[1])
    assert study.chunks(tmp_path) == study.chunks(kept[0])
    images(tmp_path)[0].unlink()
    measured, *_ = measure(tmp_path, adversarial="keep")
    assert study.chunks(tmp_path) == study.chunks(kept[0])
    assert not any(source.adversarial.dropped for source in measured.sources)


def test_a_new_target_needs_the_dropped_images_of_all_sources(
    measure: Any, kept: Any, study: Any, tmp_path: Path, attacked: list[tuple[str, int]]
) -> None:
    measure(tmp_path, count=2)
    attacked.clear()
    same(measure(tmp_path), kept[1])
    assert {name for name, count in attacked if count} == set(study.NAMES)


@pytest.fixture
def other_bits(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, attacks have other random starts under the same key, as if on another device."""
    batches = prediction.AttackBatches

    def reseeded(name: str, pixels: Any, output: Any, inputs: Any, *others: Any) -> Any:
        return batches(name, pixels, output, (*inputs[:2], inputs[2] + 1), *others)

    return lambda: monkeypatch.setattr(prediction, "AttackBatches", reseeded)


def test_other_bits_of_a_repeated_attack_make_other_predictions(
    measure: Any, study: Any, tmp_path: Path, other_bits: Callable[[], None]
) -> None:
    """The images that stayed and those that are attacked again are one new array, which all targets are shown."""
    measure(tmp_path, count=2)
    other_bits()
    measured, *_ = measure(tmp_path)
    assert not measured.failures
    assert len([*(tmp_path / "quarantine").rglob("seal.json.*.why")]) == 2
    digests = {source.name: source.digest for source in measured.sources}
    whole, *_ = measure(tmp_path, adversarial="keep")
    assert {source.name: source.digest for source in whole.sources} == digests
    for source, target in itertools.product(whole.sources, whole.models):
        shown = torch.from_numpy(source.adversarial.read_all()).float() / 255
        with torch.no_grad():
            expected = study.model(target.name).load().classifier(shown).argmax(1).numpy()
        found = measured.predictions[source.name, target.name][source.rows]
        np.testing.assert_array_equal(found, expected)


def test_only_missing_examples_are_attacked_again(
    measure: Any, kept: Any, tmp_path: Path, attacked: list[tuple[str, int]]
) -> None:
    measure(tmp_path)
    attacked.clear()
    images(tmp_path)[0].unlink()
    same(measure(tmp_path), kept[1])
    assert [count for _, count in attacked] == [1]


def test_other_bits_of_an_example_end_in_results_that_belong_together(
    measure: Any, tmp_path: Path, other_bits: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(tmp_path, count=2)
    images(tmp_path)[0].unlink()
    other_bits()
    measured, found, _ = measure(tmp_path, count=2)
    assert len([*(tmp_path / "quarantine").rglob("seal.json.*.why")]) == 1
    for _, example in found.tables["examples"].iterrows():
        expected = measured.predictions[example["model"], example["model"]][example["image"]]
        assert example["adversarial_prediction"] == expected
    forbid(monkeypatch)
    again, _, _ = measure(tmp_path, count=2)
    for way, classes in measured.predictions.items():
        np.testing.assert_array_equal(again.predictions[way], classes)


def test_a_source_that_fails_changes_the_examples(
    measure: Any, study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples are chosen before the attacks; those of the sources that are left may be others."""
    monkeypatch.setattr(logging.getLogger("sat_exp.measurement.scheduling"), "disabled", True)
    generate = Stages.generate

    def failing(stages: Stages, source: Any, chunks: range, advance: Any) -> Any:
        if source.name == study.NAMES[2]:
            raise UserError("it fails")
        return generate(stages, source, chunks, advance)

    monkeypatch.setattr(Stages, "generate", failing)
    found = [measure(tmp_path / way, adversarial=way) for way in ("keep", "drop")]
    assert [*found[1][0].failures] == [study.NAMES[2]]
    for results in found:
        results[2].pop("store")  # the model that failed was a target of the sources before it
    same(*found)


def test_images_that_another_command_drops_while_they_are_read_are_attacked_again(
    measure: Any, kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where locks exclude nobody, in a bucket: one source of a measurement that keeps, one of one that drops."""
    for way in ("keep", "drop"):
        evaluate, turns = Stages.evaluate, itertools.count()

        def dropping_first(stages: Stages, pairs: Any, advance: Any) -> Any:
            if next(turns) == 0:  # noqa: B023
                pairs[0][0].adversarial.drop()
            return evaluate(stages, pairs, advance)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(Stages, "evaluate", dropping_first)
            same(measure(tmp_path / way, adversarial=way), kept[1])
        assert next(turns) > 3


@pytest.mark.parametrize("what", ["source", "kind"])
def test_images_that_others_read_stay(
    measure: Any, kept: Any, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(dropping, "PATIENCE", 0.1)
    source = kept[1][0].sources[0]
    path = source.adversarial.path if what == "source" else dropping.ADVERSARIAL
    unread = Store.unread

    def refused(store: Store, name: str, timeout: float = 0) -> Any:
        if name == path:
            raise dropping.Timeout(name)
        return unread(store, name, timeout)

    monkeypatch.setattr(Store, "unread", refused)
    same(measure(tmp_path), kept[1])
    assert source.name in caplog.text
    assert "stay: another command uses them" in caplog.text
    whole = source.adversarial.chunks if what == "source" else len(images(kept[0]))
    assert len([*(tmp_path if what == "kind" else tmp_path / path).rglob("*.0.0.0")]) >= whole
    monkeypatch.setattr(Store, "unread", unread)
    forbid(monkeypatch)
    same(measure(tmp_path), kept[1])
    assert len(images(tmp_path)) < len(images(kept[0])) / 2


def test_a_missing_chunk_is_damage_unless_it_was_dropped(measure: Any, kept: Any, tmp_path: Path) -> None:
    measured, *_ = measure(tmp_path)
    array = measured.sources[0].adversarial
    digest = array.digest
    assert digest == kept[1][0].sources[0].adversarial.digest
    assert array.missing()
    assert inventory.check(array.store, array.path) == []
    (item,) = (item for item in inventory.items(array.store) if item.path == array.path)
    assert item.dropped
    array.note(dropped=False)
    with pytest.raises(Damaged, match="is gone"):
        _ = array.digest
    array.note(dropped=True)
    (tmp_path / array.path / "seal.json").unlink()
    assert not array.dropped
    with pytest.raises(Damaged, match="is gone"):
        _ = array.digest
    same(measure(tmp_path), kept[1])


def test_a_dropped_array_without_its_notes_is_attacked_again(measure: Any, kept: Any, tmp_path: Path) -> None:
    measured, *_ = measure(tmp_path)
    notes = tmp_path / measured.sources[0].adversarial.path / "notes.json"
    notes.write_bytes(notes.read_bytes()[:-1])
    same(measure(tmp_path), kept[1])


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=pytest.mark.slow) for point in ("a row", "the note")] + ["a chunk", "a removal"]
)
def test_stopped_anywhere_and_run_again(
    measure: Any, kept: Any, study: Any, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nothing catches stands for a kill: nothing is cleaned up after it."""

    class Killed(BaseException):
        pass

    def after(count: int, original: Any, matches: Any) -> Any:
        turns = itertools.count(1)

        def killed(folder: Folder, name: str, *rest: Any) -> Any:
            if matches(name) and next(turns) == count:
                raise Killed
            return original(folder, name, *rest)

        return killed

    with monkeypatch.context() as patch:
        if point == "a removal":
            patch.setattr(Folder, "remove", after(7, Folder.remove, lambda name: True))
        elif point == "the note":
            patch.setattr(Folder, "remove", after(1, Folder.remove, lambda name: True))
        else:
            kind, count = {"a chunk": ("adversarial/", 12), "a row": ("predictions/", 5)}[point]
            patch.setattr(
                Folder,
                "create",
                after(count, Folder.create, lambda name: name.startswith(kind) and name[-5:] != ".json"),
            )
        with pytest.raises(Killed):
            measure(tmp_path / "killed")
    same(measure(tmp_path / "killed"), kept[1])
    measure(tmp_path / "undisturbed")
    assert study.chunks(tmp_path / "killed") == study.chunks(tmp_path / "undisturbed")


@pytest.mark.parametrize("ways", [("keep", "drop"), pytest.param(("drop", "drop"), marks=pytest.mark.slow)])
def test_two_commands_at_the_same_time(study: Any, start: Any, tmp_path: Path, ways: tuple[str, str]) -> None:
    store, gate, small = tmp_path / "store", tmp_path / "gate", {"batch_size": 2, "steps": STEPS}
    orders = study.NAMES, study.NAMES[::-1]
    processes = [start(names, store, gate, adversarial=way, **small) for names, way in zip(orders, ways, strict=True)]
    time.sleep(0.5)
    gate.touch()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    alone = study.measurement(tmp_path / "alone", **small).run(study.models())
    both = study.measurement(store, adversarial="drop", **small).run(study.models())
    for way, classes in alone.predictions.items():
        np.testing.assert_array_equal(both.predictions[way], classes)
    dropped = study.chunks(store)
    assert dropped.items() < study.chunks(tmp_path / "alone").items()
