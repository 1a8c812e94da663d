"""Types of the settings that no signature states: those common to all runs, and those of model files."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, with_config
from typing_extensions import TypedDict

from sat_exp.settings.schema import STRICT
from sat_exp.settings.types import (
    Confidence,
    Draws,
    Existing,
    FileName,
    FilePath,
    FolderPath,
    Images,
    Positive,
    RunName,
    Seed,
    Side,
    StorePlace,
    Text,
)


def package(text: str) -> str:
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError("the name of a package, such as my_package")
    return text


Package = Annotated[Text, AfterValidator(package)]  # the name of a Python package
Labels = Literal["truth", "consensus", "own"]
Protocol = Literal["canvas", "native"]
Adversarial = Literal["keep", "drop"]
Percentage = Annotated[float, Field(gt=0, le=100)]
Channels = Field(min_length=1, max_length=4)


@with_config(STRICT)
class Score(TypedDict):
    floor: Percentage
    resamples: Draws
    confidence: Confidence
    seed: Seed


@with_config(STRICT)
class Input(TypedDict):
    """The preprocessing that a network was trained with; size and crop are in pixels and a fraction of the side."""

    size: Side
    mean: Annotated[list[Annotated[float, Field(ge=-100, le=100)]], Channels]
    std: Annotated[list[Positive], Channels]
    interpolation: Literal["bilinear", "bicubic"]
    crop: Annotated[float, Field(gt=0, le=1)]


Architecture = Literal["CNN", "Transformer", "Hybrid", "MLP-Mixer", "MLP", "NAS-CNN", "NAS-Transformer"]


@with_config(STRICT)
class Components(TypedDict):
    """The components in `sat_exp.models.components`; null: derived from the network."""

    base_architecture: NotRequired[Architecture | None]
    hierarchical: NotRequired[bool | None]
    stem: NotRequired[Text | None]
    input_resolution: NotRequired[Text | None]
    normalization: NotRequired[Text | None]
    activation: NotRequired[Text | None]
    pooling_stem: NotRequired[bool | None]
    pooling_final: NotRequired[Text | None]
    self_attention_2d: NotRequired[Text | None]
    channel_attention: NotRequired[Text | None]
    channel_attention_location: NotRequired[Literal["none", "middle", "end"] | None]
    depthwise_conv: NotRequired[bool | None]
    group_conv: NotRequired[bool | None]


@with_config(STRICT)
class Group(TypedDict):
    """The architecture, seed and recipe of a training, by which networks are grouped. parent: the name of the network
    that one is derived from."""

    architecture: FileName
    seed: Seed
    recipe: Annotated[str, Field(max_length=200)]
    parent: NotRequired[FileName]


@with_config(STRICT)
class Model(TypedDict):
    name: FileName
    family: Text
    label_space: Text
    classes: Annotated[int, Field(ge=1, le=1_000_000)]
    pretrained: bool
    checkpoint: FilePath | None
    network: dict[str, Any]
    input: Input | None
    components: NotRequired[Components | None]
    id: NotRequired[Text]
    parameters: NotRequired[Annotated[int, Field(ge=0, le=10**13)]]
    group: NotRequired[Group]
    paper_name: NotRequired[Text]
    stand_in: NotRequired[Text]
    training: NotRequired[dict[str, Any]]
    checkpoint_reader: NotRequired[Text]
    checkpoint_keys: NotRequired[Literal["in_order"]]


@with_config(STRICT)
class Pool(TypedDict):
    name: FileName
    models: list[Text]


@with_config(STRICT)
class Sweep(TypedDict):
    models: list[Text]
    targets: list[Text]


@with_config(STRICT)
class Configuration(TypedDict):
    """A whole configuration. The types of `attack` to `task` are in the signature of their `_target_`, and so are those
    of each of the chosen measures."""

    name: RunName
    output_dir: FolderPath
    store: StorePlace
    seed: Seed
    labels: Labels
    protocol: Protocol
    adversarial: Adversarial
    measure: dict[FileName, dict[str, Any]]
    score: Score
    sweep: Sweep
    allow: list[Package]
    pool: Pool | None
    model: Model
    target: Model | None
    attack: dict[str, Any]
    dataset: dict[str, Any]
    hardware: dict[str, Any]
    engine: dict[str, Any]
    tracking: dict[str, Any]
    task: dict[str, Any]
    reference: NotRequired[Existing]
    reference_images: NotRequired[Images]


GROUPS = ("tracking", "attack", "dataset", "hardware", "engine", "task")
"""The groups whose settings are the parameters of their `_target_`; first the one that imports nothing heavy."""
