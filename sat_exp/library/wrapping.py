"""Models of Python objects, as candidates of a measurement."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from typing_extensions import TypedDict

from sat_exp import models
from sat_exp.errors import UserError, one_line
from sat_exp.library.preprocessing import ADVICE, preprocessing_of
from sat_exp.models import Candidate, Configured, Preprocessing
from sat_exp.models.loading import ready
from sat_exp.names import CONF, aliases, files_of, suggest
from sat_exp.settings import checked
from sat_exp.settings.types import FileName, Text

UNNAMED = "give each a name: a dictionary {NAME: model}"


class Names(TypedDict):
    """The names of a model, as types that are checked."""

    name: FileName
    family: Text


@dataclass(frozen=True)
class Model:
    """A network given in Python, with the facts that its module does not carry itself.

    Args:
        module: maps normalised images, float [B, C, size, size], to logits [B, classes], or to an object whose `logits`
            they are. It is copied: neither its mode nor its parameters, device and hooks change.
        preprocessing: of its images, in any of these forms: `sat_exp.Preprocessing` or a mapping with size, mean and
            std (interpolation and crop have defaults); timm's `pretrained_cfg` or `resolve_model_data_config(model)`;
            weights of torchvision, or their `transforms()`; an image processor of transformers. None: the
            `pretrained_cfg` of a timm model, or the image processor with which a transformers model was published.
        name: in tables and figures; by default the architecture or the class.
        family: models of one family share a colour; by default the class.
        pretrained: whether its weights are trained; False marks the results.

    >>> from torch import nn
    >>> import sat_exp
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 10))
    >>> sat_exp.Model(network, {"size": 32, "mean": [0.286], "std": [0.353]}, name="linear", pretrained=False).name
    'linear'
    """

    module: nn.Module
    preprocessing: Any = None
    name: str | None = None
    family: str | None = None
    pretrained: bool = True


class PythonModel(Candidate):
    """A module given in Python. The module itself is only read: every use is of a frozen copy on the CPU."""

    def __init__(self, model: Model, name: str, label_space: str) -> None:
        names = {"name": name, "family": model.family or type(model.module).__name__}
        checked(Names, names, "model")
        self.name, self.family = names["name"], names["family"]
        self.label_space, self.pretrained = label_space, model.pretrained
        self.module = model.module
        self.parameters = sum(parameter.numel() for parameter in self.module.parameters())
        self._preprocessing = preprocessing_of(self.module, model.preprocessing, name)
        self.wrapped, self.classes = self.tried()

    @property
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "family": self.family,
            "label_space": self.label_space,
            "classes": self.classes,
            "pretrained": self.pretrained,
            "parameters": self.parameters,
            "class": class_name(self.module),
            "input": asdict(self.preprocessing),
        }

    def load(self) -> models.Model:
        network = self.network()
        # the name, the class and the settings of every part, as far as its `repr` states them
        structure = [[name, class_name(part), part.extra_repr()] for name, part in network.named_modules()]
        return ready(self, network, structure)

    def network(self) -> nn.Module:
        """A frozen copy of the module on the CPU that returns logits."""
        try:
            copied = copy.deepcopy(self.module).cpu().eval().requires_grad_(False)
        except Exception as error:
            raise UserError(f"model {self.name} cannot be copied: {one_line(error)}") from error
        return Logits(copied) if self.wrapped else copied

    @torch.no_grad()
    def tried(self) -> tuple[bool, int]:
        """Whether the module returns an object with `logits`, and the number of classes; UserError for other output."""
        self.wrapped = False
        own = self.preprocessing
        shape = (len(own.mean), own.size, own.size)
        network = self.network()
        dtype = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)
        try:
            output = network(torch.zeros(1, *shape, dtype=dtype))
        except Exception as error:
            raise UserError(
                f"model {self.name} cannot take images {list(shape)}, as its preprocessing states: {one_line(error)}; "
                f"{ADVICE}"
            ) from error
        logits = getattr(output, "logits", output)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
            form = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise UserError(f"model {self.name} returns {form} for one image: it must return logits [1, classes]")
        return logits is not output, logits.shape[1]


class Logits(nn.Module):
    """The logits of a network that returns them as an attribute of its output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).logits


def candidates(value: Any, label_space: str | None) -> list[Candidate]:
    """The models of `sat_exp.measure`; `label_space` is that of the images, None where they may have any. UserError for
    none, for two of a name, and for what is no model."""
    if isinstance(value, (str, nn.Module, Model)) or not isinstance(value, (Sequence, Mapping)):
        value = [value]
    listed = list(value.items()) if isinstance(value, Mapping) else [(None, model) for model in value]
    if not listed:
        raise UserError("there are no models: give one or more")
    known = [configured(each, name) if isinstance(each, str) else as_model(each) for name, each in listed]
    space = label_space or next((each.label_space for each in known if isinstance(each, Configured)), "labels")
    found: list[Candidate] = [
        each if isinstance(each, Configured) else PythonModel(each, name or name_of(each), space)
        for (name, _), each in zip(listed, known, strict=True)
    ]
    names = [candidate.name for candidate in found]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{names.count(repeated[0])} models are called {repeated[0]}: {UNNAMED}")
    return found


def as_model(value: Any) -> Model:
    """A module, or an image-classification pipeline of transformers, as a `Model`; UserError for anything else."""
    if isinstance(value, Model):
        return value
    if isinstance(value, nn.Module):
        return Model(value)
    if isinstance(getattr(value, "model", None), nn.Module) and getattr(value, "image_processor", None):
        return Model(value.model, value.image_processor)
    raise UserError(
        f"{type(value).__name__} is no model: give a torch.nn.Module, sat_exp.Model(module, preprocessing), a pipeline "
        "of transformers, or the name of a configured model"
    )


def name_of(model: Model) -> str:
    """The stated name, or the one under which timm or transformers published the module, or its class."""
    module: Any = model.module
    facts = getattr(module, "pretrained_cfg", None)
    published = facts.get("architecture", "") if isinstance(facts, Mapping) else ""
    place = str(getattr(module, "name_or_path", "") or "").rstrip("/").rpartition("/")[2]
    return model.name or published or place or type(module).__name__


def configured(name: str, renamed: str | None) -> Configured:
    """The model of conf/model/NAME.yaml, here or in a plug-in, or of the paper's name for it; UserError for none."""
    files, others = files_of("model"), aliases(CONF)
    if name not in {*files, *others}:
        raise UserError(f"there is no model called {name[:60]!r}; {suggest(name, [*files, *others])}")
    stated: Any = OmegaConf.load(files[others.get(name, name)])
    stated.pop("defaults", None)
    if renamed is not None:
        stated.name = renamed
    models.check(stated)
    return Configured(stated)


def class_name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"
