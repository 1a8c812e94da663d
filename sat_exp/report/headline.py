"""The head of the page: the results in sentences, the few most important numbers, and cautions about them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sat_exp.report.origin import UNKNOWN, Attack, Origin, in_percent, percent
from sat_exp.report.results import Results
from sat_exp.similarity.scores import between_models, transfer_rates

MEDIAN = {1: "", 2: "mean "}  # the median of so many rates by its usual name

FEW = 100  # images behind a number, below which the number needs a caution
APART = 0.05  # difference of clean accuracies from which `labels=own` needs a caution
MISTAKES = "labels=own counts every image, also those that a model classifies wrongly and with little confidence"
OF_UNTRAINED = "scores of untrained networks say nothing about trained ones"
INSTEAD = "prefer labels=consensus, or labels=truth where labels are known"


def headline(results: Results) -> str:
    """The findings of the run; those of its tables of pairs and models where its summary states none."""
    findings = results.summary.get("findings")
    return " ".join(measured(results.own, results.summary) if findings is None else findings)


def measured(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]) -> list[str]:
    """A measurement in at most three sentences: its pairs, or its models where it has no pairs; then what makes the
    numbers doubtful or, where nothing does, one more result."""
    models, pairs = (tables.get(name) for name in ("models", "pairs"))
    attack, labels = Attack.of(summary), summary.get("settings", {}).get("labels", "truth")
    found = [] if pairs is None else of_pairs(pairs, attack)
    more = [] if pairs is None else families(pairs)
    if not found and models is not None:
        found = of_models(models, attack, labels)
    return [*found[:2], *(doubts(models, pairs) or found[2:] or more)[:1]]


def of_pairs(pairs: pd.DataFrame, attack: Attack) -> list[str]:
    """SAT of one pair; the most and the least alike of many; for a row without SAT, its rates."""
    between = between_models(pairs)
    scored = between.dropna(subset=["sat"]).sort_values("sat", ascending=False, kind="stable")
    if len(scored) == 1:
        pair = scored.iloc[0]
        a, b = pair["model_a"], pair["model_b"]
        return [
            f"{attack.images.capitalize()} of {a} fool {b} on {rate(pair, 'transfer_rate_ab')} of {pair['images']:,} "
            f"images, those of {b} fool {a} on {rate(pair, 'transfer_rate_ba')}.",
            f"Their SAT is {value(pair, 'sat')}.",
        ]
    if scored.empty:
        ways = transfer_rates(between).sort_values("rate", ascending=False, kind="stable")
        if len(ways) == 0:
            return []
        texts = [f"of {way.source} fool {way.target} on {way.rate:.1%} of the images" for way in ways.itertuples()]
        if len(ways) == 1:
            return [f"{attack.images.capitalize()} {texts[0]}."]
        counts = f"{ways['source'].nunique()} to {ways['target'].nunique()} models"
        return [
            f"{attack.images.capitalize()} {texts[0]}, the most of {len(ways):,} transfers from {counts}.",
            f"Those {texts[-1]}, the least.",
        ]
    most, least, others = scored.iloc[0], scored.iloc[-1], scored.iloc[1:]
    close = int((others["sat_high"] >= most["sat_low"]).sum())
    others = f"; the interval{'s'[: close > 1]} of {close} other pair{'s'[: close > 1]} overlap{'s'[: close == 1]}"
    return [
        f"{most['model_a']} and {most['model_b']} are the most alike: SAT {value(most, 'sat')}{others * bool(close)}.",
        f"{least['model_a']} and {least['model_b']} are the least alike: {value(least, 'sat')}.",
    ]


def families(pairs: pd.DataFrame) -> list[str]:
    """A comparison of pairs of one family with other pairs, in a list; [] where there is only one kind."""
    scored = between_models(pairs).dropna(subset=["sat"])
    known = scored[(scored[["family_a", "family_b"]] != UNKNOWN).all(axis=1)]
    same = known["family_a"] == known["family_b"]
    if not same.any() or same.all():
        return []
    mean = known.groupby(same)["sat"].mean()
    return [f"Pairs of one family average {mean[True]:.2f}, pairs of different families {mean[False]:.2f}."]


def of_models(models: pd.DataFrame, attack: Attack, labels: str) -> list[str]:
    """The white-box success of the attack on one model or on many, and their clean accuracy where it is known."""
    attacked = models.dropna(subset="white_box_success").sort_values("white_box_success", kind="stable")
    if attacked.empty:
        return []
    several = len(attacked) > 1
    verb = "leads" if attack.targeted else "fools"
    goal = " to the goal class" if attack.targeted else ""
    on = (
        f"the images that {'they classify' if several else 'it classifies'} correctly"
        if labels == "truth"
        else "the images"
    )
    least, most = attacked.iloc[0], attacked.iloc[-1]
    known = attacked["clean_accuracy"].dropna()
    if not several:
        texts = [f"{short(attack)} {verb} {least['model']}{goal} on {rate(least, 'white_box_success')} of {on}."]
        return texts + [f"Its clean accuracy is {rate(least, 'clean_accuracy')}."] * len(known)
    ends = spread(attacked["white_box_success"])
    texts = [f"{short(attack)} {verb} {len(attacked)} models{goal} on {ends} of {on}."]
    if least["white_box_success"] < most["white_box_success"]:
        texts.append(f"{least['model']} withstands it best, at {value(least, 'white_box_success', '.1%')}.")
    return texts + [f"Clean accuracy is {spread(known)}."] * bool(len(known))


def short(attack: Attack) -> str:
    """For instance "PGD at 8/255"."""
    return f"{attack.title} at {attack.threat.removeprefix('L∞ ≤ ')}" if attack.title and attack.threat else attack.name


def doubts(models: pd.DataFrame | None, pairs: pd.DataFrame | None) -> list[str]:
    """What makes the numbers of a run doubtful, in one sentence in a list: few images, a weak attack, untrained
    networks; [] where nothing does."""
    parts, compared = [], pd.Series(dtype=float)
    if pairs is not None:
        compared = between_models(pairs).query("images > 0")["images"].dropna()
    if compared.empty and models is not None:
        compared = models["attacked"].dropna()
    if len(compared) and (fewest := int(compared.min())) < FEW:
        parts.append(
            f"{'a pair' if pairs is not None and len(compared) > 1 else 'the result'} rests on only {fewest} images"
        )
    if models is not None:
        weak = models[models["weak_attack"].astype(bool)].sort_values("white_box_success")
        if len(weak):
            least = f"{weak.iloc[0]['model']}, {weak.iloc[0]['white_box_success']:.1%}"
            effect = ", whose SAT is too low" * (pairs is not None)
            which = f" on {len(weak)} of {len(models)} models (least: {least}){effect}" * (len(models) > 1)
            parts.append(f"the attack is weak, with white-box success below 99%{which}")
        untrained = models[~models["pretrained"].astype(bool)]["model"]
        if len(untrained):
            parts.append(
                f"{listed(untrained, most=3)} {'are' if len(untrained) > 1 else 'is'} untrained: {OF_UNTRAINED}"
            )
    return [f"Read this with care: {'; '.join(parts)}."] * bool(parts)


def rate(row: Any, column: str) -> str:
    """For instance "12.3% (11.0% to 13.9%)": a rate, with its interval where that is known."""
    return value(row, column, ".1%")


def value(row: Any, column: str, form: str = ".2f") -> str:
    """For instance "4.21 (4.15 to 4.26)": a number, with its interval where that is known."""
    number, low, high = (row[column + end] for end in ("", "_low", "_high"))
    return format(number, form) + (f" ({low:{form}} to {high:{form}})" if np.isfinite(low) else "")


def with_ends(row: pd.Series, column: str) -> pd.Series:
    """A row whose `low` and `high` are named as the interval of `column`, for `value`."""
    return row.rename({end: f"{column}_{end}" for end in ("low", "high")})


def spread(rates: pd.Series) -> str:
    """For instance "84.0% to 99.1%", or "84.0%" where all are equal to this precision."""
    return " to ".join(dict.fromkeys(f"{end:.1%}" for end in (rates.min(), rates.max())))


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
    """The cautions that follow from a run's tables and that its findings do not state, then those in its summary."""
    models, pairs, notes = results.models, results.pairs, []
    stated = any(doubt in headline(results) for doubt in doubts(models, pairs))
    if models is not None and not stated:
        weak = models[models["weak_attack"].astype(bool)]
        if len(weak):
            rates = zip(weak["model"], weak["white_box_success"], strict=True)
            names = listed(f"{name} ({in_percent(rate)}%)" for name, rate in rates)
            notes.append(f"Weak attack: white-box success is below 99% on {names}; their SAT is too low.")
        untrained = models[~models["pretrained"].astype(bool)]
        if len(untrained):
            notes.append(f"Untrained networks: {listed(untrained['model'])}; {OF_UNTRAINED}.")
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
        least, most = (f"{name} ({in_percent(known[name])}%)" for name in (known.idxmin(), known.idxmax()))
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
