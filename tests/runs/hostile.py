"""Forged runs: their manifest matches their files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sat_exp import runs

Change = Callable[[Path], None]


def sealed(folder: Path, into: Path, *changes: Change) -> Path:
    """A copy of a run in which `changes` were made, with a manifest that fits."""
    shutil.copytree(folder, into, ignore=shutil.ignore_patterns("wandb"))
    for change in changes:
        change(into)
    runs.seal(into)
    return into


def summary(**fields: Any) -> Change:
    """Fields of the summary, `outer__inner`, become others; `...` takes one away."""

    def change(folder: Path) -> None:
        path = folder / "summary.json"
        whole = json.loads(path.read_text())
        for name, value in fields.items():
            *outer, last = name.split("__")
            place = whole
            for part in outer:
                place = place[part]
            place[last] = value
            if value is ...:
                del place[last]
        path.write_text(json.dumps(whole))

    return change


def raw(file: str, content: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / file).write_bytes(content)

    return change


def table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    """The table `name` becomes another."""

    def changed(folder: Path) -> None:
        path = folder / f"tables/{name}.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)

    return changed


def value(name: str, column: str, of: Any, row: int = 0) -> Change:
    """One value of a column becomes another."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        column_of = frame[column].astype(object)
        column_of.iloc[row] = of
        try:
            return frame.assign(**{column: pd.to_numeric(column_of)})
        except (TypeError, ValueError):
            return frame.assign(**{column: column_of.astype(str)})

    return table(name, change)


SUMMARIES: dict[str, Change] = {
    "cut": lambda folder: raw("summary.json", (folder / "summary.json").read_bytes()[:-20])(folder),
    "empty": raw("summary.json", b""),
    "a list": raw("summary.json", b"[]"),
    "nothing": raw("summary.json", b"null"),
    "binary": raw("summary.json", bytes(range(256))),
    "deep": raw("summary.json", b"[" * 100_000),
    "infinite": raw("summary.json", b'{"seed": 1e999}'),
    "a half of a character": raw("summary.json", b'{"title": "\\ud800"}'),
    "twice": raw("summary.json", b'{"title": "a", "title": "b"}'),
    "a number for a title": summary(title=1),
    "a title that a terminal obeys": summary(title="\x1b]0;owned\x07"),
    "a text for settings": summary(settings="all"),
    "labels of another kind": summary(settings__labels="guess"),
    "no number for a floor": summary(settings__score__floor="0.01"),
    "a floor of nothing": summary(settings__score__floor=0),
    "a confidence of 1": summary(settings__score__confidence=1),
    "a list for choices": summary(choices=["a"]),
    "a text for models": summary(models="all"),
    "a number for a model": summary(models={"fashion_resnet": 1}),
    "a group that is none": summary(models__fashion_resnet__group=["a"]),
    "a model that is looked up": summary(models__fashion_resnet__checkpoint="${oc.env:HOME}"),
    "a text for a data set": summary(dataset="mine"),
    "a text for an attack": summary(attack="pgd"),
    "a text for epsilon": summary(attack__epsilon="8"),
    "a text for the threat model": summary(attack__threat="L2"),
    "a text for class names": summary(class_names="shirt"),
    "numbers for class names": summary(class_names=[1, 2]),
    "a text for findings": summary(findings="found"),
    "numbers for warnings": summary(warnings=[1]),
    "a text for a time": summary(timings={"attack": "long"}),
    "a time below 0": summary(timings={"attack": -1}),
    "no moment": summary(created="yesterday"),
    "a number for what was studied": summary(measured=3),
    "a list for versions": summary(versions=[1]),
    "a list for hardware": summary(hardware=[1]),
}
"""Each must end in one line for every task that reads a run."""

LACKING: dict[str, Change] = {
    "an object": raw("summary.json", b"{}"),
    "no settings": summary(settings=...),
    "no score": summary(settings__score=...),
    "no attack": summary(attack=...),
    "no digest": summary(dataset__digest=...),
    "no models": summary(models=...),
    "a list for models": summary(models=["fashion_resnet"]),
}
"""What some tasks need and others do without."""


def without(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.drop(columns=column)


PAIRS: dict[str, Change] = {
    "cut": lambda folder: raw("tables/pairs.parquet", (folder / "tables/pairs.parquet").read_bytes()[:-9])(folder),
    "empty": raw("tables/pairs.parquet", b""),
    "garbage": raw("tables/pairs.parquet", b"PAR1" + bytes(range(200)) + b"PAR1"),
    "without sat": table("pairs", without("sat")),
    "without names": table("pairs", without("model_b")),
    "SAT that is text": value("pairs", "sat", "high"),
    "SAT infinite": value("pairs", "sat", np.inf),
    "SAT of a rate above 1": value("pairs", "sat", 4.7),
    "SAT below the floor": value("pairs", "sat", -4.7),
    "a rate above 1": value("pairs", "transfer_rate_ab", 1.1),
    "a rate below 0": value("pairs", "transfer_rate_ba_low", -0.1),
    "a count below 0": value("pairs", "fooled_ab", -1),
    "more fooled than images": value("pairs", "fooled_ab", 10_000),
    "a pair twice": table("pairs", lambda frame: pd.concat([frame, frame.iloc[[1]]])),
    "a pair twice, the other way": table(
        "pairs", lambda frame: pd.concat([frame, frame.iloc[[1]].rename(
            columns={"model_a": "model_b", "model_b": "model_a"})])
    ),
    "no name": value("pairs", "model_a", ""),
    "a name that a terminal obeys": value("pairs", "model_a", "\x1b[31mred"),
    "a name of two lines": value("pairs", "model_a", "a\nerror: b"),
    "a long name": value("pairs", "model_a", "a" * 301),
    "numbers for names": table("pairs", lambda frame: frame.assign(model_a=range(len(frame)))),
    "lists for names": table("pairs", lambda frame: frame.assign(model_a=[["a"]] * len(frame))),
}  # fmt: skip
"""Each must end in one line for every task that reads pairs."""
