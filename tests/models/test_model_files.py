"""The files in conf/model and conf/pool agree with one another, with timm's models and with the paper's 69 networks."""

import csv
import gc
import resource
from collections import defaultdict
from pathlib import Path

import pytest
import timm
import torch
from omegaconf import DictConfig, OmegaConf
from torch.nn import functional as F

from sat_exp.models import Configured, load
from sat_exp.models.components import COMPONENTS
from sat_exp.names import CONF

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference"
reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"the paper's released tables are not at {REFERENCE}")


def read(kind: str, name: str) -> DictConfig:
    config = OmegaConf.load(CONF / kind / f"{name}.yaml")
    assert isinstance(config, DictConfig)
    return config


FILES = {path.stem: read("model", path.stem) for path in sorted((CONF / "model").glob("*.yaml")) if path.stem != "timm"}
POOLS = {path.stem: list(read("pool", path.stem).models) for path in sorted((CONF / "pool").glob("*.yaml"))}
PAPER = {config.paper_name: name for name, config in FILES.items() if "paper_name" in config}
TIMM = [
    name
    for name, config in FILES.items()
    if config.label_space == "imagenet1k" and config.network._target_ == "timm.create_model"
]
ONE_OF_EACH_BASE = ["ese_vovnet39b", "deit_small", "resmlp_24", "visformer_small", "rexnet_150", "swin_s3_tiny"]

JOINED = {
    "normalization": {"BN", "LN", "GN", "EvoNorm", "affine", "none", "none (weight standardisation)"},
    "activation": {"ReLU", "ReLU6", "Leaky ReLU", "GELU", "SiLU", "Hard-Swish", "none"},
    "self_attention_2d": {"BoT", "Halo", "Lambda", "none"},
    "channel_attention": {"SE", "ECA", "ESE", "GCA", "split", "none"},
}
SINGLE = {
    "base_architecture": {"CNN", "Transformer", "MLP-Mixer", "Hybrid", "NAS-CNN", "NAS-Transformer"},
    "pooling_final": {"GAP", "class token"},
    "channel_attention_location": {"middle", "end", "none"},
    "hierarchical": {True, False},
    "pooling_stem": {True, False},
    "depthwise_conv": {True, False},
    "group_conv": {True, False},
}


def rows(table: str) -> list[dict[str, str]]:
    with (REFERENCE / table).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_are_the_69_and_many_more() -> None:
    assert len(PAPER) == 69
    assert len(TIMM) >= 69 + 25


@pytest.mark.parametrize("name", FILES)
def test_a_model_file_says_all_and_says_it_is_itself(name: str) -> None:
    config = FILES[name]
    assert config.name == name
    assert config.classes == {"imagenet1k": 1000, "fashion_mnist": 10}[config.label_space]
    assert config.pretrained is True
    assert isinstance(config.parameters, int)
    assert tuple(config.components) == COMPONENTS
    assert config.components.input_resolution == str(config.input.size)
    comment = (CONF / "model" / f"{name}.yaml").read_text().splitlines()[0]
    assert comment.startswith("# ")
    assert comment.endswith(".")


@pytest.mark.parametrize("name", FILES)
def test_components_are_in_one_vocabulary(name: str) -> None:
    components = FILES[name].components
    for key, words in JOINED.items():
        parts = components[key].split(" + ")
        assert words.issuperset(parts), key
        assert parts == sorted(set(parts), key=str.lower)
    for key, words in SINGLE.items():
        assert components[key] in words, key
    for part in components.stem.split(" / "):
        kernel, _, stride = part.partition(" s")
        side, other = kernel.split("x")
        assert side == other
        assert part == f"{int(side)}x{int(side)}" + (f" s{int(stride)}" if stride else "")
        assert stride != "1"
    assert (components.channel_attention == "none") <= (components.channel_attention_location == "none")


@pytest.mark.parametrize("name", TIMM)
def test_facts_are_timms_own(name: str) -> None:
    config = FILES[name]
    facts = timm.get_pretrained_cfg(config.network.model_name, allow_unregistered=False)
    assert "." in config.network.model_name
    assert facts.num_classes == config.classes
    assert facts.input_size == (3, config.input.size, config.input.size)
    assert list(facts.mean) == list(config.input.mean)
    assert list(facts.std) == list(config.input.std)
    assert (facts.interpolation, facts.crop_pct) == (config.input.interpolation, config.input.crop)


def test_no_two_files_name_the_same_weights() -> None:
    names = [FILES[name].network.model_name for name in TIMM]
    assert len(set(names)) == len(names)


def test_the_open_model_file_takes_any_timm_name() -> None:
    config = read("model", "timm")
    config.id = "resnet26.bt_in1k"
    assert (config.name, config.network.model_name) == ("resnet26.bt_in1k", "resnet26.bt_in1k")
    assert tuple(config.components) == COMPONENTS


def test_a_paper_name_leads_to_one_file() -> None:
    assert all(FILES[paper].get("paper_name") == paper for paper in PAPER if paper in FILES)


def test_only_the_stand_in_has_other_weights_than_the_paper() -> None:
    assert [name for name, config in FILES.items() if "stand_in" in config] == ["gluon_xception65"]
    assert FILES["gluon_xception65"].network.model_name == "xception65.tf_in1k"


@reference
def test_the_69_are_the_papers_models() -> None:
    for row in rows("models_69.csv"):
        config = FILES[PAPER[row["paper_name"]]]
        assert config.network.model_name == (row["timm_id"] or "xception65.tf_in1k")
        assert config.input.size == int(row["input_size"])


@reference
def test_the_69_are_in_the_order_of_the_matrix() -> None:
    header = list(rows("sat_matrix_69.csv")[0])[1:]
    assert [FILES[name].paper_name for name in POOLS["paper69"]] == header


@reference
@pytest.mark.parametrize("component", COMPONENTS)
def test_the_same_models_share_a_value_as_in_the_paper(component: str) -> None:
    """The partition of the 69 by equality is the authors', so that a study of which components matter is too."""
    ours, theirs = defaultdict(set), defaultdict(set)
    for row in rows("sat_components_69.csv"):
        paper, *values = row.values()
        ours[FILES[PAPER[paper]].components[component]].add(paper)
        theirs[values[COMPONENTS.index(component)]].add(paper)
    if component == "channel_attention":
        assert theirs["Yes"] == {"resnest50d"}
    assert sorted(map(sorted, ours.values())) == sorted(map(sorted, theirs.values()))


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_names_models_that_there_are_once_each(pool: str) -> None:
    assert read("pool", pool).name == pool
    assert set(POOLS[pool]) <= set(FILES)
    assert len(set(POOLS[pool])) == len(POOLS[pool])
    assert len({FILES[name].label_space for name in POOLS[pool]}) <= 1


def test_paper69_is_the_69_and_its_parts_are_by_base_architecture() -> None:
    assert sorted(POOLS["paper69"]) == sorted(PAPER.values())
    parts = defaultdict(list)
    for name in POOLS["paper69"]:
        kind = FILES[name].components.base_architecture.split("-")[0]
        parts["paper69_" + {"MLP": "mixer"}.get(kind, kind.lower())].append(name)
    assert parts == {pool: names for pool, names in POOLS.items() if pool.startswith("paper69_")}


def test_families_are_few_enough_to_tell_apart() -> None:
    families = [FILES[name].family for name in POOLS["paper69"]]
    assert 10 <= len(set(families)) <= 20


def counted(name: str) -> int:
    with torch.device("meta"):
        network = timm.create_model(FILES[name].network.model_name)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", ["resnet50", "vit_l16", "gmlp_s16", "pit_b", "efficientnet_b0"])
def test_parameters_are_counted(name: str) -> None:
    assert FILES[name].parameters == counted(name)


@pytest.mark.slow
def test_all_parameters_are_counted() -> None:
    assert {name: FILES[name].parameters for name in TIMM} == {name: counted(name) for name in TIMM}


def build_and_attack(name: str) -> None:
    """Without weights: finite logits of 1000 classes, and a finite gradient of the loss for the pixels.

    Some heads start at zero, and let no gradient through until they are given weights.
    """
    model = load(OmegaConf.merge(FILES[name], {"pretrained": False}))  # type: ignore[arg-type]
    for weight in model.classifier.parameters():
        if weight.ndim == 2 and not weight.any():
            weight.normal_(std=0.01, generator=torch.Generator().manual_seed(1))
    size = FILES[name].input.size
    pixels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logits = model.classifier(pixels)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, torch.tensor([3]), reduction="sum"), pixels)
    assert model.parameters == FILES[name].parameters
    assert logits.shape == (1, 1000)
    assert torch.isfinite(logits).all()
    assert gradient.shape == pixels.shape
    assert torch.isfinite(gradient).all()
    assert gradient.any()


def test_the_sample_has_one_of_each_base_architecture() -> None:
    found = [FILES[name].components.base_architecture for name in ONE_OF_EACH_BASE]
    assert sorted(found) == sorted(SINGLE["base_architecture"])


@pytest.mark.parametrize("name", ONE_OF_EACH_BASE)
def test_a_model_gives_logits_and_an_input_gradient(name: str) -> None:
    build_and_attack(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PAPER.values()))
def test_each_of_the_69_gives_logits_and_an_input_gradient_in_bounded_memory(name: str) -> None:
    build_and_attack(name)
    gc.collect()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name}: peak memory so far {peak:.2f} GiB")
    assert peak < 6


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet50", 4.1e9),
        ("resnext50_32x4d", 4.2e9),
        ("deit_small", 4.6e9),
        ("convnext_tiny", 4.5e9),
        ("swin_tiny", 4.5e9),
    ],
)
def test_flops_are_those_of_the_networks_papers(name: str, published: float) -> None:
    assert Configured(FILES[name]).flops() == pytest.approx(published, rel=0.015)
