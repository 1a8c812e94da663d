"""The adapter to other libraries: equal to their own results, reproducible, within the budget, and clear in refusal."""

import random
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from sat_exp.attacks import MI, PGD, TargetedPGD
from sat_exp.attacks.external import AdvLib, External, Foolbox, Torchattack, Torchattacks
from sat_exp.errors import UserError
from sat_exp.testing import check_budget

sys.modules.setdefault("visdom", ModuleType("visdom"))  # Adversarial Library imports it, for charts

ATTACKS = [
    Torchattacks("DIFGSM", 40, 6, 4, options={"resize_rate": 1.5}),
    Torchattacks("PGDL2", 300.5, 80, 4, norm="l2"),
    Torchattack("BSR", 40, 6, 3, options={"num_scale": 2}),
    Torchattack("VMIFGSM", 40, 6, 3),
    Foolbox("LinfPGD", 40.5, 6, 4),
    Foolbox("L2AdditiveGaussianNoiseAttack", 300, norm="l2"),
    AdvLib("apgd", 40, steps=10),
    AdvLib("apgd", 300.5, steps=10, norm="l2", options={"loss_function": "ce"}),
    AdvLib("pgd_linf", 80, 20, 10),
]


def attacked(digits, attack, some: slice, first: int = 0) -> Tensor:
    images = digits.images[some]
    return attack(digits.classifier, images, digits.labels[some], first + torch.arange(len(images)))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_results_belong_to_their_image_and_seed(digits, attack):
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    together = attacked(digits, attack, slice(5))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    torch.manual_seed(1)
    alone = [attacked(digits, attack, slice(place, place + 1), place) for place in range(5)]
    assert torch.equal(torch.cat(alone), together)
    check_budget(attack, digits.images[:5], together)
    assert (together != digits.images[:5]).flatten(1).any(dim=1).all()
    assert not torch.equal(attacked(digits, attack, slice(5), 100), together)


@pytest.mark.parametrize(
    ("attack", "same"),
    [
        (Torchattacks("MIFGSM", 40, 6, 5), MI(40, 6, 5)),
        (Torchattack("MIFGSM", 40, 6, 5), MI(40, 6, 5)),
        (Foolbox("LinfPGD", 40, 6, 5, options={"random_start": False}), PGD(40, 6, 5, False)),
        (Torchattacks("MIFGSM", 40, 6, 5, goal="next"), MI(40, 6, 5, goal="next")),
        (Torchattack("MIFGSM", 40, 6, 5, goal="next"), MI(40, 6, 5, goal="next")),
        (
            Foolbox("LinfPGD", 40, 6, 5, goal="next", options={"random_start": False}),
            TargetedPGD(40, 6, 5, False, "next"),
        ),
    ],
)
def test_deterministic_attacks_give_the_images_of_this_package(digits, attack, same):
    assert torch.equal(attacked(digits, attack, slice(20)), attacked(digits, same, slice(20)))


@pytest.mark.parametrize(
    ("goal", "same"), [("untargeted", PGD(40, 6, 5, False)), ("next", TargetedPGD(80, 12, 8, False, "next"))]
)
def test_pgd_of_adversarial_library_is_that_of_this_package_where_it_succeeds(digits, goal, same):
    """It returns the last successful iterate, and does not judge the one after its last step."""
    options = {"random_init": False}
    other = AdvLib("pgd_linf", same.epsilon, same.step_size, same.steps + 1, goal=goal, options=options)
    images, labels, seeds = digits.images[:40], digits.labels[:40], torch.arange(40)
    told = labels if goal == "untargeted" else (labels + 1) % 10
    own, theirs = (attack(digits.classifier, images, told, seeds) for attack in (same, other))
    predicted = digits.classifier(own.float() / 255).argmax(dim=1)
    success = (predicted == told) != (goal == "untargeted")
    assert success.sum() >= 20
    assert torch.equal(own[success], theirs[success])


@pytest.mark.parametrize("name", ["torchattacks", "torchattack", "foolbox", "adv_lib"])
def test_files_name_an_attack(name, repository):
    stated = OmegaConf.to_container(OmegaConf.load(repository / f"conf/attack/{name}.yaml"))
    kind = {each.library: each for each in (Torchattacks, Torchattack, Foolbox, AdvLib)}[name]
    assert stated.pop("_target_") == f"sat_exp.attacks.external.{kind.__name__}"
    attack = kind(**stated)
    assert attack.gradients == 10
    assert vars(attack)["library_version"][0].isdigit()


def test_results_outside_of_the_budget_are_refused(digits):
    """MIFGSM bounds the change of each value, here stated as a bound of the L2 length."""
    with pytest.raises(UserError, match=r"made a change of .*/255 in L2, more than L2 ≤ 40/255"):
        attacked(digits, Torchattacks("MIFGSM", 40, 40, 4, norm="l2"), slice(3, 4))


def test_rounding_never_leaves_the_budget():
    clean = torch.tensor([[[[0.0, 100, 250, 7]]]])
    attack = Foolbox("LinfPGD", 8.5)
    found = attack.within(clean, clean + torch.tensor([8.5, 8.5, 5, -7.0]))
    assert found.flatten().tolist() == [8, 108, 255, 0]
    with pytest.raises(UserError, match=r"8\.6/255"):
        attack.within(clean, clean + 8.6)
    with pytest.raises(UserError, match="nan/255"):
        attack.within(clean, clean * torch.nan)


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        (Torchattacks, {"name": "DIFGSN"}, r"no such attack; near it: DIFGSM"),
        (Torchattacks, {"name": "torch"}, r"no such attack"),
        (Torchattacks, {"name": "Attack"}, r"no such attack"),
        (Torchattacks, {"name": "CW"}, r"has no epsilon"),
        (Torchattacks, {"name": "MIFGSM", "options": {"decai": 1}}, r"takes no decai: its options are decay"),
        (Torchattacks, {"name": "FGSM", "steps": 5}, r"takes no steps"),
        (Torchattacks, {"name": "MIFGSM", "steps": 5, "options": {"steps": 3}}, r"attack\.options\.steps is set by"),
        (Torchattack, {"name": "ILPD", "goal": "random"}, r"has no goal class"),
        (Foolbox, {"name": "LinfPgd"}, r"near it: LinfPGD"),
        (Foolbox, {"name": "DatasetAttack"}, r"no such attack"),
        (AdvLib, {"name": "pgd_inf"}, r"near it: pgd_linf"),
        (AdvLib, {"name": "ddn"}, r"has no epsilon"),
        (AdvLib, {"name": "apgd", "step_size": 1}, r"takes no absolute_step_size"),
        (AdvLib, {"name": "apgd", "options": {"labels": 1}}, r"takes no labels"),
        (Foolbox, {"name": "LinfPGD", "epsilon": -1}, r"attack\.epsilon"),
    ],
)
def test_wrong_settings_are_named(kind, settings, says):
    with pytest.raises(UserError, match=says):
        kind(**settings)


def test_a_missing_library_is_named():
    class Missing(External):
        library = pip = "no_such_library"

        def known(self):
            return {}

        def attacked(self, classifier, pixels, labels):
            return pixels

    with pytest.raises(UserError, match="pip install no_such_library"):
        Missing("PGD")
