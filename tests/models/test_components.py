"""Components derived from networks whose components are known: by construction, from model files or from the paper."""

import copy

import pytest
import timm
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from sat_exp.errors import UserError
from sat_exp.models import components
from sat_exp.models.components import COMPONENTS, derive
from sat_exp.names import CONF

from .blocks import Block, Tokens, network

FILES = {path.stem: OmegaConf.load(path) for path in sorted((CONF / "model").glob("*.yaml")) if path.stem != "timm"}
PAPER = [name for name, config in FILES.items() if "paper_name" in config]
OTHERS = [name for name in FILES if name not in PAPER]
QUICK = ["resnet18", "fashion_convnext", "fashion_mixer", "fashion_mobilenet", "fashion_nfnet", "fashion_regnet"]
QUICK += ["fashion_resmlp", "fashion_resnet", "fashion_swin", "fashion_vit", "squeezenet", "efficientnet_lite0"]
QUICK += ["halonet50ts", "eca_nfnet_l0", "resnetv2_50d_evos", "gcresnext50ts", "coat_lite_small"]
# Where the paper's facts, or the reading of a name, differ from what a forward pass shows.
KNOWN = {
    "gcresnext50ts": {"depthwise_conv": False},
    "fashion_visformer": {"stem": "7x7 s2 / 4x4 s4"},
}


def disagreements(name: str) -> dict[str, str | bool]:
    """The derived values that are not the file's; a search of architectures cannot be derived and is left out."""
    config = FILES[name]
    assert isinstance(config, DictConfig)
    with torch.device("meta"):
        network = instantiate(config.network, _convert_="all")
    found = derive(network, len(config.input.mean), config.input.size)
    assert tuple(found) == COMPONENTS
    pinned = dict(config.components)
    pinned["base_architecture"] = pinned["base_architecture"].removeprefix("NAS-")
    return {key: value for key, value in found.items() if value != pinned[key]}


@pytest.mark.parametrize("name", QUICK)
def test_files_say_what_networks_show(name: str) -> None:
    assert disagreements(name) == KNOWN.get(name, {})


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_files_beyond_the_paper_say_what_networks_show(name: str) -> None:
    assert disagreements(name) == KNOWN.get(name, {})


@pytest.mark.slow
def test_agreement_with_the_papers_table() -> None:
    """Of 69 x 13 cells; the nine searched architectures are cells that disagree too."""
    searched = sum(FILES[name].components.base_architecture.startswith("NAS-") for name in PAPER)
    cells = [(name, key, value) for name in PAPER for key, value in disagreements(name).items()]
    for name, key, value in cells:
        print(f"{key:28} {name:24} file {FILES[name].components[key]!s:20} derived {value}")
    print(f"{69 * 13 - len(cells) - searched} of {69 * 13} cells agree; {searched} of the others are searches")
    assert len(cells) + searched <= 23


@settings(max_examples=25, deadline=None)
@given(
    convolutions=st.lists(st.tuples(st.sampled_from([1, 3, 5, 7]), st.sampled_from([1, 2])), min_size=1, max_size=4),
    pooled=st.booleans(),
    groups=st.sampled_from([1, 2, 4, 8]),
    halved=st.booleans(),
)
def test_a_network_of_blocks(convolutions: list[tuple[int, int]], pooled: bool, groups: int, halved: bool) -> None:
    layers: list[nn.Module] = []
    for kernel, stride in convolutions:
        layers += [nn.Conv2d(8 if layers else 3, 8, kernel, stride, kernel // 2), nn.BatchNorm2d(8), nn.ReLU()]
    stem = nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pooled else []))
    between = nn.AvgPool2d(2) if halved else nn.Identity()
    found = derive(network(stem, Block(8, groups=groups), between, Block(8, groups=groups)), 3, 128)
    written = " / ".join(f"{kernel}x{kernel}" + (" s2" if stride == 2 else "") for kernel, stride in convolutions)
    assert found == {
        "base_architecture": "CNN",
        "hierarchical": halved,
        "stem": written,
        "input_resolution": "128",
        "normalization": "BN + GN",
        "activation": "ReLU + SiLU",
        "pooling_stem": pooled,
        "pooling_final": "GAP",
        "self_attention_2d": "none",
        "channel_attention": "none",
        "channel_attention_location": "none",
        "depthwise_conv": groups == 8,
        "group_conv": 1 < groups < 8,
    }


@pytest.mark.parametrize("place", ["none", "middle", "end"])
def test_channel_attention_and_its_place(place: str) -> None:
    found = derive(network(nn.Conv2d(3, 8, 3), *[Block(8, gate=place) for _ in range(3)]), 3, 32)
    assert found["channel_attention"] == ("none" if place == "none" else "SE")
    assert found["channel_attention_location"] == place
    assert found["activation"] == ("SiLU" if place == "none" else "ReLU + SiLU")


@pytest.mark.parametrize("patch", [4, 8])
@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("mixing", [False, True])
def test_a_network_of_tokens(patch: int, class_token: bool, mixing: bool) -> None:
    found = derive(Tokens(class_token=class_token, mixing=mixing, patch=patch), 3, 32)
    assert found["base_architecture"] == ("MLP-Mixer" if mixing else "Transformer")
    assert found["stem"] == f"{patch}x{patch} s{patch}"
    assert found["pooling_final"] == ("class token" if class_token else "GAP")
    assert (found["normalization"], found["activation"]) == ("LN", "GELU")
    assert not found["hierarchical"]


def test_convolutions_and_attention_are_a_hybrid() -> None:
    class Convolved(Tokens):
        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Conv2d(16, 16, 3, padding=1)

        def forward(self, image: Tensor) -> Tensor:
            tokens = self.blocks[0](self.patches(image).flatten(2).transpose(1, 2))
            image = self.before(tokens.transpose(1, 2).unflatten(2, (8, 8)))
            return self.head(self.blocks[1](image.flatten(2).transpose(1, 2)).mean(1))

    assert derive(Convolved(), 3, 32)["base_architecture"] == "Hybrid"


def test_a_plain_chain_of_layers() -> None:
    chain = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()
    )
    found = derive(nn.Sequential(*chain, nn.Linear(400, 10)), 1, 32)
    assert (found["base_architecture"], found["stem"], found["pooling_stem"]) == ("CNN", "5x5", True)
    assert (found["activation"], found["normalization"], found["pooling_final"]) == ("Tanh", "none", "none")
    assert found["hierarchical"]


def test_blocks_from_the_start() -> None:
    class Branches(nn.Module):
        def __init__(self, given: int, stride: int) -> None:
            super().__init__()
            self.narrow = nn.Conv2d(given, 8, 1, stride)
            self.wide = nn.Conv2d(given, 8, 3, stride, 1)

        def forward(self, image: Tensor) -> Tensor:
            return F.relu(self.narrow(image) + self.wide(image))

    found = derive(network(Branches(3, 2), Branches(8, 2), Branches(8, 1)), 3, 32)
    assert (found["stem"], found["hierarchical"], found["base_architecture"]) == ("3x3 s2", True, "CNN")


def test_a_network_without_convolutions() -> None:
    found = derive(nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 5)), 3, 4)
    assert (found["base_architecture"], found["stem"], found["pooling_final"]) == ("MLP", "none", "none")


def test_a_blur_is_no_convolution() -> None:
    class Blurred(Block):
        def forward(self, image: Tensor) -> Tensor:
            image = F.conv2d(image, torch.full((8, 1, 2, 2), 0.25), stride=2, groups=8)
            return super().forward(image)

    assert not derive(network(nn.Conv2d(3, 8, 3), Blurred(8), Blurred(8)), 3, 32)["depthwise_conv"]


class Parallel(nn.Module):
    """Two convolutions of one image, the narrow one first, as networks that are folded after training have them."""

    def __init__(self, given: int, made: int, stride: int = 1) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(given, made, 1, stride)
        self.wide = nn.Conv2d(given, made, 3, stride, 1)

    def forward(self, image: Tensor) -> Tensor:
        return F.relu(self.narrow(image) + self.wide(image))


def test_branches_side_by_side_are_a_layer_of_the_stem() -> None:
    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixer, self.point = Parallel(8, 8), nn.Conv2d(8, 8, 1)

        def forward(self, image: Tensor) -> Tensor:
            return image + self.point(self.mixer(image))

    stem = nn.Sequential(Parallel(3, 8, 2), Parallel(8, 8, 2), Parallel(8, 8))
    body = nn.Sequential(Folded(), Folded())
    assert derive(network(stem, body), 3, 32)["stem"] == "3x3 s2 / 3x3 s2 / 3x3"
    assert derive(network(*[Parallel(3 if first else 8, 8, 2) for first in (1, 0, 0)]), 3, 32)["stem"] == "3x3 s2"


def test_branches_that_join_in_the_stem() -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.side, self.last = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 2), nn.Conv2d(16, 8, 5)
            self.body = network(Block(8), Block(8))

        def forward(self, image: Tensor) -> Tensor:
            image = self.first(image)
            padded = F.pad(image, (0, 1, 0, 1))
            joined = torch.cat([F.max_pool2d(padded, 2, 1), self.side(padded)], 1)
            return self.body(self.last(joined))

    assert derive(Joined(), 3, 64)["stem"] == "3x3 s2 / 2x2 / 5x5"


# Of networks that are not the paper's, read in timm's code: what had been derived wrongly, and near relatives.
ELSEWHERE = {
    "fastvit_t8": {"stem": "3x3 s2 / 3x3 s2 / 1x1", "activation": "GELU + ReLU", "channel_attention": "SE"},
    "mobileone_s0": {"stem": "3x3 s2", "base_architecture": "CNN"},
    "caformer_s18": {"activation": "Squared ReLU + StarReLU", "base_architecture": "Hybrid"},
    "poolformerv2_s12": {"activation": "StarReLU", "normalization": "GN + LN"},
    "hgnetv2_b0": {"stem": "3x3 s2 / 2x2 / 2x2 / 3x3 s2 / 1x1", "pooling_stem": True},
    "convnext_zepto_rms": {"normalization": "SimpleNorm"},
    "efficientvit_b0": {"base_architecture": "Hybrid", "stem": "3x3 s2"},
    "swiftformer_xs": {"base_architecture": "Hybrid", "stem": "3x3 s2 / 3x3 s2"},
    "efficientnet_cc_b0_4e": {"depthwise_conv": True, "channel_attention_location": "middle"},
    "hgnet_tiny": {"channel_attention": "ESE", "stem": "3x3 s2 / 3x3 / 3x3"},
    "ese_vovnet19b_dw": {"stem": "3x3 s2 / 3x3 / 1x1 / 3x3 s2 / 1x1", "channel_attention": "ESE"},
    "repvgg_a0": {"stem": "3x3 s2", "activation": "ReLU"},
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_networks_that_are_not_the_papers(name: str) -> None:
    with torch.device("meta"):
        made = timm.create_model(name, pretrained=False)
    found = derive(made, 3, made.pretrained_cfg["input_size"][-1])
    assert {key: found[key] for key in ELSEWHERE[name]} == ELSEWHERE[name]


def test_the_same_with_weights_and_without() -> None:
    made = timm.create_model("resnet18", num_classes=10)
    assert derive(made, 3, 64) == derive(copy.deepcopy(made).to("meta"), 3, 64)


def test_nothing_of_the_network_is_changed() -> None:
    made = network(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(), Block(8), Block(8)).train()
    made[1].eval()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    modes = [module.training for module in made.modules()]
    state = torch.random.get_rng_state()
    derive(made, 3, 32)
    assert [module.training for module in made.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())
    assert all(parameter.grad is None for parameter in made.parameters())


def test_an_image_that_the_network_cannot_take() -> None:
    made = network(nn.Conv2d(3, 8, 3), Block(8), Block(8))
    with pytest.raises(UserError, match=r"cannot be derived on images \[1, 1, 32, 32\] \(") as caught:
        derive(made, 1, 32)
    assert "\n" not in str(caught.value)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())


def test_a_scripted_network_shows_nothing() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    with pytest.raises(UserError, match=r"or state all of components"):
        derive(scripted, 3, 32)


def test_arguments_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(4, 8, 3, groups=2)

        def forward(self, image: Tensor) -> Tensor:
            weight = self.convolution.weight
            return F.conv2d(input=F.pad(image, (0, 0, 0, 0, 0, 1)), weight=weight, stride=2, groups=2).mean((2, 3))

    found = derive(Named(), 3, 32)
    assert (found["stem"], found["group_conv"], found["pooling_final"]) == ("3x3 s2", True, "GAP")


def test_the_vocabulary_is_documented() -> None:
    table = (components.__doc__ or "").split("\n\n")[2]
    assert [line.split()[0] for line in table.splitlines()[1:] if line[4] != " "] == list(COMPONENTS)
