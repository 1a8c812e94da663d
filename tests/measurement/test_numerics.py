"""Fast numerics in a measurement: what is computed, under which keys, and how often a model is calibrated."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sat_exp.numerics
from sat_exp.errors import UserError
from sat_exp.measurement import loaded
from sat_exp.measurement.calibrated import BYTES, encoded
from sat_exp.modules.hardware import Hardware
from sat_exp.numerics import Choice, applied

FOLDED = Choice(
    attack=("folded",), evaluation=("folded", "channels_last"), notes=("attack: folded takes 0.8 of exact",)
)


@pytest.fixture
def calibrations(monkeypatch: pytest.MonkeyPatch) -> list[Choice]:
    """The choices that calibrations make in turn, FOLDED where none is left; those that are made are appended."""
    made: list[Choice] = []

    def calibrate(*inputs: Any, **settings: Any) -> Choice:
        made.append(FOLDED)
        return made[-1]

    monkeypatch.setattr(sat_exp.numerics, "calibrate", calibrate)
    return made


def fast(study: Any, folder: Path, **choices: Any) -> Any:
    prepared = study.measurement(folder, **choices)
    prepared.hardware = replace(prepared.hardware, numerics="fast")
    return prepared


def test_the_techniques_make_the_images_and_the_predictions(
    study: Any, tmp_path: Path, calibrations: list[Choice]
) -> None:
    prepared = fast(study, tmp_path)
    measured = prepared.run(study.models(study.NAMES[:2]))
    source, target = measured.sources
    assert (source.techniques.attack, target.techniques.evaluation) == (("folded",), ("folded", "channels_last"))
    exact = study.model(source.name).load().classifier
    rows = source.rows[source.adversarial.span(0)]
    pixels = torch.from_numpy(source.view.pixels.gather(rows))
    labels, seeds = (torch.from_numpy(each[rows]) for each in (prepared.images.labels, prepared.stages.seeds))
    attacked = prepared.attack(applied(exact, ["folded"]), pixels, labels, seeds)
    np.testing.assert_array_equal(source.adversarial.read(0), attacked.numpy())
    evaluated = applied(study.model(target.name).load().classifier, FOLDED.evaluation)
    with torch.no_grad():
        predicted = evaluated(attacked.float() / 255).argmax(dim=1)
    np.testing.assert_array_equal(measured.predictions[source.name, target.name][rows], predicted.numpy())


def test_a_model_is_calibrated_once(study: Any, tmp_path: Path, calibrations: list[Choice]) -> None:
    first = fast(study, tmp_path).run(study.models(study.NAMES[:2]))
    assert len(calibrations) == 2
    again = fast(study, tmp_path).run(study.models(study.NAMES[:2]))
    assert len(calibrations) == 2
    assert [model.techniques for model in again.models] == [model.techniques for model in first.models]


def test_exact_and_fast_results_are_kept_apart(study: Any, tmp_path: Path, calibrations: list[Choice]) -> None:
    names = study.NAMES[:1]
    exact = study.measurement(tmp_path).run(study.models(names)).sources[0]
    before = study.chunks(tmp_path)
    other = fast(study, tmp_path).run(study.models(names)).sources[0]
    assert other.adversarial.key != exact.adversarial.key
    assert other.logits.key != exact.logits.key
    assert before.items() <= study.chunks(tmp_path).items()


def test_a_model_that_no_technique_makes_faster_shares_exact_results(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sat_exp.numerics, "calibrate", lambda *inputs, **settings: Choice())
    exact = study.measurement(tmp_path).run(study.models(study.NAMES[:1])).sources[0]
    other = fast(study, tmp_path).run(study.models(study.NAMES[:1])).sources[0]
    assert other.adversarial.key == exact.adversarial.key


def test_little_work_is_exact_and_shares_exact_results(study: Any, tmp_path: Path) -> None:
    names = study.NAMES[:1]
    exact = study.measurement(tmp_path).run(study.models(names)).sources[0]
    source = fast(study, tmp_path).run(study.models(names)).sources[0]
    assert source.adversarial.key == exact.adversarial.key
    assert source.logits.key == exact.logits.key
    (note,) = source.techniques.notes
    assert note.startswith("exact: the work ahead takes about")


def test_more_work_is_calibrated_of_its_own(study: Any, tmp_path: Path, calibrations: list[Choice]) -> None:
    prepared = fast(study, tmp_path)
    prepared.run(study.models(study.NAMES[:1]))
    other = fast(study, tmp_path)
    other.attack = replace(prepared.attack, steps=2 * prepared.attack.steps)
    other.run(study.models(study.NAMES[:1]))
    assert len(calibrations) == 2


def test_a_real_calibration_changes_no_prediction(
    study: Any, tmp_path: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sat_exp.numerics.calibration.WORTH", 0)
    measured = fast(study, tmp_path).run(study.models(study.NAMES[:1]))
    name = study.NAMES[0]
    clean = next(model for model in undisturbed.measured.models if model.name == name)
    np.testing.assert_array_equal(measured.models[0].clean, clean.clean)
    rates = [(each.predictions[name, name] == clean.clean).mean() for each in (measured, undisturbed.measured)]
    assert abs(rates[0] - rates[1]) < 0.1


def test_techniques_share_one_copy_for_both_purposes(study: Any) -> None:
    placed = loaded.Placed(study.model(study.NAMES[0]).load())
    attack, evaluation = placed.runner("attack", ("folded",)), placed.runner("evaluation", ("folded",))
    assert attack.classifier is evaluation.classifier is not placed.model.classifier
    assert attack.fitting is not evaluation.fitting
    assert placed.runner("attack", ("folded",)) is attack
    assert placed.runner("attack", ()).classifier is placed.model.classifier


def test_too_many_notes_lose_the_last_ones() -> None:
    notes = [letter * 3900 for letter in "abc"]
    data = encoded({"attack": [], "evaluation": [], "notes": notes})
    assert len(data) == BYTES
    assert json.loads(data.tobytes())["notes"] == notes[:2]


def test_fast_chooses_precision_itself() -> None:
    with pytest.raises(UserError, match=r"leave out hardware\.precision"):
        Hardware("cpu", "bf16-mixed", 8, threads=1, workers=1, numerics="fast")
    with pytest.raises(UserError, match=r"hardware\.numerics=faster"):
        Hardware("cpu", "32-true", 8, threads=1, workers=1, numerics="faster")  # type: ignore[arg-type]
