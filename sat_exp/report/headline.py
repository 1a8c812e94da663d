"""The head of the page: the results in sentences, the few most important numbers, and cautions about them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from sat_exp.report.origin import UNKNOWN, Attack, Origin, in_percent, percent, percent_interval
from sat_exp.report.results import Results, between_models, model_families
from sat_exp.similarity.scores import transfer_rates

MEDIAN = {1: "", 2: "mean "}  # the median of so many rates by its usual name

APART = 0.05  # difference of clean accuracies from which `labels=own` needs a caution
MISTAKES = "labels=own counts every image, also those that a model classifies wrongly and with little confidence"
INSTEAD = "prefer labels=consensus, or labels=truth where labels are known"


def headline(results: Results) -> str:
    """The findings of the run, then the results in its tables of pairs and models."""
    sentences = list(results.summary.get("findings", []))
    measured = pairs(results) + models(results)
    if measured and {"pairs", "models"}.isdisjoint(results.own):
        sentences.append(f"Of the run studied, {Path(results.summary['measured']).name}:")
    return " ".join(sentences + measured)


def pairs(results: Results) -> list[str]:
    """SAT of one pair; the most and the least similar of many; for a row without SAT, its rates."""
    if results.pairs is None:
        return []
    scored = between_models(results.pairs).dropna(subset=["sat"])
    if len(scored) == 1:
        pair, origin = scored.iloc[0].to_dict(), Origin.of(results)
        a, b = pair["model_a"], pair["model_b"]
        return [
            f"{origin.attack.images.capitalize()} of {a} fool {b} on {percent_interval(pair, 'transfer_rate_ab')} of "
            f"{pair['images']:,} images, those of {b} fool {a} on {percent_interval(pair, 'transfer_rate_ba')}: SAT is "
            f"{pair['sat']:.2f} ({origin.level} interval {pair['sat_low']:.2f} to {pair['sat_high']:.2f})."
        ]
    if scored.empty:
        ways = transfer_rates(results.pairs)
        if ways.empty:
            return []
        most, least = ways.loc[ways["rate"].idxmax()], ways.loc[ways["rate"].idxmin()]
        return [
            f"Of {len(ways):,} transfers from {ways['source'].nunique()} to {ways['target'].nunique()} models, "
            f"that from {most['source']} to {most['target']} fools the most ({percent(most['rate'])} of images), "
            f"that from {least['source']} to {least['target']} the least ({percent(least['rate'])})."
        ]
    mean = scored[["transfer_rate_ab", "transfer_rate_ba"]].mean(axis=1, skipna=False)
    scored = scored.assign(mean=mean.fillna(np.exp(scored["sat"]) / 100))  # where only SAT is known
    most, least = (scored.loc[row].to_dict() for row in (scored["sat"].idxmax(), scored["sat"].idxmin()))
    sentences = [
        f"Of {len(scored):,} pairs of {len(model_families(scored))} models, {most['model_a']} and {most['model_b']} "
        f"are the most similar (SAT {most['sat']:.2f}, {percent(most['mean'])} mean transfer) and {least['model_a']} "
        f"and {least['model_b']} the least (SAT {least['sat']:.2f}, {percent(least['mean'])}); the median is "
        f"{scored['sat'].median():.2f}."
    ]
    known = scored[(scored[["family_a", "family_b"]] != UNKNOWN).all(axis=1)]
    same = known["family_a"] == known["family_b"]
    if same.any() and not same.all():
        sentences.append(
            f"Pairs of one family average {known.loc[same, 'sat'].mean():.2f}, pairs of different families "
            f"{known.loc[~same, 'sat'].mean():.2f}."
        )
    return sentences


def models(results: Results) -> list[str]:
    """The white-box success of the attack: on one model, or the median and the lowest of many."""
    if results.models is None:
        return []
    attacked = results.models.dropna(subset="white_box_success")
    attack = Attack.of(results.studied or results.summary).name
    if attacked.empty:
        return []
    if len(attacked) == 1:
        model = attacked.iloc[0].to_dict()
        clean = f"; its clean accuracy is {percent_interval(model, 'clean_accuracy')}"
        return [
            f"{attack} fools {model['model']} on {model['fooled']:,} of the {model['attacked']:,} attacked images, "
            f"{percent_interval(model, 'white_box_success')}{clean * bool(np.isfinite(model['clean_accuracy']))}."
        ]
    success = attacked["white_box_success"]
    worst = attacked.loc[success.idxmin()]
    return [
        f"{attack} fools the median model on {percent(success.median())} of the images on which it is attacked "
        f"(lowest: {worst['model']}, {percent(worst['white_box_success'])})."
    ]


def key_numbers(results: Results) -> list[tuple[str, str]]:
    """(value, name) of the numbers at the top of the page, without those that are unknown."""
    numbers: list[tuple[str, str]] = []
    if results.models is not None and len(results.models):
        table = results.models
        numbers.append((f"{len(table)}", "model" if len(table) == 1 else "models"))
        numbers.append((f"{table['images'].max():,}", "images"))
        for column, name in (("clean_accuracy", "clean accuracy"), ("white_box_success", "white-box success")):
            if len(known := table[column].dropna()):
                numbers.append((percent(known.median()), name if len(known) == 1 else f"median {name}"))
    elif results.pairs is not None:
        numbers.append((f"{len(results.families)}", "models"))
    if results.pairs is not None:
        if len(rates := transfer_rates(results.pairs)["rate"]):
            numbers.append((percent(rates.median()), f"{MEDIAN.get(len(rates), 'median ')}transfer rate"))
        if len(sat := between_models(results.pairs)["sat"].dropna()):
            numbers.append((f"{sat.median():.2f}", "SAT" if len(sat) == 1 else "median SAT"))
    return numbers


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
