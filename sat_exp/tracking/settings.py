"""The settings of tracking, checked against the limits of W&B."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from sat_exp.settings import checked
from sat_exp.settings.types import Project, Seconds, Text

Recording = Literal["online", "offline", "disabled"]
Mode = Literal["auto", "online", "offline", "disabled"]

Label = Annotated[Text, Field(max_length=128)]
Tag = Annotated[Text, Field(max_length=64)]


@dataclass(frozen=True)
class Tracking:
    """Where W&B records a run.

    mode: `auto` is online where W&B finds credentials and offline elsewhere; `WANDB_MODE` in the environment decides
    first. connect_seconds: to wait for the server at the start, then the run is recorded offline. upload_seconds: to
    wait for uploads at the end, which `wandb sync` can finish later. group: by default, runs whose folders are in the
    same folder form one group, such as the jobs of a sweep.
    """

    mode: Mode = "auto"
    project: Project = "sat_exp"
    entity: Project | None = None
    group: Label | None = None
    tags: Sequence[Tag] = ()
    connect_seconds: Seconds = 15.0
    upload_seconds: Seconds = 300.0

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "tracking")
