"""From the configuration of a model to a classifier with its weights, or one line that states why not."""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import constants as hub
from huggingface_hub.utils import get_session
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from sat_exp.errors import UserError, explained, one_line
from sat_exp.models.candidate import Candidate, Model, Preprocessing
from sat_exp.models.classifier import Classifier
from sat_exp.models.weights import HUB_TARGET, check_arguments, check_sources, fitting, read_state, timm_facts
from sat_exp.settings import plain
from sat_exp.settings.targets import check_network, resolve


class Configured(Candidate):
    """The model that a configuration describes."""

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        self.name, self.family = config.name, config.family
        self.label_space, self.classes = config.label_space, config.classes
        self.pretrained, self.parameters = config.pretrained, config.get("parameters") or 0

    @property
    def facts(self) -> dict[str, Any]:
        return plain(self.config)

    @property
    def preprocessing(self) -> Preprocessing:
        return preprocessing(self.config)

    @property
    def stated_components(self) -> dict[str, Any]:
        return {key: value for key, value in (self.config.get("components") or {}).items() if value is not None}

    def network(self) -> nn.Module:
        return build(self.config)

    def load(self) -> Model:
        return load(self.config)


def load(config: DictConfig) -> Model:
    """The model of `config` with weights from `checkpoint`, else from timm's hub; random ones where `pretrained` is
    false. UserError where weights cannot be read or do not fit."""
    if config.checkpoint is not None and config.pretrained:
        network = build(config)
        network.load_state_dict(weights_of(config, network))
    elif config.pretrained:
        network = from_hub(config)
    else:
        torch.manual_seed(config.get("training", {}).get("seed", 0))
        network = build(config)
    return ready(Configured(config), network, plain(config.network))


def ready(candidate: Candidate, network: nn.Module, description: Any) -> Model:
    """The model of `candidate`. network: with its weights. description: of the network, in plain values."""
    own = candidate.preprocessing
    made = Classifier(network, size=own.size, mean=own.mean, std=own.std, interpolation=own.interpolation)
    classifier = made.freeze()
    return Model(
        name=candidate.name,
        family=candidate.family,
        label_space=candidate.label_space,
        pretrained=candidate.pretrained,
        parameters=sum(parameter.numel() for parameter in network.parameters()) or candidate.parameters,
        fingerprint=fingerprint(classifier, candidate.name, [description, vars(own)]),
        classifier=classifier,
    )


def weights_of(config: DictConfig, network: nn.Module) -> dict[str, Tensor]:
    """The weights in the checkpoint of `config`, in the types of `network`, which may be without values."""
    named = config.get("checkpoint_reader")
    reader = resolve(named, "checkpoint_reader", "model.checkpoint_reader") if named else read_state
    in_order = config.get("checkpoint_keys") == "in_order"
    return fitting(network.state_dict(), Path(str(config.checkpoint)), in_order=in_order, reader=reader)


def preprocessing(config: DictConfig) -> Preprocessing:
    """The preprocessing that `config` states, or timm's for a published model."""
    if config.input:
        return Preprocessing(**plain(config.input))
    if config.network.get("_target_") != HUB_TARGET:
        raise UserError(f"model {config.name}: give model.input= with size, mean, std, interpolation and crop")
    return Preprocessing.of_timm(timm_facts(config).to_dict())


def build(config: DictConfig) -> nn.Module:
    """The network of `config` with freshly initialised weights."""
    stated = OmegaConf.to_container(config.network, resolve=True)
    check_network(stated, f"model {config.name}: network")
    check_arguments(stated, config.name)
    try:
        network = instantiate(config.network, _convert_="all")
    except Exception as error:
        raise UserError(f"model {config.name}: the network could not be built: {one_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"model {config.name}: model.network._target_= names no network: give a torch.nn.Module")
    return network


def from_hub(config: DictConfig) -> nn.Module:
    """The network of `config` with timm's published weights, downloaded once into the hub's cache."""
    check_sources(config)
    failure = f"model {config.name}: no weights of {config.network.model_name} could be had from the hub"
    advice = (
        "give model.checkpoint=PATH, connect to the internet, or try experiment=quickstart, which needs no download"
    )
    with explained(failure, advice), without_retries():
        return instantiate(config.network, pretrained=True, _convert_="all")


@contextmanager
def without_retries() -> Iterator[None]:
    """Without an answer of the hub within seconds, only its cache is read, instead of a minute of retries."""
    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = before or not hub_answers()
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


@cache
def hub_answers() -> bool:
    """Whether the hub answers within seconds; asked once in a process."""
    try:
        get_session().head(hub.ENDPOINT, timeout=5)
    except Exception:
        return False
    return True


def fingerprint(classifier: Classifier, name: str, facts: list[Any]) -> str:
    """SHA-256 over `facts` (descriptions of the network and its preprocessing), every tensor of its state, and its
    `probe`. name: of the model, for errors."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for key, tensor in classifier.network.state_dict().items():
        if isinstance(tensor, Tensor):
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    try:
        digest.update(json.dumps(probe(classifier)).encode())
    except Exception as error:
        failure = f"model {name} fails on images of its own input size"
        raise UserError(f"{failure}: {type(error).__name__}: {one_line(error)}") from error
    return digest.hexdigest()


PROBE_IMAGES, PROBE_NUMBERS = 2, 8


@torch.no_grad()
def probe(classifier: Classifier) -> list[int] | None:
    """Eight whole numbers that an edit of the classifier's code changes; None where its logits are not finite.

    Each is the sum, with fixed random signs, of the float32 logits of two fixed images, rounded to a unit of 1/128 to
    1/256 of the logits' root mean square. Another processor, number of threads or kernel changes logits by some
    millionths of that. This rounds a sum to another number for about one network in 500, which is then measured again.
    """
    generator = np.random.default_rng(0)
    channels = classifier.mean.shape[1]
    pixels = generator.random((PROBE_IMAGES, channels, classifier.size, classifier.size), np.float32)
    logits = np.stack([classifier(torch.from_numpy(image[None])).double().numpy() for image in pixels])
    if not np.isfinite(logits).all():
        return None
    size = float(np.sqrt((logits**2).mean()))
    unit = 2.0 ** (math.floor(math.log2(size)) - 7) if size > 0 else 1.0
    signs = generator.choice([-1.0, 1.0], (PROBE_NUMBERS, logits.size))
    sums = signs @ logits.ravel() / math.sqrt(logits.size)
    return [round(value / unit) for value in sums]
