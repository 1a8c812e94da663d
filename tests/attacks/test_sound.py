"""Every attack: budget, goals, independence of the batch, and its file. tests/testing checks each with its file."""

import inspect

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from sat_exp import attacks
from sat_exp.attacks import Attack, Threat
from sat_exp.errors import UserError
from sat_exp.settings.signatures import signature_of
from sat_exp.testing import check_attack

FILES = {
    "admix": attacks.Admix,
    "apgd_ce": attacks.APGDCE,
    "apgd_dlr": attacks.APGDDLR,
    "bsr": attacks.BSR,
    "di": attacks.DI,
    "emi": attacks.EMI,
    "gra": attacks.GRA,
    "ilpd": attacks.ILPD,
    "l2t": attacks.L2T,
    "mef": attacks.MEF,
    "mi": attacks.MI,
    "ni": attacks.NI,
    "pgn": attacks.PGN,
    "si_ni": attacks.SINI,
    "sia": attacks.SIA,
    "ssa": attacks.SSA,
    "ti": attacks.TI,
    "vmi": attacks.VMI,
}
FEW = {"copies": 3, "mixed": 2, "scales": 2}


def few(kind: type[Attack], **settings) -> Attack:
    """The attack in four steps, with few gradients in each."""
    takes = inspect.signature(kind).parameters
    settings = {"epsilon": 8, "steps": 4} | {name: count for name, count in FEW.items() if name in takes} | settings
    return kind(**settings)


def layered(shape: tuple[int, ...]) -> nn.Module:
    """A smooth network of layers in float64, of four classes, without gradients of its parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 16), nn.Tanh(), nn.Linear(16, 4)]
        return nn.Sequential(Double(), *layers).double().eval().requires_grad_(False)


class Double(nn.Module):
    def forward(self, pixels):
        return pixels.double()


@pytest.mark.parametrize("kind", [kind for kind in FILES.values() if kind is not attacks.ILPD])
def test_attacks_with_a_goal_are_sound(kind):
    check_attack(few(kind, goal="random", epsilon=3), shape=(1, 7, 9))


@pytest.mark.parametrize("kind", [kind for name, kind in FILES.items() if "apgd" not in name and name != "ilpd"])
def test_fractional_steps_stay_in_the_budget(kind):
    check_attack(few(kind, step_size=0.7, epsilon=5), shape=(3, 5, 6))


@pytest.mark.parametrize("kind", FILES.values())
@pytest.mark.parametrize("seed", range(3))
def test_images_do_not_depend_on_their_batch(kind, seed):
    """Bit by bit, on a network in float64: its logits differ by batch in the last bits of float64 only, which is lost
    where gradients become float32."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (5, 3, 10, 10), generator=generator, dtype=torch.uint8)
    others = torch.randint(0, 256, (4, 3, 10, 10), generator=generator, dtype=torch.uint8)
    labels, seeds = torch.arange(5) % 4, torch.arange(5) * 7919 - seed
    attack, network = few(kind), layered((3, 10, 10))
    more = {"others": others} if attack.companions else {}
    together = attack(network, images, labels, seeds, **more)
    order = torch.tensor([3, 0, 4, 1, 2])
    for part in (*order.split(1), order):
        assert torch.equal(attack(network, images[part], labels[part], seeds[part], **more), together[part])
    assert (together != images).any()


@pytest.mark.parametrize("name", FILES)
def test_files_state_the_defaults(name, repository):
    stated = OmegaConf.to_container(OmegaConf.load(repository / f"conf/attack/{name}.yaml"))
    kind = FILES[name]
    assert stated.pop("_target_") == f"sat_exp.attacks.{kind.__name__}"
    assert kind(**stated) == kind(epsilon=8)
    assert stated.keys() == set(inspect.signature(kind).parameters)
    assert kind(**stated).threat == Threat("linf", 8)
    assert signature_of(f"sat_exp.attacks.{kind.__name__}").__annotations__.keys() == stated.keys()


@pytest.mark.parametrize("kind", FILES.values())
def test_gradients_are_counted(kind):
    """`gradients` is the number of backward passes: a hook counts them. A transform that drops the pixels of a step has
    none, which no attack does."""
    attack, network, passes = few(kind), layered((3, 10, 10)), []
    inner = network.forward

    def counted(pixels):
        if pixels.requires_grad:
            pixels.register_hook(passes.append)
        return inner(pixels)

    network.forward = counted
    images = torch.full((2, 3, 10, 10), 100, dtype=torch.uint8)
    more = {"others": images} if attack.companions else {}
    attack(network, images, torch.tensor([0, 1]), torch.arange(2), **more)
    assert len(passes) == attack.gradients


@pytest.mark.parametrize("kind", [attacks.Admix, attacks.L2T])
def test_missing_companions_are_named(kind):
    images = torch.zeros(1, 3, 10, 10, dtype=torch.uint8)
    with pytest.raises(UserError, match="mixes other images"):
        few(kind)(layered((3, 10, 10)), images, torch.tensor([0]), torch.tensor([0]))
