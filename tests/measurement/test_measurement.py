"""A measurement gives the same bytes in every order and division of the work, and computes damaged files again."""

import itertools
import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn

import sat_exp.measurement.division
from sat_exp.attacks import TargetedPGD, random
from sat_exp.errors import UserError
from sat_exp.models import loading
from sat_exp.store.folder import Folder

from .agreement import same


@pytest.fixture
def copied(undisturbed: Any, tmp_path: Path) -> Path:
    """A copy of the undisturbed store."""
    return Path(shutil.copytree(undisturbed.folder, tmp_path / "store"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def test_the_pair_the_row_and_the_matrix_are_the_same_artefacts(study: Any, undisturbed: Any, tmp_path: Path) -> None:
    """Each in a store of its own, and in any order of the models."""
    first, second, third = study.NAMES
    one = study.measurement(tmp_path / "one").run(study.models([second]))
    pair = study.measurement(tmp_path / "pair").run(study.models([third, first]))
    same(one, undisturbed.measured)
    same(pair, undisturbed.measured)
    for name in ("one", "pair"):
        assert study.chunks(tmp_path / name).items() < undisturbed.chunks.items()
    assert [source.name for source in pair.sources] == [third, first]


def test_pairs_one_after_the_other_fill_the_store_of_the_matrix(study: Any, undisturbed: Any, tmp_path: Path) -> None:
    for pair in itertools.combinations(reversed(study.NAMES), 2):
        study.measurement(tmp_path).run(study.models(pair))
    assert study.chunks(tmp_path) == undisturbed.chunks


def test_a_second_run_computes_nothing(study: Any, undisturbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("something was computed again")

    monkeypatch.setattr(Trainer, "predict", forbidden)
    again = study.measurement(undisturbed.folder).run(study.models())
    same(again, undisturbed.measured)
    assert again.warnings == undisturbed.measured.warnings
    assert study.chunks(undisturbed.folder) == undisturbed.chunks


def test_random_starts_do_not_depend_on_batches(study: Any, tmp_path: Path) -> None:
    """With an attack of a step so small that only the random start shows."""
    starts = []
    for batch_size in (3, 8):
        prepared = study.measurement(tmp_path / str(batch_size), batch_size=batch_size, size=20)
        prepared.attack = type(prepared.attack)(epsilon=16, step_size=1e-3, steps=1, random_start=True)
        (source,) = prepared.run(study.models(study.NAMES[:1])).sources
        starts.append(source.adversarial.read_all())
    np.testing.assert_array_equal(*starts)


def test_random_starts_belong_to_the_image_not_to_its_place(study: Any, undisturbed: Any, tmp_path: Path) -> None:
    """The odd images alone, last first, get the adversarial versions that they get among all."""
    prepared = study.measurement(tmp_path)
    prepared.attack = type(prepared.attack)(epsilon=16, step_size=1e-3, steps=1, random_start=True)
    (everything,) = prepared.run(study.models(study.NAMES[:1])).sources
    odd = range(study.IMAGES - 1, 0, -2)
    (some,) = replace(prepared, images=prepared.images.take(odd)).run(study.models(study.NAMES[:1])).sources
    images = dict(zip(everything.rows, everything.adversarial.read_all(), strict=True))
    for row, image in zip(some.rows, some.adversarial.read_all(), strict=True):
        np.testing.assert_array_equal(image, images[odd[row]])


def test_another_seed_makes_other_images(study: Any, undisturbed: Any, tmp_path: Path) -> None:
    (source,) = study.measurement(tmp_path, seed=1).run(study.models(study.NAMES[:1])).sources
    assert (source.adversarial.read_all() != undisturbed.measured.sources[0].adversarial.read_all()).any()


def test_only_images_the_source_gets_right_are_attacked_and_never_beyond_epsilon(study: Any, undisturbed: Any) -> None:
    measured, labels = undisturbed.measured, study.images().labels
    clean = measured.sources[0].view.pixels.read_all()
    np.testing.assert_array_equal(clean, [study.images().read(index) for index in range(study.IMAGES)])
    for source in measured.sources:
        np.testing.assert_array_equal(source.rows, np.flatnonzero(source.clean == labels))
        stored = source.adversarial.read_all()
        difference = stored.astype(int) - clean[source.rows]
        assert stored.dtype == np.uint8
        assert np.abs(difference).max() == 16
        notes = source.adversarial.notes
        assert notes["mean_linf"] == pytest.approx(np.abs(difference).max(axis=(1, 2, 3)).mean())
        assert notes["mean_l2"] == pytest.approx(np.sqrt((difference**2).sum(axis=(1, 2, 3))).mean())
        assert notes["images"] == len(source.rows)


def test_predictions_are_what_the_target_says_of_the_stored_bytes(study: Any, undisturbed: Any) -> None:
    measured = undisturbed.measured
    for target in measured.sources:
        classifier = study.model(target.name).load().classifier
        with torch.no_grad():
            clean = classifier(torch.from_numpy(target.view.pixels.read_all()).float() / 255).argmax(1).numpy()
            np.testing.assert_array_equal(target.clean, clean)
            for source in measured.sources:
                stored = torch.from_numpy(source.adversarial.read_all())
                expected = np.full(study.IMAGES, -1)
                expected[source.rows] = classifier(stored.float() / 255).argmax(1).numpy()
                np.testing.assert_array_equal(measured.predictions[source.name, target.name], expected)


def test_lightning_changes_no_byte_of_the_attack(study: Any, undisturbed: Any) -> None:
    prepared, (source, *_) = study.measurement(undisturbed.folder), undisturbed.measured.sources
    classifier = study.model(source.name).load().classifier
    images = prepared.images
    for chunk in range(source.adversarial.chunks):
        rows = source.rows[source.adversarial.span(chunk)]
        pixels = torch.from_numpy(np.stack([images.read(row) for row in rows]))
        seeds = torch.from_numpy(random.image_seeds(0, [images.contents(row) for row in rows]))
        plain = prepared.attack(classifier, pixels, torch.from_numpy(images.labels[rows]), seeds)
        np.testing.assert_array_equal(source.adversarial.read(chunk), plain.numpy())


@pytest.mark.parametrize("kind", ["images", "logits", "adversarial", "predictions"])
def test_a_flipped_byte_is_named_when_it_is_needed_and_the_chunk_computed_again(
    study: Any, undisturbed: Any, copied: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = next(path for path in study.parts(copied) if path.parts[-3] == kind)
    flip(file)
    for needed in {"images": ("predictions", "adversarial"), "adversarial": ("predictions",)}.get(kind, ()):
        shutil.rmtree(copied / needed)
    with caplog.at_level(logging.WARNING):
        same(study.measurement(copied).run(study.models()), undisturbed.measured)
    assert f"{file} is damaged" in caplog.text
    assert study.chunks(copied) == undisturbed.chunks


def test_a_flipped_byte_in_every_file_at_once_is_mended(
    study: Any, undisturbed: Any, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [copied / name for name in undisturbed.chunks]
    for file in files:
        flip(file)
    same(study.measurement(copied).run(study.models()), undisturbed.measured)
    assert study.chunks(copied) == undisturbed.chunks
    assert [file for file in files if f"{file} is damaged" not in caplog.text] == []


def test_damaged_metadata_are_named_and_the_array_made_anew(
    study: Any, undisturbed: Any, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in sorted(copied.glob("*/*/zarr.json"))[::2]:
        flip(file)
    same(study.measurement(copied).run(study.models()), undisturbed.measured)
    assert "zarr.json is damaged" in caplog.text
    assert study.chunks(copied) == undisturbed.chunks


def test_arrays_of_other_chunks_go_together(study: Any, undisturbed: Any, copied: Path) -> None:
    """Images that were pruned and decoded anew in other chunks, for logits of which some are missing."""
    shutil.rmtree(copied / "images")
    for array in (copied / "logits").iterdir():
        (array / "1.0").unlink()
    measured = study.measurement(copied, batch_size=5).run(study.models())
    assert measured.sources[0].view.pixels.chunk == 5
    for source, other in zip(measured.sources, undisturbed.measured.sources, strict=True):
        np.testing.assert_array_equal(source.clean, other.clean)


def test_a_model_that_gets_nothing_right_has_nothing_to_attack(study: Any, tmp_path: Path) -> None:
    prepared = study.measurement(tmp_path, size=10)
    first = study.measurement(tmp_path, size=10).run(study.models(study.NAMES[:1]))
    prepared.images.labels[:] = (first.sources[0].clean + 1) % 10
    (source,) = prepared.run(study.models(study.NAMES[:1])).sources
    assert len(source.rows) == 0
    assert "mean_linf" not in source.adversarial.notes


def test_two_names_for_the_same_weights_share_their_artefacts(study: Any, tmp_path: Path) -> None:
    twins = [study.model(study.NAMES[0]), study.model(study.NAMES[0], name="twin")]
    measured = study.measurement(tmp_path, size=16).run(twins)
    assert len({source.adversarial.path for source in measured.sources}) == 1
    values = list(measured.predictions.values())
    assert len(values) == 4
    for value in values:
        np.testing.assert_array_equal(value, values[0])


def test_a_model_named_twice_is_refused(study: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fashion_resnet is named twice"):
        study.measurement(tmp_path).run(study.models([study.NAMES[0]] * 2))


def test_another_label_space_is_refused(study: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="predicts imagenet1k, the data set fashion_mnist is labelled fashion_mnist"):
        study.measurement(tmp_path).run([study.model(study.NAMES[0], label_space="imagenet1k")])


def test_only_the_directions_asked_for_are_measured(study: Any, undisturbed: Any, tmp_path: Path) -> None:
    """A row: one source is attacked, the others are only looked at; what is there is what the matrix has."""
    first, second, third = study.NAMES
    row = study.measurement(tmp_path).run(study.models(), {(first, second), (first, third)})
    assert [source.name for source in row.sources] == [first]
    assert [model.name for model in row.models] == list(study.NAMES)
    assert set(row.predictions) == {(first, name) for name in study.NAMES}
    assert study.chunks(tmp_path).items() < undisturbed.chunks.items()
    for pair, values in row.predictions.items():
        np.testing.assert_array_equal(values, undisturbed.measured.predictions[pair])


def test_a_model_that_fails_is_left_out_and_the_others_go_on(study: Any, undisturbed: Any, tmp_path: Path) -> None:
    first, second, third = study.NAMES
    broken = study.model(second, checkpoint=str(tmp_path / "nowhere.safetensors"))
    measured = study.measurement(tmp_path).run([study.model(first), broken, study.model(third)])
    assert list(measured.failures) == [second]
    assert "no weights at" in measured.failures[second]
    assert [source.name for source in measured.sources] == [first, third]
    assert len(measured.predictions) == 4
    for pair, values in measured.predictions.items():
        np.testing.assert_array_equal(values, undisturbed.measured.predictions[pair])
    again = study.measurement(tmp_path).run(study.models())
    assert again.failures == {}
    assert study.chunks(tmp_path) == undisturbed.chunks


def test_a_target_that_fails_in_the_transfer_is_left_out(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = loading.load

    def second_time_lucky(config: Any) -> Any:
        loads.append(config.name)
        if loads.count(config.name) == 2 and config.name == study.NAMES[1]:
            raise RuntimeError("no memory left for it")
        return load(config)

    monkeypatch.setattr(loading, "load", second_time_lucky)
    monkeypatch.setattr(sat_exp.measurement.division, "ROOM", 0)  # keeps one model at a time
    measured = study.measurement(tmp_path, size=10, steps=1).run(study.models())
    assert measured.failures == {study.NAMES[1]: "RuntimeError: no memory left for it"}
    assert {name for pair in measured.predictions for name in pair} == {study.NAMES[0], study.NAMES[2]}
    assert max(loads.count(name) for name in study.NAMES) == 2


class Failing(nn.Module):
    """A network that answers for so many batches."""

    def __init__(self, inner: nn.Module, batches: int, failure: str) -> None:
        super().__init__()
        self.inner, self.left, self.failure = inner, batches, failure

    def forward(self, pixels: Tensor) -> Any:
        self.left -= 1
        if self.left < 0 and self.failure == "raises":
            raise ArithmeticError("no answer")
        return self.inner(pixels) * (math.nan if self.left < 0 else 1)


@pytest.mark.parametrize(("failure", "why"), [("raises", "ArithmeticError: no answer"), ("nan", "not finite")])
def test_a_target_that_fails_among_others_leaves_their_predictions_as_they_are(
    study: Any, undisturbed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str, why: str
) -> None:
    """All targets see each batch together; one of them answers for its clean images and no others."""
    load, last = loading.load, study.NAMES[2]

    def failing(config: Any) -> Any:
        model = load(config)
        if config.name == last:
            clean = 2 + study.IMAGES // 8  # the preflight and the clean images
            model.classifier.network = Failing(model.classifier.network, clean, failure)
        return model

    monkeypatch.setattr(loading, "load", failing)
    candidates = study.models()
    directions = [(study.NAMES[0], name) for name in study.NAMES]
    measured = study.measurement(tmp_path).run(candidates, directions)
    assert why in measured.failures[last]
    for pair, predicted in measured.predictions.items():
        np.testing.assert_array_equal(predicted, undisturbed.measured.predictions[pair])
    assert {target for _, target in measured.predictions} == {*study.NAMES[:2]}


def test_where_no_pair_is_left_the_failure_is_raised(study: Any, tmp_path: Path) -> None:
    broken = study.model(study.NAMES[1], checkpoint=str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(UserError, match="no weights at"):
        study.measurement(tmp_path, size=10, steps=1).run([study.model(study.NAMES[0]), broken])


def test_own_and_consensus_attack_every_image_and_share_their_artefacts(study: Any, tmp_path: Path) -> None:
    own = study.measurement(tmp_path, labels="own", size=16).run(study.models(study.NAMES[:2]))
    stored = study.chunks(tmp_path)
    consensus = study.measurement(tmp_path, labels="consensus", size=16).run(study.models(study.NAMES[:2]))
    assert study.chunks(tmp_path) == stored
    for source, other in zip(own.sources, consensus.sources, strict=True):
        np.testing.assert_array_equal(source.rows, np.arange(16))
        assert source.adversarial.path == other.adversarial.path


def test_an_unlabelled_set_gives_what_own_labels_give(study: Any, tmp_path: Path) -> None:
    """Labels are in the keys, so the artefacts are others; their bytes are not."""
    labelled = study.measurement(tmp_path / "labelled", labels="own", size=16)
    unlabelled = study.measurement(tmp_path / "unlabelled", labels="own", size=16)
    unlabelled.images = replace(unlabelled.images, labels=None, label_space=None, class_names=())
    one, other = (prepared.run(study.models(study.NAMES[:2])) for prepared in (labelled, unlabelled))
    same(one, other)
    with pytest.raises(UserError, match="has no labels: give labels=consensus"):
        replace(unlabelled, labels="truth")


def test_models_of_different_classes_compare_only_by_their_own_labels(study: Any, tmp_path: Path) -> None:
    stranger = study.model(study.NAMES[1], label_space="garments")
    both = [study.model(study.NAMES[0]), stranger]
    measured = study.measurement(tmp_path, labels="own", size=10, steps=1).run(both)
    assert [model.labelled for model in measured.models] == [True, False]
    with pytest.raises(UserError, match="they can never agree; give labels=own"):
        study.measurement(tmp_path, labels="consensus", size=10, steps=1).run(both)
    targeted = replace(study.measurement(tmp_path, labels="own", size=10), attack=TargetedPGD(epsilon=16, steps=1))
    with pytest.raises(UserError, match="is no class of the other; choose an untargeted attack="):
        targeted.run(both)


def test_a_disk_that_damages_everything_is_given_up(study: Any, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(path for path in study.parts(copied) if path.parts[-3] == "adversarial")
    flip(file)
    shutil.rmtree(copied / "predictions")
    name, create = str(file.relative_to(copied)), Folder.create

    def damaging(folder: Folder, written: str, data: bytes) -> bool:
        return create(folder, written, data[:-1] if written == name else data)

    monkeypatch.setattr(Folder, "create", damaging)
    with pytest.raises(UserError, match="again after it was computed again: the disk cannot be trusted"):
        study.measurement(copied).run(study.models())


def test_warnings_of_the_preflight_are_kept(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sat_exp.models.preflight.MASKED_GRADIENT_SHARE", -1.0)
    for _ in range(2):
        measured = study.measurement(tmp_path, size=10, steps=1).run(study.models(study.NAMES[:1]))
        assert ["exactly zero" in warning for warning in measured.warnings] == [True]
        monkeypatch.undo()
