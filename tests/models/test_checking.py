"""A wrong configuration of a model is refused with one line, before weights are loaded or the network is built."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from sat_exp.errors import UserError
from sat_exp.models import check, load
from sat_exp.models.weights import BARRED
from sat_exp.names import CONF
from sat_exp.settings.targets import allowing

SETTINGS = """
name: small
family: small
label_space: some
classes: 5
pretrained: false
checkpoint: null
network: {_target_: torch.nn.Sequential, _args_: [
  {_target_: torch.nn.Conv2d, in_channels: 1, out_channels: 3, kernel_size: 3},
  {_target_: torch.nn.Flatten},
  {_target_: torch.nn.Linear, in_features: 108, out_features: 5}]}
input: {size: 8, mean: [0.4], std: [0.2], interpolation: bicubic, crop: 1.0}
"""


def settings(**changes: Any) -> DictConfig:
    config = OmegaConf.create(SETTINGS)
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value, merge=False, force_add=True)
    return config


def of_timm(name: str, **changes: Any) -> DictConfig:
    config = OmegaConf.merge(settings(), OmegaConf.load(CONF / "model/resnet18.yaml"), {"pretrained": True})
    config.network = OmegaConf.create({"_target_": "timm.create_model", "model_name": name, **changes})
    return config  # type: ignore[return-value]


def refusal(config: DictConfig) -> str:
    with pytest.raises(UserError) as caught:
        check(config)
    assert str(caught.value).isprintable()
    assert config.name in str(caught.value)
    return str(caught.value)


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("it reads weights")


@pytest.fixture
def unloaded(undownloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing downloads, and nothing reads weights."""
    for name in ("torch.load", "safetensors.torch.load_file"):
        monkeypatch.setattr(name, refuse)


@pytest.fixture
def undownloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing downloads; weights in installed packages are read."""
    monkeypatch.setattr("timm.models._builder.load_pretrained", refuse)
    for name in ("load_state_dict_from_hf", "load_state_dict_from_url", "load_custom_pretrained"):
        monkeypatch.setattr(f"timm.models._builder.{name}", refuse)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("name", ["vit_l16", "resnet18", "fashion_resnet", "swin_base", "convnext_base"])
def test_a_model_is_built_without_its_values(name: str) -> None:
    """No random number is drawn, and nothing read."""
    before = torch.get_rng_state()
    check(OmegaConf.load(CONF / "model" / f"{name}.yaml"))  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
@pytest.mark.usefixtures("undownloaded")
@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
def test_every_model_file_is_sound(name: str) -> None:
    config: Any = OmegaConf.load(CONF / "model" / f"{name}.yaml")
    if name == "timm":
        config.id = "resnet26.bt_in1k"
    check(config)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"classes": 6}, "returns logits of shape (1, 5), model.classes=6 needs (1, 6)"),
        ({"network___args_": [{"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 5, "kernel_size": 3}]},
         "returns logits of shape (1, 5, 6, 6)"),
        ({"input__mean": [0.1, 0.2, 0.3], "input__std": [1, 1, 1]}, "cannot take images [3, 8, 8]"),
        ({"input__size": 9}, "cannot take images [1, 9, 9]"),
        ({"input__mean": [0.1, 0.2]}, "input.mean has 2 numbers, input.std 1: give one per channel"),
        ({"input__mean": [], "input__std": []}, "input.mean=[]: give a list of 1 or more"),
        ({"input__std": [0]}, "input.std[0]=0: give a value above 0"),
        ({"input__std": [-0.2]}, "input.std[0]=-0.2: give a value above 0"),
        ({"input__std": [float("nan")]}, "give a finite number"),
        ({"input__mean": ["a"]}, "input.mean[0]='a': give a number"),
        ({"input__mean": [True]}, "input.mean[0]=true: give a number"),
        ({"input__size": 0}, "input.size=0: give a value of 1 or more"),
        ({"input__size": 8.0}, "give a whole number"),
        ({"input__size": 10**6}, "a value of 4,096 or less"),
        ({"input__interpolation": "bicubick"}, "input.interpolation=bicubick: give one of bicubic, bilinear"),
        ({"input__interpolation": "nearest"}, "give one of bilinear, bicubic"),
        ({"input__crop": 0}, "input.crop=0: give a value above 0"),
        ({"input__crop": 1.2}, "input.crop=1.2"),
        ({"input__crop": 1e-6}, "pixels wide; 4096 are the most: give a larger one"),
        ({"input__crop": float("nan")}, "input.crop=nan"),
        ({"input": None}, "give model.input="),
        ({"pretrained": True}, "has no published weights; give model.checkpoint=PATH"),
        ({"pretrained": True, "checkpoint": "/nowhere/w.pth"}, "no weights at /nowhere/w.pth"),
        ({"network__nonsense": 1}, "the network could not be built"),
        ({"network": {"size": 3}}, "model.network._target_= names no network"),
        ({"network": {"_target_": "torch.nn.LSTM", "input_size": 8, "hidden_size": 5}}, "small"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(changes: dict[str, Any], line: str) -> None:
    check(settings())
    with pytest.raises(UserError) as caught:
        check(settings(**changes))
    assert line in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
@pytest.mark.parametrize("reader", [None, "sat_exp.models.squeezenet.read"])
def test_a_checkpoint_that_is_no_file(tmp_path: Path, make: Any, reader: str | None) -> None:
    make(tmp_path / "w.pth")
    config = settings(pretrained=True, checkpoint=str(tmp_path / "w.pth"))
    if reader is not None:
        OmegaConf.update(config, "checkpoint_reader", reader, force_add=True)
    with pytest.raises(UserError, match="no weights at"):
        check(config)
    check(settings(checkpoint=str(tmp_path / "w.pth")))  # which is not asked for


class Looking(nn.Module):
    """Looks at values, so that it cannot be tried without."""

    def __init__(self, classes: int = 5, fails: bool = False) -> None:
        super().__init__()
        self.scale = float(torch.linspace(1, 2, 3)[2])
        self.layer, self.fails = nn.Linear(64, classes), fails

    def forward(self, pixels: Tensor) -> Tensor:
        if self.fails:
            raise RuntimeError("a layer gave way")
        return self.layer(pixels.flatten(1) * self.scale * (1 if pixels.max() > 0 else 2))


class Pair(nn.Module):
    def forward(self, pixels: Tensor) -> Any:
        return pixels[:, 0, 0, :5], pixels


class Greedy(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no memory")


@pytest.fixture
def own_networks() -> Iterator[None]:
    with allowing([__name__.split(".")[0]]):
        yield


@pytest.mark.usefixtures("own_networks")
def test_a_network_that_looks_at_values_is_tried_in_full() -> None:
    target = f"{__name__}.Looking"
    check(settings(network={"_target_": target}))
    assert "returns logits of shape (1, 6)" in refusal(settings(network={"_target_": target, "classes": 6}))
    assert "a layer gave way" in refusal(settings(network={"_target_": target, "fails": True}))


@pytest.mark.usefixtures("own_networks")
def test_networks_of_other_answers() -> None:
    assert "returns tuple, not a tensor of logits" in refusal(settings(network={"_target_": f"{__name__}.Pair"}))
    check(settings(network={"_target_": f"{__name__}.Greedy"}))  # which is for the measurement to say


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("resnt50.a1_in1k", "timm has no such model: give model.id="),
        ("resnet50.a1_in2k", "Invalid pretrained tag (a1_in2k) for resnet50; choose resnet50."),
        ("nothing like it at all", "timm has no such model"),
        ("", "timm has no such model"),
        ("botnet50ts_256", "timm publishes no weights of botnet50ts_256: give model.checkpoint=PATH"),
        ("hf-hub:timm/resnet18.a1_in1k", "is no name in timm's registry, the only one read"),
        ("hf_hub:timm/resnet18.a1_in1k", "the only one read"),
        ("local-dir:/tmp/mine", "the only one read"),
        ("HF-HUB:a/b@c", "the only one read"),
        ("timm/resnet18.a1_in1k", "the only one read"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unloaded")
def test_names_that_timm_does_not_know(name: str, line: str) -> None:
    for pretrained in (True, False):
        config = of_timm(name)
        config.pretrained = pretrained
        if "no weights" not in line or pretrained:
            assert line in refusal(config)
    config = of_timm(name)
    config.input = None
    with pytest.raises(UserError):
        load(config)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("key", BARRED)
@pytest.mark.parametrize("pretrained", [True, False])
def test_a_network_cannot_name_weights_by_itself(tmp_path: Path, key: str, pretrained: bool) -> None:
    (tmp_path / "w.pth").write_bytes(b"")
    value = {"pretrained_cfg": {"file": str(tmp_path / "w.pth")}, "pretrained": True}.get(key, str(tmp_path / "w.pth"))
    own = {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.Flatten", key: value}]}
    for config in (of_timm("resnet18.a1_in1k", **{key: value}), settings(network=own)):
        config.pretrained = pretrained
        assert f"network.{key}=" in refusal(config)
        with pytest.raises(UserError, match=rf"network\.{key}=|no published weights"):
            load(config)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "timm.create_model", "_args_": ["resnet18", True]},
        {"_target_": "torchvision.models.resnet18", "_args_": ["DEFAULT"]},
        {"_target_": "timm.models.resnet18", "_args_": [True]},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "timm.models.resnet18", "_args_": [True]}]},
    ],
)
def test_nor_by_position(network: dict[str, Any]) -> None:
    for act in (check, load):
        with pytest.raises(UserError, match=r"give .* its arguments by name"):
            act(settings(network=network))
