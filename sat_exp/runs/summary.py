"""The types of `summary.json`, which may come from other people."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from sat_exp import strict_json
from sat_exp.runs import text
from sat_exp.settings.configuration import Labels, Percentage, Protocol
from sat_exp.settings.types import Confidence, NonNegative, Seed


def name(value: str) -> str:
    if fault := text.faults(value, name=True):
        raise ValueError(fault)
    return value


Name = Annotated[str, AfterValidator(name)]
Moment = Annotated[str, AfterValidator(datetime.fromisoformat)]
Whole = Annotated[int, Field(ge=0)]
Scalar = str | bool | int | float | None


class Score(TypedDict, total=False):
    floor: Percentage
    confidence: Confidence


class Sweep(TypedDict, total=False):
    models: list[Name] | None
    targets: list[Name] | None


class Hardware(TypedDict, total=False):
    precision: Name
    tf32: bool
    channels_last: bool


class Task(TypedDict, total=False):
    reference_images: Whole | None


class Settings(TypedDict, total=False):
    """The part of the configuration that is read again."""

    seed: Seed
    labels: Labels
    protocol: Protocol
    score: Score
    sweep: Sweep
    attack: dict[str, Any]
    dataset: dict[str, Any]
    hardware: Hardware
    task: Task


class Threat(TypedDict, total=False):
    norm: Name
    epsilon: NonNegative
    goal: Name
    text: Name


class Attack(TypedDict, total=False):
    name: Name
    title: Name
    threat: Threat
    epsilon: NonNegative
    step_size: NonNegative
    steps: Whole


class DataSet(TypedDict, total=False):
    name: Name
    images: Whole
    classes: Whole
    digest: Name


class Group(TypedDict):
    architecture: Name
    seed: int | str
    recipe: str
    parent: NotRequired[Name]


class Model(TypedDict, total=False):
    name: Name
    family: Name
    classes: Whole
    pretrained: bool
    group: Group
    components: dict[Name, Scalar] | None


@with_config(ConfigDict(strict=True, extra="allow", allow_inf_nan=False))
class Summary(TypedDict, total=False):
    """The fields that are read again. The parts of it above have the same strictness."""

    task: Name
    name: Name
    title: str
    command: str
    created: Moment
    settings: Settings
    choices: dict[Name, str | list[str] | None]
    versions: dict[Name, Scalar]
    hardware: dict[Name, Scalar]
    timings: dict[Name, NonNegative]
    efficiency: Annotated[float, Field(ge=0, le=1)] | None
    planned_seconds: dict[Name, NonNegative]
    class_names: Annotated[list[str], Field(max_length=1_000_000)]
    models: dict[Name, Model] | list[Name]
    attack: Attack
    dataset: DataSet
    findings: list[str]
    warnings: list[str]
    measured: Annotated[str, Field(min_length=1, max_length=4096)]
    measured_digest: Name
    measured_name: str
    reference_name: str
    aside: str
    errors: str


SUMMARY = TypeAdapter(Summary)
CONFIGURED = ("settings", "models")
"""Fields that a run is configured from again. They must not contain interpolations, which would be resolved then."""


def decoded(content: bytes) -> dict[str, Any]:
    """The summary in the bytes of `summary.json`; ValueError that names the wrong field."""
    try:
        summary = strict_json.loads(content)
    except ValueError as error:
        raise ValueError(f"is no JSON ({error})") from error
    if not isinstance(summary, dict):
        raise ValueError("is no summary of a run")
    for field, value in leaves(summary):
        if fault := text.faults(value):
            raise ValueError(f"has a bad {field}: {fault}")
        if "${" in value and field.split(".")[0] in CONFIGURED:
            raise ValueError(f"has a bad {field}: {text.quoted(value)} is no plain text")
    try:
        SUMMARY.validate_python(summary)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"has a bad {text.cleaned(where)}: {text.quoted(first['input'])}, {first['msg']}") from None
    return summary


def leaves(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text in `value` with the field that it is in; the names of fields are texts too."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield field or "field", key
            yield from leaves(item, f"{field}.{text.cleaned(key)}" if field else text.cleaned(key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, field)
