"""Cautions about the numbers of a page."""

from collections.abc import Iterable

import pandas as pd

from sat_exp.report.numbers import in_percent
from sat_exp.report.origin import Origin
from sat_exp.report.results import Results

APART = 0.05
"""Difference of clean accuracies from which `labels=own` needs a caution."""

MISTAKES = "labels=own counts every image, also those that a model classifies wrongly and with little confidence"
INSTEAD = "prefer labels=consensus, or labels=truth where labels are known"


def warnings(results: Results) -> list[str]:
    """The cautions that follow from a run's tables, then those in its summary."""
    models, pairs, notes = results.models, results.pairs, []
    if models is not None:
        weak = models[models["weak_attack"].astype(bool)]
        if len(weak):
            rates = zip(weak["model"], weak["white_box_success"], strict=True)
            names = listed(f"{name} ({in_percent(rate)} %)" for name, rate in rates)
            notes.append(f"Weak attack: white-box success is below 99 % on {names}; their SAT is too low.")
        untrained = models[~models["pretrained"].astype(bool)]
        if len(untrained):
            notes.append(
                f"Untrained networks: {listed(untrained['model'])}; their scores say nothing about trained networks."
            )
    if pairs is not None:
        accuracies = pd.Series(dtype=float) if models is None else models.set_index("model")["clean_accuracy"]
        notes += own_labels(Origin.of(results).labels, accuracies)
        missing = pairs[pairs["images"] == 0]
        if len(missing):
            names = listed((f"{row.model_a} and {row.model_b}" for row in missing.itertuples()), separator="; ")
            notes.append(f"Missing pairs, without a common image: {names}.")
    return notes + [note for note in results.summary.get("warnings", []) if note not in notes]


def own_labels(labels: str | None, accuracies: pd.Series) -> list[str]:
    """The caution that `labels=own` needs, in a list; [] for other labels, and where all accuracies are known and
    within `APART`, because such models classify about as many images wrongly.

    accuracies: clean accuracy, a fraction, by model; NaN where it is unknown.
    """
    if labels != "own":
        return []
    known = accuracies.dropna()
    if len(known) and known.max() - known.min() > APART:
        least, most = (f"{name} ({in_percent(known[name])} %)" for name in (known.idxmin(), known.idxmax()))
        return [
            f"Accuracies differ, from {least} to {most}: {MISTAKES}. SAT is then in part the inaccuracy of the two "
            f"models; {INSTEAD}."
        ]
    if len(known) == 0 or len(known) < len(accuracies):
        return [f"Accuracies are unknown: {MISTAKES}. Where accuracies differ, {INSTEAD}."]
    return []


def listed(names: Iterable[str], separator: str = ", ", most: int = 12) -> str:
    """The first `most` names, and the number of the others."""
    known = list(names)
    return separator.join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")
