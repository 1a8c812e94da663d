"""Training: recipes, the images that a network is trained on, interrupted trainings; small networks, random images."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sat_exp.errors import UserError
from sat_exp.models import Classifier
from sat_exp.modules import training
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.training import FINISHING_RATE, Phase, Recipe, Training, accuracy, fit, mirrored, shifted

CLASSES = 3
CPU = Hardware("cpu", "32-true", batch_size=8, threads=1, workers=1)
SETTINGS = {
    "epochs": 3, "finishing_epochs": 0, "batch_size": 8, "seed": 0, "optimizer": "adamw", "learning_rate": 0.01,
    "weight_decay": 0.05,
}  # fmt: skip


class Died(Exception):
    """What ends a training in these tests."""


class Death(Callback):
    """Ends the training in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.current_epoch == self.epoch and index == 1:
            raise Died


class Steps(Callback):
    """The learning rate of every step, and the weights after it."""

    def __init__(self):
        self.rates, self.weights = [], []

    def on_train_batch_start(self, trainer, module, batch, index):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.weights.append({name: tensor.clone() for name, tensor in module.classifier.network.named_parameters()})


def recipe(**changes):
    return Recipe.of(SETTINGS | changes)


def classifier(*, linear=False):
    torch.manual_seed(1)
    first = [] if linear else [nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4)]
    network = nn.Sequential(*first, nn.Flatten(), nn.Linear(64 if linear else 36, CLASSES))
    return Classifier(network, size=8, mean=[0.5], std=[0.5], interpolation="bicubic")


def images(number=32):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (number, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return TensorDataset(pixels, torch.arange(number) % CLASSES)


def trained(chosen, folder, *watching, net=None, dies=None, data=None):
    """The weights after training by the recipe `chosen`; `dies`: the phase and the epoch in which it does."""
    net = net or classifier()
    torch.manual_seed(chosen.seed)
    training.np.random.seed(chosen.seed)
    batches = DataLoader(data or images(), chosen.batch_size, shuffle=True, drop_last=True)

    def watch(phase):
        return [*watching, *([Death(dies[1])] if dies is not None and dies[0] == phase.name else [])]

    fit(lambda phase: Training(net, CLASSES, chosen, phase), chosen, batches, CPU, folder, watch)
    return net.network.state_dict()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mixup": 0.4, "cutmix": 0.5, "label_smoothing": 0.1},
        {"average": 0.9},
        {"schedule": "cosine", "warmup_epochs": 1, "accumulate": 2, "clip": 1.0},
    ],
    ids=["plain", "mixed", "averaged", "cosine"],
)
@pytest.mark.parametrize("dies", [("main", 2), ("finish", 0)])
def test_a_training_that_died_ends_as_if_it_had_not(tmp_path, changes, dies):
    chosen = recipe(finishing_epochs=1, **changes)
    whole = trained(chosen, tmp_path / "whole")
    with pytest.raises(Died):
        trained(chosen, tmp_path / "died", dies=dies)
    continued = trained(chosen, tmp_path / "died")
    for name, tensor in whole.items():
        assert torch.equal(tensor, continued[name]), name


def test_what_is_kept_is_the_moving_average(tmp_path):
    steps = Steps()
    found = trained(recipe(average=0.8), tmp_path, steps)
    expected = steps.weights[0]
    for weights in steps.weights[1:]:
        expected = {name: 0.8 * expected[name] + 0.2 * tensor for name, tensor in weights.items()}
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)
    assert not torch.equal(found["3.weight"], steps.weights[-1]["3.weight"])


def test_timms_schedule_follows_the_steps(tmp_path):
    steps = Steps()
    trained(recipe(schedule="cosine", epochs=4, warmup_epochs=1), tmp_path, steps)
    number, warm = 16, 4
    rising = [1e-5 + step * (0.01 - 1e-5) / warm for step in range(warm)]
    falling = [0.005 * (1 + math.cos(math.pi * step / number)) for step in range(warm, number)]
    assert steps.rates == pytest.approx(rising + falling)


def test_the_finishing_rate_is_a_share_of_the_main_one(tmp_path):
    main, both = Steps(), Steps()
    trained(recipe(), tmp_path / "main", main)
    trained(recipe(finishing_epochs=1), tmp_path / "both", both)
    assert both.rates[: len(main.rates)] == main.rates
    assert max(both.rates[len(main.rates) :]) == pytest.approx(FINISHING_RATE * max(main.rates), rel=0.1)


def test_batches_accumulated_are_one_batch(tmp_path):
    plain = {"mirror": False, "shift": 0, "epochs": 1, "optimizer": "sgd"}
    whole = trained(recipe(batch_size=32, **plain), tmp_path / "whole", net=classifier(linear=True))
    parts = recipe(batch_size=8, accumulate=4, **plain)
    accumulated = trained(parts, tmp_path / "parts", net=classifier(linear=True))
    torch.testing.assert_close(accumulated, whole)


def test_two_devices_share_a_batch(tmp_path):
    plain = {"mirror": False, "shift": 0, "epochs": 1, "optimizer": "sgd"}
    whole = trained(recipe(batch_size=32, **plain), tmp_path / "whole", net=classifier(linear=True))
    shared = trained(recipe(batch_size=16, devices=2, **plain), tmp_path / "shared", net=classifier(linear=True))
    torch.testing.assert_close(shared, whole)


def test_finishing_epochs_see_the_plain_images():
    pixels, labels = images().tensors
    seen = []
    module = Training(classifier(), CLASSES, recipe(), Phase("finish", 1, 0.1, augmented=False))
    module.loss = lambda shown, targets, flipped: seen.append((shown, flipped)) or torch.zeros(())
    module.log = lambda *given, **options: None
    module.training_step((pixels, labels), 0)
    assert torch.equal(seen[0][0], pixels.float() / 255)
    assert not seen[0][1].any()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3), st.integers(0, 1000))
def test_shifted_images_are_crops_of_the_padded_ones(most, seed):
    torch.manual_seed(seed)
    pixels = images(6).tensors[0]
    padded = nn.functional.pad(pixels, (most,) * 4)
    for found, whole in zip(shifted(pixels, most), padded, strict=True):
        crops = whole.unfold(1, 8, 1).unfold(2, 8, 1).reshape(-1, 8, 8)
        assert (crops == found[0]).all(dim=(1, 2)).any()


def test_all_shifts_happen_and_are_as_frequent():
    torch.manual_seed(0)
    dot = torch.zeros(9000, 1, 5, 5)
    dot[:, :, 2, 2] = 1
    counts = shifted(dot, 1).sum(dim=0)[0]
    assert (counts[1:4, 1:4] > 800).all()
    assert counts.sum() == 9000


def test_only_the_chosen_are_mirrored():
    pixels = images(3).tensors[0]
    found = mirrored(pixels, torch.tensor([True, False, True]))
    assert torch.equal(found, torch.stack([pixels[0].flip(-1), pixels[1], pixels[2].flip(-1)]))


def test_mixed_labels_are_the_shares_of_the_mixed_images(monkeypatch):
    """timm puts an image and its mirror place in the batch together; a constant image shows its share."""
    module = Training(classifier(), CLASSES, recipe(mixup=1.0, mirror=False, shift=0), Phase("main", 1, 0.1, True))
    module.log = lambda *given, **options: None
    seen = []
    module.loss = lambda shown, targets, flipped: seen.append((shown, targets)) or torch.zeros(())
    pixels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    pixels[0] = 255
    module.training_step((pixels, torch.tensor([0, 1])), 0)
    shown, targets = seen[0]
    torch.testing.assert_close(targets[:, 0], shown[:, 0, 0, 0])
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(2))
    assert module.by_labels(torch.zeros(2, CLASSES), targets) == pytest.approx(math.log(CLASSES))


def test_accuracy_is_the_share_of_right_answers():
    batches = DataLoader(images(), 8)
    net = classifier().freeze()
    pixels, labels = images().tensors
    expected = (net(pixels.float() / 255).argmax(dim=1) == labels).float().mean()
    assert accuracy(net, CLASSES, batches, CPU) == pytest.approx(float(expected))


def test_a_record_tells_only_what_differs_from_the_defaults():
    assert recipe().facts() == SETTINGS
    assert recipe(shift=2, mixup=0.2).facts() == SETTINGS | {"mixup": 0.2}


def test_views_are_those_that_mirroring_gives():
    assert recipe(shift=0).views == 2
    assert recipe(shift=0, mirror=False).views == 1
    for change in ({"shift": 1}, {"mixup": 0.1}, {"cutmix": 0.1}, {"transform": {"hflip": 0.5}}):
        assert recipe(**({"shift": 0} | change)).views is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs=0: give a value of 1 or more"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"learning_rate": -1}, "learning_rate=-1: give a value above 0"),
        ({"mixup": 0.1, "batch_size": 7}, "batch_size=7: mixing takes images in pairs"),
        ({"average": 1}, "average=1: give a value below 1"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0: give a value below 1"),
        ({"clip": 0}, "clip=0: give a value above 0, or null"),
        ({"clip": float("inf")}, "clip=inf: give a finite number"),
        ({"learning_rate": "0.1"}, "learning_rate='0.1': give a number"),
        ({"mirror": 1}, "mirror=1: give true or false"),
        ({"devices": 0}, "devices=0: give a value of 1 or more"),
        ({"shift": 10**6}, "shift=1000000: give a value of"),
        ({"transform": "flip"}, "transform='flip': give settings"),
        ({"seed": 2**32}, "seed=4294967296: give a value below"),
        ({"epochs": True}, "epochs=true: give a whole number"),
        ({"optimizer": "adamww"}, "optimizer=adamww: give one of timm's, such as adamw"),
        ({"schedule": "cosin"}, "schedule=cosin: give one of cosine"),
        ({"epoch": 3}, "there is no setting epoch; near it: epochs"),
    ],
)
def test_bad_recipes(changes, message):
    with pytest.raises(UserError, match=message):
        recipe(**changes)
