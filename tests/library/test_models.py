"""Networks of timm, torchvision and transformers are measured with the preprocessing that their library states."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import sat_exp
from sat_exp.library.preprocessing import converted
from sat_exp.library.wrapping import candidates
from sat_exp.models import Preprocessing

transformers = pytest.importorskip("transformers")

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def seeded(build: Any, *arguments: Any, **settings: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(*arguments, **settings)


def tiny_timm() -> nn.Module:
    return seeded(timm.create_model, "resnet10t", num_classes=5)


def tiny_torchvision() -> nn.Module:
    return seeded(torchvision.models.squeezenet1_1, weights=None, num_classes=5)


def tiny_transformers() -> Any:
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        num_labels=5,
    )
    return seeded(transformers.ViTForImageClassification, config).eval()


def processor(**settings: Any) -> Any:
    stated = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return transformers.ViTImageProcessor(**(stated | settings))


def images(side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (4, 3, side, side), generator=generator, dtype=torch.uint8)


def models() -> dict[str, Any]:
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    return {
        "timm": sat_exp.Model(tiny_timm(), pretrained=False),
        "torchvision": sat_exp.Model(tiny_torchvision(), weights, pretrained=False),
        "transformers": sat_exp.Model(tiny_transformers(), processor(), pretrained=False),
    }


def test_three_libraries_in_one_measurement(tmp_path: Path) -> None:
    attack = sat_exp.PGD(epsilon=8, steps=1)
    result = sat_exp.measure(models(), images(), attack=attack, compare="own", store=tmp_path, threads=1)
    assert list(result.sat) == ["timm", "torchvision", "transformers"]
    assert result.failures == {}
    assert result.sat.notna().all(axis=None)


def test_logits_are_those_of_the_library(tmp_path: Path) -> None:
    """Resized to the input size, normalised as the library does, in evaluation mode."""
    pixels = images().float() / 255
    for candidate in candidates(models(), None):
        classifier = candidate.load().classifier
        own = candidate.preprocessing
        resized = pixels if own.size == 32 else F.interpolate(pixels, own.size, mode=own.interpolation, antialias=True)
        normalised = torchvision.transforms.functional.normalize(resized, own.mean, own.std)
        with torch.no_grad():
            output = models()[candidate.name].module.eval()(normalised)
            expected = getattr(output, "logits", output)
            torch.testing.assert_close(classifier(pixels), expected)


def test_the_processor_of_transformers_and_the_classifier_give_the_same_logits() -> None:
    module, own = tiny_transformers(), processor()
    (candidate,) = candidates({"vit": sat_exp.Model(module, own)}, None)
    values = own(list(images()), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        torch.testing.assert_close(candidate.load().classifier(images().float() / 255), module(values).logits)


def test_a_pipeline_of_transformers_is_a_model() -> None:
    pipeline = transformers.pipeline("image-classification", model=tiny_transformers(), image_processor=processor())
    (candidate,) = candidates({"vit": pipeline}, None)
    assert candidate.preprocessing == Preprocessing(32, [0.5] * 3, [0.5] * 3, "bilinear", 1.0)
    assert candidate.classes == 5


def test_a_published_model_of_transformers_has_its_processor(tmp_path: Path) -> None:
    tiny_transformers().save_pretrained(tmp_path / "tiny")
    processor().save_pretrained(tmp_path / "tiny")
    module = transformers.ViTForImageClassification.from_pretrained(tmp_path / "tiny")
    (candidate,) = candidates([module], None)
    assert candidate.name == "tiny"
    assert candidate.preprocessing.mean == [0.5] * 3


def test_a_model_of_transformers_without_a_processor_is_refused() -> None:
    with pytest.raises(sat_exp.UserError, match="states no preprocessing: give"):
        candidates([tiny_transformers()], None)


def test_names_and_families_by_default() -> None:
    (candidate,) = candidates([tiny_timm()], None)
    assert (candidate.name, candidate.family) == ("resnet10t", "ResNet")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (timm.get_pretrained_cfg("resnet18.a1_in1k"), (224, MEAN, STD, "bicubic", 0.95)),
        (timm.create_model("resnet18").pretrained_cfg, (224, MEAN, STD, "bicubic", 0.95)),
        (timm.data.resolve_model_data_config(timm.create_model("resnet18")), (224, MEAN, STD, "bicubic", 0.95)),
        (torchvision.models.ResNet18_Weights.DEFAULT, (224, MEAN, STD, "bilinear", 224 / 256)),
        (torchvision.models.Swin_T_Weights.DEFAULT.transforms(), (224, MEAN, STD, "bicubic", 224 / 232)),
        (transformers.ViTImageProcessor(), (224, [0.5] * 3, [0.5] * 3, "bilinear", 1.0)),
        (transformers.ConvNextImageProcessor(), (384, [0.5] * 3, [0.5] * 3, "bicubic", 1.0)),
        (
            transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, image_mean=MEAN, image_std=STD),
            (224, MEAN, STD, "bicubic", 0.875),
        ),
        (processor(do_normalize=False), (32, [0.0] * 3, [1.0] * 3, "bilinear", 1.0)),
        (
            transformers.CLIPImageProcessor(
                size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}, image_mean=MEAN, image_std=STD
            ),
            (224, MEAN, STD, "bicubic", 0.875),
        ),
        ({"size": 8, "mean": [0.5], "std": [0.25]}, (8, [0.5], [0.25], "bicubic", 1.0)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_form_of_preprocessing(source: Any, expected: tuple[Any, ...]) -> None:
    found = converted(source)
    assert (found.size, found.interpolation) == (expected[0], expected[3])
    assert found.mean == pytest.approx(expected[1])
    assert found.std == pytest.approx(expected[2])
    assert found.crop == pytest.approx(expected[4])


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (transformers.ViTImageProcessor(size={"height": 32, "width": 48}), "makes images of 32 × 48 pixels"),
        (processor(rescale_factor=1.0), "scales pixels to another range than 0 to 1"),
        (processor(resample=1), r"input.interpolation=nearest: give one of"),
        (object(), "a object, is incomplete"),
    ],
)
def test_preprocessing_that_cannot_be_reproduced_is_refused(source: Any, line: str) -> None:
    with pytest.raises(sat_exp.UserError, match=line):
        candidates([sat_exp.Model(tiny_transformers(), source)], None)


def test_flops_of_a_module_are_counted_without_computing() -> None:
    (candidate,) = candidates([tiny_timm()], None)
    assert 0.5e9 < candidate.flops() < 2e9
