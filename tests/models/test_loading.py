"""Weights are loaded from the source that the configuration names, or one line states why they cannot be."""

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sat_exp.errors import UserError
from sat_exp.models import Classifier, Configured, load
from sat_exp.models.weights import fitting, read_state

SETTINGS = """
name: small
family: small
label_space: some
classes: 5
pretrained: true
checkpoint: null
network: {_target_: torch.nn.Sequential, _args_: [
  {_target_: torch.nn.Conv2d, in_channels: 1, out_channels: 3, kernel_size: 3},
  {_target_: torch.nn.BatchNorm2d, num_features: 3},
  {_target_: torch.nn.Flatten},
  {_target_: torch.nn.Linear, in_features: 108, out_features: 5}]}
input: {size: 8, mean: [0.4], std: [0.2], interpolation: bicubic, crop: 1.0}
"""


def settings(**changes: Any) -> DictConfig:
    return OmegaConf.merge(OmegaConf.create(SETTINGS), changes)  # type: ignore[return-value]


def network(seed: int = 1) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 5))
        made[1](torch.randn(64, 3, 8, 8))
    return made


@pytest.fixture
def state() -> dict[str, Tensor]:
    return network().state_dict()


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[key], right[key]) for key in left)


def save(state: dict[str, Any], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("name", "wrapper"),
    [
        ("w.safetensors", None),
        ("w.pth", None),
        ("w.pt", None),
        ("w.bin", None),
        ("w.pth", "state_dict"),
        ("w.pt", "model"),
    ],
)
def test_a_checkpoint_is_loaded_whatever_holds_it(
    state: dict[str, Tensor], tmp_path: Path, name: str, wrapper: str | None
) -> None:
    path = save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / name)
    model = load(settings(checkpoint=str(path)))
    assert equal(model.classifier.network.state_dict(), state)
    assert not any(parameter.requires_grad for parameter in model.classifier.parameters())
    assert not any(module.training for module in model.classifier.modules())
    assert model.parameters == sum(parameter.numel() for parameter in network().parameters())


def test_half_precision_weights_become_the_networks_own_type(state: dict[str, Tensor], tmp_path: Path) -> None:
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    loaded = load(settings(checkpoint=str(save(half, tmp_path / "w.safetensors")))).classifier.network.state_dict()
    assert {name: tensor.dtype for name, tensor in loaded.items()} == {name: t.dtype for name, t in state.items()}
    assert torch.equal(loaded["0.weight"], state["0.weight"].half().float())


def test_other_names_in_the_same_order(state: dict[str, Tensor], tmp_path: Path) -> None:
    renamed = {f"layer_{9 - place}": tensor for place, tensor in enumerate(state.values())}
    path = save(renamed, tmp_path / "w.pth")
    model = load(settings(checkpoint=str(path), checkpoint_keys="in_order"))
    assert equal(model.classifier.network.state_dict(), state)
    with pytest.raises(UserError, match="9 tensors missing, 9 unknown"):
        load(settings(checkpoint=str(path)))


def test_too_few_in_order(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save(dict(list(state.items())[:-1]), tmp_path / "w.pth")
    with pytest.raises(UserError, match="has 8 tensors, the network 9: they cannot match in order"):
        load(settings(checkpoint=str(path), checkpoint_keys="in_order"))


def drop(state: dict[str, Tensor]) -> None:
    del state["3.bias"]


def add(state: dict[str, Tensor]) -> None:
    state["4.bias"] = torch.zeros(5)


def reshape(state: dict[str, Tensor]) -> None:
    state["3.weight"] = state["3.weight"].T.contiguous()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (drop, r"1 tensors missing, 0 unknown, 0 of another shape \(first: 3.bias is missing\)"),
        (add, r"0 tensors missing, 1 unknown, 0 of another shape \(first: 4.bias is unknown\)"),
        (reshape, r"0 tensors missing, 0 unknown, 1 of another shape \(first: 3.weight is \(108, 5\) not \(5, 108\)\)"),
    ],
)
def test_weights_that_do_not_fit(
    state: dict[str, Tensor], tmp_path: Path, change: Callable[[dict[str, Tensor]], None], line: str
) -> None:
    change(state)
    untouched = network(seed=2)
    before = copy.deepcopy(untouched.state_dict())
    with pytest.raises(UserError, match=line) as error:
        fitting(untouched.state_dict(), save(state, tmp_path / "w.safetensors"))
    assert "\n" not in str(error.value)
    assert equal(untouched.state_dict(), before)


def test_no_file() -> None:
    with pytest.raises(UserError, match=r"no weights at /nowhere/w.pth: give model.checkpoint=PATH"):
        load(settings(checkpoint="/nowhere/w.pth"))


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["w.pth", "w.pkl"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    path, made = tmp_path / name, tmp_path / "made"
    if name == "w.pth":
        torch.save({"weight": torch.zeros(2), "x": Payload(made)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(made)))
    with pytest.raises(UserError, match="is not a readable weights file"):
        load(settings(checkpoint=str(path)))
    assert not made.exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("size", [0, 10, 500])
def test_a_damaged_file(state: dict[str, Tensor], tmp_path: Path, name: str, size: int) -> None:
    path = save(state, tmp_path / name)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="is not a readable weights file") as error:
        read_state(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("contents", [[torch.zeros(2)], torch.zeros(2), {"weight": 1}, {"state_dict": {"a": [1]}}])
def test_a_file_of_something_else_than_named_tensors(tmp_path: Path, contents: Any) -> None:
    torch.save(contents, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth"):
        load(settings(checkpoint=str(tmp_path / "w.pth")))


HUB = {"network": {"_target_": "timm.create_model", "model_name": "resnet18.a1_in1k"}}


def hub_settings(**changes: Any) -> DictConfig:
    base = settings(**changes)
    base.network = OmegaConf.create(HUB["network"])
    return base


def test_weights_of_the_hub_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto huggingface.co")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", offline)
    with pytest.raises(UserError) as error:
        load(hub_settings())
    for part in ("resnet18.a1_in1k", "no route to huggingface.co", "model.checkpoint=PATH", "experiment=quickstart"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_network_without_published_weights_is_never_random() -> None:
    with pytest.raises(UserError, match=r"has no published weights.*model.pretrained=false"):
        load(settings())


def test_random_weights_are_those_of_the_seed() -> None:
    first, second = load(settings(pretrained=False)), load(settings(pretrained=False))
    other = load(settings(pretrained=False, training={"seed": 3}))
    assert not first.pretrained
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_random_weights_although_a_checkpoint_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save(state, tmp_path / "w.pth")
    model = load(settings(pretrained=False, checkpoint=str(path)))
    assert not equal(model.classifier.network.state_dict(), state)


def test_a_network_that_cannot_be_built() -> None:
    with pytest.raises(UserError, match=r"model small: the network could not be built: .*Unknown model"):
        load(
            OmegaConf.merge(
                settings(pretrained=False), {"network": {"_target_": "timm.create_model", "_args_": ["resnt18"]}}
            )
        )  # type: ignore[arg-type]


def test_multiply_adds_of_convolutions_and_matrix_products() -> None:
    assert Configured(settings()).flops() == 6 * 6 * 3 * 9 + 108 * 5


def test_the_fingerprint_follows_function_not_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = str(save(state, tmp_path / "w.safetensors"))
    same = load(settings(checkpoint=path)).fingerprint
    assert load(settings(checkpoint=path, name="other", family="other")).fingerprint == same
    elsewhere = str(save({"state_dict": state}, tmp_path / "copy.pth"))
    assert load(settings(checkpoint=elsewhere)).fingerprint == same
    changed = dict(state)
    changed["3.bias"] = changed["3.bias"] + torch.tensor([0, 0, 0, 0, 1e-6])
    others = [load(settings(checkpoint=str(save(changed, tmp_path / "changed.safetensors")))).fingerprint]
    for key, value in (("mean", [0.41]), ("std", [0.21]), ("interpolation", "bilinear"), ("size", 8)):
        others.append(load(settings(checkpoint=path, input={key: value})).fingerprint)
    assert others.pop() == same
    assert len({same, *others}) == 5


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_a_classifier_resizes_then_normalises(mode: str) -> None:
    """The network sees (pixels − mean) / std of a constant image, whatever its size: resizing keeps constants."""
    classifier = Classifier(nn.Identity(), size=6, mean=[0.5, 0.2, 0.1], std=[0.5, 0.1, 0.25], interpolation=mode)
    pixels = torch.tensor([0.25, 0.5, 1.0]).view(1, 3, 1, 1).expand(2, 3, 9, 9)
    expected = torch.tensor([-0.5, 3.0, 3.6]).view(1, 3, 1, 1).expand(2, 3, 6, 6)
    torch.testing.assert_close(classifier(pixels), expected)


def test_an_image_of_the_networks_size_is_not_touched() -> None:
    classifier = Classifier(nn.Identity(), size=7, mean=[0.0] * 3, std=[1.0] * 3, interpolation="bicubic")
    pixels = torch.rand(2, 3, 7, 7)
    assert torch.equal(classifier(pixels), pixels)


def test_halving_averages_with_bilinear_weights() -> None:
    """A ramp stays a ramp: each pixel of an antialiased half lies between the two it is made of, away from the edge."""
    classifier = Classifier(nn.Identity(), size=8, mean=[0.0], std=[1.0], interpolation="bilinear")
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    np.testing.assert_allclose(classifier(ramp)[0, 0, 4, 1:-1], np.arange(0.5, 16, 2)[1:-1], atol=1e-5)


@pytest.mark.parametrize("size", [5, 8, 11])
def test_the_gradient_passes_through_the_resize(size: int) -> None:
    """Against finite differences, in double precision."""
    made = network().double().eval()
    classifier = Classifier(made, size=8, mean=[0.4], std=[0.2], interpolation="bicubic").double().freeze()
    pixels = torch.rand(1, 1, size, size, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: F.cross_entropy(classifier(x), torch.tensor([2])), pixels)


def test_normalisation_is_timms_own() -> None:
    """The same logits as timm's network on timm's own preprocessing of a tensor."""
    import timm  # after sat_exp, which makes torchvision fit for import

    made = timm.create_model("resnet18", pretrained=False).eval()
    facts = made.pretrained_cfg
    classifier = Classifier(made, size=64, mean=facts["mean"], std=facts["std"], interpolation="bicubic").freeze()
    pixels = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(facts[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(classifier(pixels), made((pixels - mean) / std))
