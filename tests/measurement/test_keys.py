"""Keys: everything that changes the bytes of an artefact changes its key."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from sat_exp.attacks import PGD, Threat
from sat_exp.errors import UserError
from sat_exp.measurement.stages import digest_of
from sat_exp.models import Classifier, Configured, loading
from sat_exp.models.loading import probe
from sat_exp.settings.targets import allowing
from sat_exp.store import key_of

NAME = "fashion_resnet"


@dataclass(frozen=True)
class Idle:
    """An attack with PGD's name, numbers and version that does nothing."""

    epsilon: int
    step_size: float
    steps: int
    random_start: bool
    version: ClassVar[int] = 1
    threat: ClassVar[Threat] = Threat("linf", 255)
    gradients: ClassVar[int] = 0
    companions: ClassVar[int] = 0

    def __call__(self, classifier: Any, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        return images


def test_another_attack_of_the_same_name_is_not_given_its_images(study: Any, tmp_path: Path) -> None:
    prepared = study.measurement(tmp_path, size=16)
    (attacked,) = prepared.run(study.models([NAME])).sources
    idle = type("PGD", (Idle,), {"__qualname__": "PGD"})(**vars(prepared.attack))
    (untouched,) = replace(prepared, attack=idle).run(study.models([NAME])).sources
    clean = untouched.view.pixels.gather(untouched.rows)
    np.testing.assert_array_equal(untouched.adversarial.read_all(), clean)
    assert (attacked.adversarial.read_all() != clean).any()


def test_keys_of_stored_images_stay_as_they_were(study: Any, tmp_path: Path) -> None:
    """Another key would have every user's adversarial images computed again. A step size of 4 is 4.0, as it is for the
    command line: both have one key."""
    prepared = study.measurement(tmp_path)
    inputs = digest_of(np.array([0, 2]), np.array([3, 1]), np.array([5, 7]))
    facts = {"images": "i", "model": "m", "inputs": inputs, "numerics": prepared.stages.numerics(())}
    facts |= prepared.stages.attack_facts()
    assert key_of(facts) == "3a1d63750b89b187f11201e0"


def test_the_fingerprint_of_a_configured_model_stays_as_it_was(study: Any) -> None:
    """Another fingerprint would have every user's results computed again."""
    assert study.model(NAME).load().fingerprint == "1fc1150e67624c6eeaffa30cb58cca4cd3ebed4f2926c8b971783a887fb8da06"


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Any]]:
    """Writes a user's network, whose forward multiplies its logits; gives its configuration."""
    monkeypatch.syspath_prepend(str(tmp_path))
    with allowing(["user_network"]):
        yield writer(tmp_path)


def writer(folder: Path) -> Callable[[Any], Any]:
    def write(factor: Any) -> Any:
        (folder / "user_network.py").write_text(
            textwrap.dedent(f"""
                import timm
                from torch import nn

                class Network(nn.Module):
                    def __init__(self):
                        super().__init__()
                        self.inner = timm.create_model("resnet18", num_classes=10, in_chans=1)

                    def forward(self, pixels):
                        return {factor} * self.inner(pixels)
            """)
        )
        sys.modules.pop("user_network", None)
        stated = OmegaConf.create(
            {
                "name": "mine",
                "family": "mine",
                "label_space": "fashion_mnist",
                "classes": 10,
                "pretrained": False,
                "checkpoint": None,
                "parameters": None,
                "network": {"_target_": "user_network.Network"},
                "input": {"size": 32, "mean": [0.286], "std": [0.353], "interpolation": "bicubic", "crop": 1.0},
            }
        )
        return Configured(stated)  # type: ignore[arg-type]

    return write


def test_a_network_whose_code_is_edited_is_measured_again(study: Any, tmp_path: Path, edited: Any) -> None:
    """Its weights and its configuration are as before, and its predictions were found in the store."""
    first = study.measurement(tmp_path / "store", size=16, steps=1).run([edited(1)]).sources[0]
    second = study.measurement(tmp_path / "store", size=16, steps=1).run([edited(-1)]).sources[0]
    np.testing.assert_array_equal(second.logits.read_all(), -first.logits.read_all())
    assert (second.clean != first.clean).all()


class Probed(nn.Module):
    """A small network whose logits are changed before they are given."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(8 * 36, 100))
        self.change = change

    def forward(self, pixels: Tensor) -> Tensor:
        return self.change(self.inner(pixels))


def probe_of(change: Any) -> Any:
    classifier = Classifier(Probed(change), size=8, mean=[0.5] * 3, std=[0.25] * 3, interpolation="bicubic")
    return probe(classifier.freeze())


@pytest.mark.parametrize(
    "change",
    [torch.neg, torch.relu, lambda logits: 1.05 * logits, lambda logits: logits.flip(1), lambda logits: logits + 0.05],
)
def test_the_probe_tells_networks_of_the_same_weights_apart(change: Any) -> None:
    assert probe_of(change) != probe_of(lambda logits: logits)


@pytest.mark.parametrize("seed", range(20))
def test_the_probe_is_the_same_where_only_rounding_differs(seed: int) -> None:
    """Kernels, threads and batches move the logits of real networks by up to four millionths of their size."""
    generator = torch.Generator().manual_seed(seed)
    moved = probe_of(lambda logits: logits + 4e-6 * logits.std() * torch.randn(logits.shape, generator=generator))
    assert moved == probe_of(lambda logits: logits)


def test_the_probe_of_logits_that_are_not_finite() -> None:
    assert probe_of(lambda logits: logits / 0) is None
    assert probe_of(torch.zeros_like) == [0] * 8


def test_a_network_that_fails_on_its_own_size_is_one_line(edited: Any, tmp_path: Path) -> None:
    model = edited("undefined_name")
    with pytest.raises(UserError, match=r"model mine fails on images of its own input size: NameError"):
        model.load()


def test_predictions_are_known_by_the_content_of_the_images(study: Any, undisturbed: Any, tmp_path: Path) -> None:
    """An attack without effect gives all sources the same images, which a target is shown once."""
    prepared = study.measurement(tmp_path, labels="own", size=16)
    prepared.attack = PGD(epsilon=0, step_size=1, steps=1, random_start=False)
    measured = prepared.run(study.models())
    assert len(list((tmp_path / "predictions").iterdir())) == 1
    assert len({source.adversarial.path for source in measured.sources}) == 3
    assert len({source.adversarial.digest for source in measured.sources}) == 1


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_measures_and_has_artefacts_of_its_own(
    study: Any, undisturbed: Any, tmp_path: Path, precision: str
) -> None:
    prepared = study.measurement(tmp_path, size=24)
    exact = prepared.run(study.models([NAME])).sources[0]
    before = study.chunks(tmp_path)
    prepared = replace(prepared, hardware=replace(prepared.hardware, precision=precision))
    other = prepared.run(study.models([NAME])).sources[0]
    difference = other.adversarial.read_all().astype(int) - other.view.pixels.gather(other.rows)
    assert np.abs(difference).max() == 16
    assert (other.clean == exact.clean).mean() > 0.9
    assert other.logits.path != exact.logits.path
    assert before.items() < study.chunks(tmp_path).items()
    assert (difference == 0).mean() < 0.5, "gradients that vanish leave pixels as they were"


def test_half_precision_rounds_neither_pixels_nor_normalisation(study: Any) -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, pixels: Tensor) -> Tensor:
            seen.append(pixels)
            return pixels.flatten(1) * self.weight

    classifier = Classifier(Watching(), size=4, mean=[0.2861], std=[0.3530], interpolation="bicubic")
    pixels = torch.rand(2, 1, 4, 4)
    exact = classifier(pixels)
    half = classifier.bfloat16()(pixels)
    assert half.dtype == torch.float32
    assert seen[1].dtype == torch.bfloat16
    torch.testing.assert_close(seen[1], ((pixels - 0.2861) / 0.3530).bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(half, exact, rtol=1e-2, atol=1e-2)


def test_the_preflight_sees_the_precision_of_the_run(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that overflows in half precision alone passes in float32 and is refused in the other."""
    load = loading.load

    class Overflowing(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, pixels: Tensor) -> Tensor:
            logits = self.inner(pixels)
            return logits / 0 if next(self.inner.parameters()).dtype == torch.bfloat16 else logits

    def overflowing(config: Any) -> Any:
        model = load(config)
        model.classifier.network = Overflowing(model.classifier.network)
        return model

    monkeypatch.setattr(loading, "load", overflowing)
    prepared = study.measurement(tmp_path, size=16, steps=1)
    prepared.run(study.models([NAME]))
    half = replace(prepared, hardware=replace(prepared.hardware, precision="bf16-true"))
    with pytest.raises(UserError, match="gives logits that are not finite"):
        half.run(study.models([NAME]))


def test_versions_are_noted_and_their_mixture_is_named(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = study.measurement(tmp_path, size=16)
    (source,) = prepared.run(study.models([NAME])).sources
    for array in (source.view.pixels, source.logits, source.adversarial):
        (noted,) = array.notes["versions"]
        assert noted == prepared.hardware.versions
        assert {"torch", "timm", "pillow", "device"} <= noted.keys()
    (tmp_path / source.adversarial.path / source.adversarial.part(0)).unlink()
    newer = prepared.hardware.versions | {"torch": "99.0"}
    monkeypatch.setattr(type(prepared.hardware), "versions", newer)
    for _ in range(2):
        warnings = study.measurement(tmp_path, size=16).run(study.models([NAME])).warnings
        (warning,) = [warning for warning in warnings if "computed with" in warning]
        assert warning.startswith(f"{NAME}: its stored adversarial were computed with torch ")
        assert "and 99.0" in warning
