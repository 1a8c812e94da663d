"""The networks that are part of the package."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from sat_exp import models
from sat_exp.datasets import FashionMNIST
from sat_exp.modules import records
from sat_exp.names import CONF
from sat_exp.testing import check_model

NAMES = list(OmegaConf.load(CONF / "pool/bundled.yaml").models)
FOLDER = Path(models.__file__).parent / "bundled"


@pytest.fixture(scope="module")
def images():
    return FashionMNIST(root=None, size=300, seed=1).images


@pytest.fixture(scope="module")
def pixels(images):
    return torch.stack([torch.from_numpy(images.read(index)) for index in range(len(images))]).float() / 255


@pytest.mark.parametrize("name", NAMES)
def test_is_as_accurate_as_its_record_says(name, images, pixels):
    config = OmegaConf.load(CONF / f"model/{name}.yaml")
    model = models.load(config)
    check_model(model.classifier, images.shape, len(images.class_names))
    record = records.read_record(FOLDER / f"{name}.json")
    assert record[records.WEIGHTS] == records.digest(FOLDER / f"{name}.safetensors")
    with torch.no_grad():
        accuracy = (model.classifier(pixels).argmax(1).numpy() == images.labels).mean()
    expected = record["test_accuracy"]
    assert expected > 0.85
    assert abs(accuracy - expected) < 4 * (expected * (1 - expected) / len(images)) ** 0.5
    assert model.parameters == record["parameters"]


def test_the_pool_is_every_network_in_the_folder_and_small():
    files = list(FOLDER.glob("*.safetensors"))
    assert {file.stem for file in files} == set(NAMES)
    assert sum(file.stat().st_size for file in files) < 12e6


def test_variants_differ_only_in_how_they_were_trained():
    one, other = (OmegaConf.load(CONF / f"model/fashion_resnet{kind}.yaml") for kind in ("", "_seed1"))
    assert one.network == other.network
    assert models.load(one).fingerprint != models.load(other).fingerprint
