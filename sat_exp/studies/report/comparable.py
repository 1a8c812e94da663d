"""Which runs can be set side by side, and which of their models."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sat_exp.errors import UserError
from sat_exp.report.origin import Attack
from sat_exp.runs import Run
from sat_exp.tasks.finished import existing

DIGEST = re.compile(r"[,-][0-9a-f]{6}$")
"""The digest at the end of the names of folders of a sweep."""

IDENTITY = ("network", "input", "pretrained", "classes")
"""What the summary of a run states of a model; equal where two models of one name are one model."""


def compared(folders: Sequence[str]) -> tuple[dict[str, Run], dict[str, str]]:
    """The runs by label, and for each the reason why it is not comparable, "" where it is; UserError where fewer than
    two are"""
    found = labelled([existing(folder, "a finished run") for folder in folders])
    reasons: dict[str, str] = {}
    reference = None
    for label, one in found.items():
        reasons[label] = reason(one, reference)
        reference = reference or (one if not reasons[label] else None)
    if sum(not why for why in reasons.values()) < 2:
        named = "; ".join(f"{label}: {why}" for label, why in reasons.items() if why)
        raise UserError(f"fewer than two of the runs can be compared: {named}")
    return found, reasons


def labelled(folders: Sequence[Path]) -> dict[str, Run]:
    """The finished runs in these folders by a short name, the part of the path in which they differ; UserError where
    there is no run, and where one is named twice."""
    whole = [folder.absolute() for folder in folders]
    if twice := [folder for folder in whole if whole.count(folder) > 1]:
        raise UserError(f"task.runs names {twice[0]} twice: give each run once")
    common = os.path.commonpath([folder.parent for folder in whole])
    labels = [folder.relative_to(common).as_posix() for folder in whole]
    short = [DIGEST.sub("", label) for label in labels]
    chosen = short if len(set(short)) == len(short) else labels
    return {label: Run.open(folder) for label, folder in zip(chosen, whole, strict=True)}


def reason(run: Run, reference: Run | None) -> str:
    """Why a run cannot be compared with the reference, "" where it can. reference: None for the first measurement."""
    models, task = run.table("models"), run.summary.get("task", "another task")
    if run.measured is not None:
        return f"it is a study (task={task}): give the run that it studies, {run.measured}"
    if models is None:
        return f"it measured no models (task={task})"
    if reference is None:
        return ""
    own, other = run.summary, reference.summary
    for field, words in (("name", "images of {}"), ("classes", "images of {} classes")):
        pair = [summary.get("dataset", {}).get(field) for summary in (own, other)]
        if pair[0] != pair[1]:
            return f"it was measured on {words.format(pair[0])}, the first run on {words.format(pair[1])}"
    if Attack.of(own).targeted != Attack.of(other).targeted:
        return "only one of it and the first run has a targeted attack, which fools in another sense"
    first = reference.table("models")
    if first is None or not set(models["model"]) & set(first["model"]):
        return "it has no model in common with the first run"
    if not same_models(run, reference):
        return "all of its models are other networks, or have other weights, than those of the first run"
    return ""


def same_models(run: Run, reference: Run) -> list[str]:
    """The models of both runs that are the same network with the same weights, as far as their summaries state it."""
    own, other = names(run), names(reference)
    return [model for model in own if model in other and identity(run, model) == identity(reference, model)]


def names(run: Run) -> list[str]:
    """The models of a run in the order of its table."""
    models = run.table("models")
    return [] if models is None else list(models["model"])


def identity(run: Run, model: str) -> tuple[Any, ...]:
    """What identifies a model: its facts, the name of its file of weights and its number of parameters. A folder may
    have been moved, so the path of the file does not count."""
    described = run.summary.get("models")
    facts: Mapping[str, Any] = (described.get(model) or {}) if isinstance(described, Mapping) else {}
    table = run.table("models")
    parameters = float("nan") if table is None else table.set_index("model")["parameters"].get(model, float("nan"))
    checkpoint = facts.get("checkpoint")
    return (
        *(facts.get(field) for field in IDENTITY),
        None if checkpoint is None else Path(str(checkpoint)).name,
        None if pd.isna(parameters) else int(parameters),
    )


def cautions(runs: Mapping[str, Run], reasons: Mapping[str, str]) -> list[str]:
    """One sentence per run that is left out, and per run with models that are left out or with other images."""
    texts = [f"{label} is not compared: {why}." for label, why in reasons.items() if why]
    kept = [label for label, why in reasons.items() if not why]
    first = kept[0]
    for label in kept[1:]:
        common = [model for model in names(runs[label]) if model in names(runs[first])]
        if others := sorted(set(common) - set(same_models(runs[label], runs[first]))):
            texts.append(f"Models of {label} that are not those of {first}, and left out: {', '.join(others)}.")
        digests = [runs[one].summary.get("dataset", {}).get("digest") for one in (first, label)]
        if digests[0] != digests[1]:
            texts.append(f"{label} has other images than {first}, so that differences are also those of the images.")
    return texts
