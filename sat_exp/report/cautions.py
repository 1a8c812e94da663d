"""What a reader must know before trusting the numbers of a page."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from sat_exp.report import results
from sat_exp.report.origin import Origin
from sat_exp.report.results import Results

APART = 0.05
"""Difference of clean accuracies from which `labels=own` calls for a caution."""

MISTAKES = "labels=own counts every image, also those that a model gets wrong anyway and changes its mind about easily"
INSTEAD = "prefer labels=consensus, or labels=truth where labels are known"


def warnings(found: Results) -> list[str]:
    """Cautions from a run's tables, then what the run itself noted."""
    notes = []
    if found.models is not None:
        models = found.models
        weak = models[models["weak_attack"].astype(bool)]
        if len(weak):
            rates = zip(weak["model"], weak["white_box_success"], strict=True)
            names = listed(f"{name} ({results.in_percent(rate)} %)" for name, rate in rates)
            notes.append(f"Weak attack: white-box success is below 99 % on {names}; SAT with them is too low.")
        untrained = models[~models["pretrained"].astype(bool)]
        if len(untrained):
            notes.append(
                f"Untrained networks: {listed(untrained['model'])}; their scores say nothing about trained ones."
            )
    if found.pairs is not None:
        accuracies = (
            pd.Series(dtype=float) if found.models is None else found.models.set_index("model")["clean_accuracy"]
        )
        notes += of_own_labels(Origin.of(found).labels, accuracies)
        missing = found.pairs[found.pairs["images"] == 0]
        if len(missing):
            names = listed((pair(row) for row in missing.to_dict("records")), separator="; ")
            notes.append(f"Missing pairs, for want of a common image: {names}.")
    return notes + [note for note in found.summary.get("warnings", []) if note not in notes]


def of_own_labels(labels: str | None, accuracies: pd.Series) -> list[str]:
    """The caution that `labels=own` calls for, or none.

    accuracies: clean accuracy, a fraction, by model; NaN where it is not known. None where labels are others, and where
    all accuracies are known and lie within `APART` of each other: there, models get about as many images wrong.
    """
    if labels != "own":
        return []
    known = accuracies.dropna()
    if len(known) and known.max() - known.min() > APART:
        least, most = (f"{name} ({results.in_percent(known[name])} %)" for name in (known.idxmin(), known.idxmax()))
        return [
            f"Accuracies differ, from {least} to {most}: {MISTAKES}, so that SAT here is in part how inaccurate two "
            f"models are; {INSTEAD}."
        ]
    if len(known) == 0 or len(known) < len(accuracies):
        return [f"Accuracies are not known: {MISTAKES}; where accuracies differ, {INSTEAD}."]
    return []


def pair(row: Mapping[Any, Any]) -> str:
    return f"{row['model_a']} and {row['model_b']}"


def listed(names: Iterable[str], separator: str = ", ", most: int = 12) -> str:
    known = list(names)
    return separator.join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")
