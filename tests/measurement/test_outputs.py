"""Features, gradients and predictions on planes: what is stored is what the model gives, once, for any batch size."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sat_exp.modules.reading import MARGIN, Planes
from sat_exp.similarity.measures import Outputs

WANTED = frozenset({Outputs("features"), Outputs("gradients", 10), Outputs("boundaries", 4, 5)})
NAMES = ("fashion_resnet", "fashion_vit")


def measured(study, folder, names=NAMES, **choices):
    made = study.measurement(folder, steps=1, **choices)
    made.outputs = WANTED
    return made.run(study.models(names)), made


@pytest.fixture(scope="module")
def first(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    return (*measured(study, folder), folder)


def read(found, name, kind):
    (wanted,) = (each for each in WANTED if each.kind == kind)
    return found.outputs[name, wanted]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_what_the_network_gives(study, first, name):
    found, made, _ = first
    subject = next(model for model in found.models if model.name == name)
    classifier = study.model(name).load().classifier
    pixels = torch.from_numpy(subject.view.pixels.read_all()).float() / 255
    with torch.no_grad():
        features = read(found, name, "features").read_all()
        logits = classifier.network.get_classifier()(torch.from_numpy(features))
    assert torch.allclose(logits, torch.from_numpy(subject.logits.read_all()), atol=1e-4)

    array = read(found, name, "gradients")
    rows = array.facts["rows"]
    assert rows == sorted(np.argsort(made.stages.seeds)[:10].tolist())
    leaf = pixels[rows].requires_grad_()
    F.cross_entropy(classifier(leaf), torch.from_numpy(subject.clean[rows])).backward()
    cosines = F.cosine_similarity(leaf.grad.flatten(1), torch.from_numpy(array.read_all()).float().flatten(1))
    assert cosines.min() > 0.999
    assert np.abs(array.read_all()).max(axis=(1, 2, 3)) == pytest.approx(1)

    planes = read(found, name, "boundaries")
    assert planes.shape == (4 * 25,)
    images = Planes(subject.view.pixels, np.array(planes.facts["triples"]), 5).gather(np.arange(25))
    with torch.no_grad():
        classes = classifier(torch.from_numpy(images) / 255).argmax(dim=1)
    assert np.mean(planes.read_all()[:25] == classes.numpy()) >= 0.96, "a point on a boundary may round differently"


def test_another_batch_size_and_a_second_run_give_the_same_and_compute_nothing_again(study, first, tmp_path):
    found, _, folder = first
    before = study.chunks(folder)
    measured(study, folder)
    assert study.chunks(folder) == before
    other, _ = measured(study, tmp_path, ("fashion_vit",), batch_size=3)
    for kind, tolerance in (("features", 1e-4), ("gradients", 2e-3)):
        pair = [read(each, "fashion_vit", kind).read_all().astype(np.float32) for each in (found, other)]
        assert np.allclose(*pair, atol=tolerance)
        assert read(found, "fashion_vit", kind).key == read(other, "fashion_vit", kind).key


def test_another_seed_draws_other_images_and_features_are_shared(study, first):
    found, _, folder = first
    other, _ = measured(study, folder, ("fashion_vit",), seed=1)
    kinds = ("features", "gradients", "boundaries")
    keys = [[read(each, "fashion_vit", kind).key for kind in kinds] for each in (found, other)]
    assert [one == new for one, new in zip(*keys, strict=True)] == [True, False, False]


class Pixels:
    def __init__(self, images):
        self.images = images

    def gather(self, rows):
        assert (np.diff(rows) > 0).all()
        return self.images[rows]


def test_a_grid_reaches_beyond_the_three_images_of_its_plane():
    images = np.zeros((4, 1, 2, 2), np.uint8)
    images[1, 0, 0, 0], images[2, 0] = 100, [[40, 200], [0, 0]]
    points = partial(Planes, Pixels(images))(np.array([[0, 1, 2]]), 13).gather(np.arange(169)).reshape(169, 4)
    assert points[:, 0].min() == pytest.approx(-100 * MARGIN)
    assert points[:, 0].max() == pytest.approx(100 * (1 + MARGIN))
    assert (points[:, 1].min(), points[:, 1].max()) == pytest.approx((-200 * MARGIN, 200 * (1 + MARGIN)))
    assert not points[:, 2:].any()
    corner = Planes(Pixels(images), np.array([[3, 3, 3]]), 3).gather(np.arange(9))
    assert not corner.any(), "three equal images have a plane of one point"
