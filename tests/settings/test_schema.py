"""Settings against the types in a signature: accepted values, and the messages for all others."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, with_config
from typing_extensions import TypedDict

from sat_exp.errors import UserError
from sat_exp.settings import checked
from sat_exp.settings.schema import STRICT
from sat_exp.settings.types import Confidence, Count, FileName, FilePath, Positive, RunName, Seed, Share, Side


@with_config(STRICT)
class Inner(TypedDict):
    size: Side
    std: Annotated[list[Positive], Field(min_length=1)]
    how: Literal["bicubic", "bilinear"]


def task(
    config: Any,
    *,
    count: Count,
    seeds: list[Seed] | None,
    name: FileName,
    inner: Inner | None,
    how: Literal["hard", "soft"] = "hard",
    share: Share = 0.5,
    recipes: dict[str, dict[str, Any]] | None = None,
    of: list[int] | str | None = None,
) -> None: ...


SOUND = {"count": 1, "seeds": [0], "name": "a", "inner": {"size": 32, "std": [1], "how": "bicubic"}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": 0}, "task.count=0: give a value of 1 or more"),
        ({"count": True}, "task.count=true: give a whole number"),
        ({"count": "5"}, "task.count='5': give a whole number"),
        ({"count": 2.0}, "task.count=2.0: give a whole number"),
        ({"count": 10**9}, "task.count=1000000000: give a value of 1,000,000 or less"),
        ({"count": None}, "task.count=null: give a whole number"),
        ({"seeds": 5}, "task.seeds=5: give a list, such as [A,B], or null"),
        ({"seeds": [0, -1]}, "task.seeds[1]=-1: give a value of 0 or more"),
        ({"name": ""}, "task.name='': give a text that is not empty"),
        ({"name": "a/b"}, "task.name=a/b: give a plain file name (invalid character)"),
        ({"how": "hart"}, "task.how=hart: give one of hard, soft"),
        ({"how": "sofd"}, "task.how=sofd: give one of soft, hard"),
        ({"share": float("nan")}, "task.share=nan: give a finite number"),
        ({"share": 2}, "task.share=2: give a value of 1 or less"),
        ({"inner": {**SOUND["inner"], "std": [0.5, 0]}}, "task.inner.std[1]=0: give a value above 0"),
        ({"inner": {**SOUND["inner"], "std": []}}, "task.inner.std=[]: give a list of 1 or more"),
        ({"inner": {**SOUND["inner"], "sizes": 1}}, "there is no setting task.inner.sizes; near it: task.inner.size"),
        ({"inner": {"size": 32}}, "task.inner.std has no value: give task.inner.std="),
        ({"inner": 5}, "task.inner=5: give settings, such as {A: 1}, or null"),
        ({"recipes": {"a": 5}}, "task.recipes.a=5: give settings, such as {A: 1}"),
        ({"of": 1.5}, "task.of=1.5: give a list, such as [A,B] or a text, or null"),
        ({"counts": 5}, "there is no setting task.counts; near it: task.count"),
        ({"name": "x" * 1000}, f"task.name={'x' * 60}…: give a text of at most 200 characters"),
    ],
)
def test_what_is_wrong_is_one_line(changes, said):
    with pytest.raises(UserError) as caught:
        checked(task, SOUND | changes, "task")
    assert str(caught.value) == said


def test_where_there_are_no_settings_none_is_near():
    empty = with_config(STRICT)(TypedDict("Empty", {}))
    with pytest.raises(UserError, match=r"^there is no setting task\.name: leave it out$"):
        checked(empty, {"name": 5}, "task")


def test_settings_come_back_as_they_were_given():
    assert checked(task, SOUND | {"name": 2024}, "task") == SOUND | {"name": "2024"}


@given(st.text())
def test_a_run_lies_below_its_folder(name):
    """Whatever is taken for the name of a run leads to a folder below the one it is put in."""
    try:
        checked(run, {"name": name})
    except UserError:
        return
    parts = name.split("/")
    assert not {"", ".", "..", "store", "wandb", "tables"} & set(parts)
    assert name.isprintable()
    assert "\\" not in name


def run(*, name: RunName) -> None: ...


def interval(*, confidence: Confidence, floor: Positive, path: FilePath) -> None: ...


@pytest.mark.parametrize("confidence", [0, 1, -1, 0.0, 1.0, float("nan"), float("inf"), "0.9", None, True])
def test_a_confidence_is_a_probability(confidence):
    with pytest.raises(UserError, match=r"^confidence="):
        checked(interval, {"confidence": confidence, "floor": 1, "path": "a"})


@pytest.mark.parametrize("path", ["", "a\0b", None, [], 1.5, "a" * 5000])
def test_a_path_can_be_a_path(path):
    with pytest.raises(UserError, match=r"^path="):
        checked(interval, {"confidence": 0.9, "floor": 1, "path": path})
