"""Targeted PGD against closed forms and another library."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import Tensor

from sat_exp.attacks import PGD, Threat
from sat_exp.attacks.targeted_pgd import TargetedPGD
from sat_exp.errors import UserError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    foolbox = pytest.importorskip("foolbox")


def seeds(*indices: int) -> Tensor:
    return torch.tensor(indices)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), epsilon=st.integers(0, 60), steps=st.integers(1, 4), start=st.booleans())
def test_with_two_classes_towards_one_is_away_from_the_other(seed, epsilon, steps, start):
    rng = np.random.default_rng(seed)
    weights = torch.from_numpy(rng.choice([-0.03, -0.01, 0.01, 0.03], size=(12, 1)).astype(np.float32))
    images = torch.from_numpy(rng.integers(0, 256, (4, 3, 2, 2), np.uint8))
    labels = torch.from_numpy(rng.integers(0, 2, 4))

    def model(pixels):
        return pixels.flatten(1) @ torch.cat([-weights, weights], dim=1)

    towards, away = TargetedPGD(epsilon, 2, steps, start), PGD(epsilon, 2, steps, start)
    found = towards(model, images, 1 - labels, seeds(*range(4)))
    assert torch.equal(found, away(model, images, labels, seeds(*range(4))))
    assert towards.threat.allows(images.numpy(), found.numpy()).all()


def test_the_goal_class_is_reached_more_often_than_by_an_untargeted_attack(digits):
    images, goals = digits.images[:200], (digits.labels[:200] + 3) % 10
    reached = {}
    for name, attack, labels in (
        ("targeted", TargetedPGD(80, 4, 30), goals),
        ("untargeted", PGD(80, 4, 30), digits.labels[:200]),
    ):
        found = attack(digits.classifier, images, labels, seeds(*range(200)))
        reached[name] = (digits.classifier(found / 255).argmax(1) == goals).float().mean()
    assert reached["targeted"] > 0.8
    assert reached["untargeted"] < 0.3


@pytest.mark.parametrize(("epsilon", "step_size", "steps"), [(8, 8, 1), (16, 2, 20), (64, 4, 20)])
def test_another_library_gives_the_same_images(digits, epsilon, step_size, steps):
    goals = (digits.labels + 1) % 10
    ours = TargetedPGD(epsilon, step_size, steps, random_start=False)(digits.classifier, digits.images, goals, [])
    theirs = foolbox.attacks.LinfPGD(abs_stepsize=step_size / 255, steps=steps, random_start=False)
    model = foolbox.PyTorchModel(digits.classifier, bounds=(0, 1), device="cpu")
    found = theirs.run(
        model, digits.images / 255, foolbox.criteria.TargetedMisclassification(goals), epsilon=epsilon / 255
    )
    assert (ours != (found * 255).round()).float().mean() <= 1e-3


def test_the_file_states_the_defaults(repository):
    stated = OmegaConf.to_container(OmegaConf.load(repository / "conf/attack/targeted_pgd.yaml"))
    assert stated.pop("_target_") == "sat_exp.attacks.targeted_pgd.TargetedPGD"
    assert TargetedPGD(**stated) == TargetedPGD(epsilon=8)
    assert TargetedPGD(**stated).threat == Threat("linf", 8, "random")


def test_another_goal_is_refused():
    with pytest.raises(UserError, match=r"attack\.goal=untargeted"):
        TargetedPGD(8, goal="untargeted")
