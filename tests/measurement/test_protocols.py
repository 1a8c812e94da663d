"""Protocols: one canvas for all models, or each model with its own input."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from sat_exp.similarity import score

from .agreement import same


def other_input(study: Any, name: str, **changes: Any) -> Any:
    """A bundled network told to take images of another size, normalisation and crop."""
    facts = {"size": 40, "mean": [0.5], "std": [0.5], "crop": 0.8, "interpolation": "bilinear"}
    return study.model(name, input=facts | changes)


def test_natively_each_model_has_its_own_crop_and_size(study: Any, tmp_path: Path) -> None:
    plain, larger = study.model(study.NAMES[0]), other_input(study, study.NAMES[1])
    measured = study.measurement(tmp_path, protocol="native", size=16).run([plain, larger])
    _, large = measured.sources
    assert [source.view.pixels.shape[1:] for source in measured.sources] == [(1, 32, 32), (1, 40, 40)]
    image = study.images(16).image(3)
    resized = Image.fromarray(np.asarray(image)).resize((50, 50), Image.Resampling.BILINEAR).crop((5, 5, 45, 45))
    np.testing.assert_array_equal(large.view.pixels.read_all()[3, 0], np.asarray(resized))
    difference = large.adversarial.read_all().astype(int) - large.view.pixels.gather(large.rows)
    assert np.abs(difference).max() == 16
    stored = torch.from_numpy(large.adversarial.read_all()).float() / 255
    shown = F.interpolate(stored, (32, 32), mode="bicubic", antialias=True)
    network = plain.load().classifier.network
    with torch.no_grad():
        expected = network((shown - 0.286) / 0.353).argmax(1).numpy()
    np.testing.assert_array_equal(measured.predictions[larger.name, plain.name][large.rows], expected)


def test_natively_a_target_is_compared_with_what_it_says_of_the_sources_clean_view(study: Any, tmp_path: Path) -> None:
    """What changes a prediction is then the attack, and not the other crop: without an attack nothing is fooled."""
    plain = study.model(study.NAMES[0])
    larger = other_input(study, study.NAMES[1], size=32, mean=[0.286], std=[0.353], crop=0.85)
    prepared = study.measurement(tmp_path, protocol="native")
    prepared.attack = type(prepared.attack)(epsilon=0, step_size=1, steps=1, random_start=False)
    measured = prepared.run([plain, larger])
    small, large = measured.sources
    shown = measured.reference[larger.name, plain.name]
    pixels = torch.from_numpy(large.view.pixels.read_all()).float() / 255
    with torch.no_grad():
        np.testing.assert_array_equal(shown, plain.load().classifier(pixels).argmax(1).numpy())
    assert (shown != small.clean).any()
    np.testing.assert_array_equal(measured.reference[plain.name, plain.name], small.clean)
    for compare in ("truth", "own", "consensus"):
        other = measured if compare == "truth" else replace(prepared, labels=compare).run([plain, larger])
        pairs = score(other.predicted(prepared.images.labels), defaultdict(str), compare=compare)
        assert (pairs.fooled_ab == 0).all()
        assert (pairs.fooled_ba == 0).all()
    again = study.chunks(tmp_path)
    prepared.run([plain, larger])
    assert study.chunks(tmp_path) == again


def test_on_the_canvas_models_of_other_sizes_and_normalisations_see_the_same_pixels(study: Any, tmp_path: Path) -> None:
    """Attacked within ε of the canvas, whatever the network's own input; judged through its own resize."""
    plain, larger = study.model(study.NAMES[0]), other_input(study, study.NAMES[1])
    measured = study.measurement(tmp_path, size=16).run([plain, larger])
    _, large = measured.sources
    assert len({source.view.pixels.path for source in measured.sources}) == 1
    difference = large.adversarial.read_all().astype(int) - large.view.pixels.gather(large.rows)
    assert np.abs(difference).max() == 16
    network = larger.load().classifier.network

    def predicted(images: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(images).float() / 255
        resized = F.interpolate(pixels, (40, 40), mode="bilinear", antialias=True)
        with torch.no_grad():
            return network((resized - 0.5) / 0.5).argmax(1).numpy()

    np.testing.assert_array_equal(large.clean, predicted(large.view.pixels.read_all()))
    own = measured.predictions[larger.name, larger.name][large.rows]
    np.testing.assert_array_equal(own, predicted(large.adversarial.read_all()))


def test_protocols_share_clean_artefacts_only_where_the_view_is_the_same(study: Any, tmp_path: Path) -> None:
    """The bundled networks' own input is the canvas, so that natively everything is the same but the attack's key."""
    canvas = study.measurement(tmp_path, size=16).run(study.models(study.NAMES[:2]))
    before = study.chunks(tmp_path)
    native = study.measurement(tmp_path, size=16, protocol="native").run(study.models(study.NAMES[:2]))
    same(canvas, native)
    new = study.chunks(tmp_path).keys() - before.keys()
    assert {name.split("/")[0] for name in new} == {"adversarial"}
