"""Derived networks: pruning, quantisation, interpolation and new heads against their definitions, and in training."""

import math

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sat_exp.errors import UserError
from sat_exp.models import Classifier
from sat_exp.modules import derivation
from sat_exp.modules.derivation import Finish, HeadTraining, Masking, Way
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.training import Training, compact, fit
from sat_exp.names import CONF

CLASSES = 3
CPU = Hardware("cpu", "32-true", batch_size=8, threads=1, workers=1)
SETTINGS = {
    "epochs": 2, "finishing_epochs": 0, "batch_size": 8, "seed": 0, "optimizer": "adamw", "learning_rate": 0.01,
    "weight_decay": 0.05,
}  # fmt: skip
UNTRAINED = {"epochs": 0}


def way(**changes):
    return Way.of(SETTINGS | changes)


class Net(nn.Module):
    """A convolution, a normalisation with statistics, a token, and a head that timm's convention names."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.token = nn.Parameter(torch.full((1, 36), 1e-9))
        self.head = nn.Linear(36, CLASSES)

    def get_classifier(self):
        return self.head

    def forward(self, images):
        return self.head(self.body(images) + self.token)


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


def copied(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def trained(network, own, folder, kind=Training, callbacks=()):
    """The state of a network after a training by `kind`."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8, generator=generator)
    batches = DataLoader(TensorDataset(pixels, torch.arange(24) % CLASSES), own.batch_size)
    classifier = Classifier(network, size=8, mean=[0.5], std=[0.5], interpolation="bicubic")
    fit(lambda phase: kind(classifier, CLASSES, own, phase), own, batches, CPU, folder, lambda phase: list(callbacks))
    return copied(network)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.floats(0.01, 0.99))
def test_the_smallest_weights_of_each_layer_are_pruned(seed, share):
    network = net(seed)
    before = copied(network)
    masks = derivation.prune_smallest(network, share)
    after = network.state_dict()
    assert masks.keys() == {"body.0.weight", "head.weight"}
    assert before.keys() == after.keys()
    removed = 0
    for name, tensor in before.items():
        if name not in masks:
            assert torch.equal(after[name], tensor)
            continue
        kept, magnitudes = masks[name].numpy(), tensor.abs().numpy()
        assert (~kept).sum() == round(share * kept.size)
        assert magnitudes[~kept].max(initial=0) <= magnitudes[kept].min(initial=np.inf)
        np.testing.assert_array_equal(after[name], np.where(kept, tensor, 0))
        removed += (~kept).sum()
    assert derivation.zero_share(after) == pytest.approx(removed / (36 + 108))
    assert [layer for layer in network.modules() if layer._forward_pre_hooks] == []


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lamb"])
@pytest.mark.parametrize("average", [None, 0.5])
def test_pruned_weights_stay_zero_in_training_and_the_others_learn(tmp_path, optimizer, average):
    network, own = net(), way(prune=0.6, optimizer=optimizer, average=average)
    masks = derivation.prune_smallest(network, own.prune)
    before = copied(network)
    state = Finish(own, {}, masks)(trained(network, own, tmp_path, callbacks=[Masking(masks)]))
    for name, mask in masks.items():
        assert (state[name][~mask] == 0).all()
        assert (state[name][mask] != before[name][mask]).float().mean() > 0.9
    assert derivation.zero_share({name: compact(tensor) for name, tensor in state.items()}) == pytest.approx(
        0.6, abs=0.01
    )


def test_without_the_callback_pruned_weights_come_back(tmp_path):
    network, own = net(), way(prune=0.6)
    derivation.prune_smallest(network, own.prune)
    assert derivation.zero_share(trained(network, own, tmp_path)) < 0.1


channels = st.integers(0, 1000).map(lambda seed: torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(seed)))


@settings(deadline=None, max_examples=60)
@given(channels, st.integers(2, 8), st.floats(1e-3, 1e3))
def test_each_channel_has_few_values_on_a_grid_and_is_close(weight, bits, size):
    weight = weight * size
    found, most = derivation.quantised(weight, bits), 2 ** (bits - 1) - 1
    for own, rounded in zip(weight, found, strict=True):
        step = float(own.abs().max()) / most
        assert len(rounded.unique()) <= 2**bits - 1
        assert len(compact(rounded).unique()) <= 2**bits - 1
        levels = rounded.double() / step
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
        assert (rounded - own).abs().max() <= 0.501 * step
        assert float(rounded.abs().max()) == pytest.approx(float(own.abs().max()), rel=1e-5)
    torch.testing.assert_close(derivation.quantised(-weight, bits), -found, rtol=0, atol=0)
    torch.testing.assert_close(derivation.quantised(found, bits), found, rtol=1e-5, atol=0)


def test_a_channel_of_zeros_stays_so_and_biases_are_not_rounded():
    assert derivation.quantised(torch.zeros(2, 3), 8).eq(0).all()
    network = net()
    before = copied(network)
    state = Finish(way(bits=2, **UNTRAINED), {}, {})(before)
    changed = {name for name in before if not torch.equal(before[name], state[name])}
    assert changed == {"body.0.weight", "head.weight"}


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1))
def test_interpolation_is_linear_in_floats_and_keeps_counters(share):
    parent = {"a": torch.tensor([[1.0, -2.0]]), "steps": torch.tensor(3)}
    tuned = {"a": torch.tensor([[5.0, 2.0]]), "steps": torch.tensor(9)}
    found = Finish(way(interpolate=share), parent, {})(tuned)
    torch.testing.assert_close(found["a"], torch.tensor([[1 + 4 * share, -2 + 4 * share]]))
    assert found["steps"] == 9


def test_weights_are_interpolated_before_they_are_rounded():
    parent, tuned = ({"weight": torch.tensor([[1.0, value]])} for value in (0.0, 0.5))
    found = Finish(way(interpolate=0.5, bits=2), parent, {})(tuned)
    assert found["weight"].tolist() == [[1.0, 0.0]]  # (1, 0.25) in steps of 1; the other order gives 0.5


def test_a_new_head_is_drawn_by_its_seed_alone_and_nothing_else_changes():
    first, second, other = net(), net(), net()
    before, state = copied(first), torch.get_rng_state()
    derivation.renew_head(first, 5)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    derivation.renew_head(second, 5)
    derivation.renew_head(other, 6)
    changed = {name for name, tensor in first.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"head.weight", "head.bias"}
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_only_a_new_head_learns_and_statistics_stay(tmp_path):
    network = net()
    before = copied(network)
    after = trained(network, way(new_head=True), tmp_path, HeadTraining)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    "name",
    [
        "resnet18", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vgg11", "convnext_atto",
        "mobilenetv3_small_050", "swin_tiny_patch4_window7_224",
    ],
)  # fmt: skip
def test_the_heads_of_timms_networks_are_the_layers_of_the_classes(name):
    with torch.device("meta"):
        network = timm.create_model(name, num_classes=CLASSES)
    parts = derivation.heads(network)
    assert [part.out_features for part in parts] == [CLASSES] * (2 if "distilled" in name else 1)


def test_networks_without_a_head_or_weights_are_refused():
    for network in (nn.Linear(2, 3), timm.create_model("resnet18", num_classes=0)):
        with pytest.raises(UserError, match="names no head"):
            derivation.renew_head(network, 0)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def get_classifier(self):
            return self

    with pytest.raises(UserError, match="the head has a Own, which cannot be reset"):
        derivation.renew_head(Own(), 0)
    with pytest.raises(UserError, match="no weights of two dimensions"):
        derivation.prune_smallest(Own(), 0.5)


REFUSED = {
    "nothing": (UNTRAINED, "epochs=0 changes nothing"),
    "pruning nothing": (UNTRAINED | {"prune": 0.0}, "epochs=0 changes nothing"),
    "mixing with itself": (UNTRAINED | {"interpolate": 0.5}, "epochs=0 changes nothing"),
    "an untrained student": (UNTRAINED | {"student": True, "bits": 8}, "give 1 or more"),
    "an untrained head": (UNTRAINED | {"new_head": True}, "give 1 or more"),
    "a pruned student": ({"student": True, "prune": 0.5}, "prune=0.5: a student"),
    "a student with a new head": ({"student": True, "new_head": True}, "new_head=True: a student"),
    "a student mixed with its parent": ({"student": True, "interpolate": 0.0}, "interpolate=0.0: a student"),
    "pruned and mixed": ({"prune": 0.5, "interpolate": 0.5}, "leave out one of the two"),
    "one bit": ({"bits": 1}, "bits=1: give a value of 2 or more"),
    "nine bits": ({"bits": 9}, "bits=9: give a value of 8 or less"),
    "all weights": ({"prune": 1.0}, "prune=1.0: give a value below 1"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_contradict_each_other_or_change_nothing_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        way(**changes)


def test_the_record_has_what_differs_from_the_defaults():
    assert way(bits=8, weight=0.3).facts() == SETTINGS | {"bits": 8}
    assert way(student=True, weight=0.3).facts() == SETTINGS | {"student": True, "weight": 0.3}
    assert way(**UNTRAINED, finishing_epochs=1).facts() == SETTINGS | UNTRAINED | {"finishing_epochs": 1}


def test_the_default_ways_and_the_defaults_of_the_file_are_those_of_the_class():
    task = OmegaConf.to_container(OmegaConf.load(CONF / "task/derive.yaml"), resolve=False)
    own = {name: value for name, value in task.items() if name in Way.__dataclass_fields__}
    assert own.keys() == Way.__dataclass_fields__.keys()
    assert Way.of(own).facts().keys() == SETTINGS.keys()
    found = {name: Way.of(own | changes) for name, changes in task["ways"].items()}
    assert len({str(one.facts()) for one in found.values()}) == len(found) == 8
    assert not math.isclose(found["fine_tuned"].shift, Way.of(own).shift)
