"""The recommendation in words, and on the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich.table import Table

from sat_exp.report.headline import rate, value
from sat_exp.similarity.scores import WEAK_ATTACK
from sat_exp.studies.pick.choices import ACCURATE, SINGLE
from sat_exp.tasks import printing

SHOWN = 8
"""The most sources that are printed."""

SURE = 0.9
"""The share of the draws of images in which a choice must win to be called certain."""

PRINTED = {
    "ensemble_choices": (
        "ensembles by strategy (errors on images that the choice did not use)",
        {"strategy": "", "models": "", "held out error": ".2%", "fewer errors": "+.2%"},
    ),
    "least_similar": ("the least similar models", {"models": "", "mean sat": ".2f", "first": ".0%"}),
    "surrogates": (
        "the best sources",
        {"source": "", "mean transfer rate": ".1%", "behind best": ".1%", "first": ".0%"},
    ),
}
"""The title and the columns of each table."""


def sentences(tables: Mapping[str, pd.DataFrame], target: str | None) -> list[str]:
    """What to choose, and how sure that is."""
    if "ensemble_choices" in tables:
        return of_choices(tables["ensemble_choices"])
    if "least_similar" in tables:
        return of_least_similar(tables["least_similar"])
    return of_surrogates(tables["surrogates"], target)


def of_choices(choices: pd.DataFrame) -> list[str]:
    best = choices[choices["strategy"] != SINGLE].iloc[0]
    accurate, single = (choices[choices["strategy"] == name].iloc[0] for name in (ACCURATE, SINGLE))
    better = best["fewer_errors_low"] > 0
    chosen = best if better else accurate
    build = f"Build {chosen['models']}. On images that the choice did not use, its error is "
    build += rate(chosen, "held_out_error")
    texts = []
    if better:
        texts.append(
            f"{build}, which is {points(best, 'fewer_errors')} less than that of the {best['size']} most accurate "
            f"models, {accurate['models']}. It was chosen by {best['strategy']}."
        )
    else:
        texts.append(f"{build}. These are the most accurate models, and no other choice is certainly better.")
        if best["strategy"] != ACCURATE:
            error = f"its error is {points(best, 'fewer_errors')} less"
            texts.append(f"The closest other choice is {best['models']}, by {best['strategy']}: {error}.")
    gain = 100 * (single["held_out_error"] - chosen["held_out_error"])
    texts.append(
        f"The best single model, {single['models']}, has an error {abs(gain):.1f} points "
        f"{'higher' if gain >= 0 else 'lower'}."
    )
    return texts


def of_least_similar(choices: pd.DataFrame) -> list[str]:
    best = choices.iloc[0]
    texts = [
        f"Build {best['models']}. The mean SAT of these models is {value(best, 'mean_sat')}, the least of "
        f"all ensembles of {best['size']}, and it stays the least in {best['first']:.0%} of the draws of the images."
    ]
    if best["first"] < SURE:
        texts.append(f"That is not certain: {choices.iloc[1]['models']} is nearly as good.")
    return [*texts, "Without labels the accuracy of the models and the gain of the ensemble are unknown."]


def of_surrogates(sources: pd.DataFrame, target: str | None) -> list[str]:
    best, rivals = sources.iloc[0], sources.iloc[1:]
    whom = target or f"the other {best['targets']} models on average"
    share = rate(best, "mean_transfer_rate")
    texts = [f"Attack {best['source']}: its adversarial images fool {whom} on {share} of the images."]
    if len(rivals):
        after = rivals.iloc[0]
        equal = rivals[~(rivals["behind_best_low"] > 0)]["source"].tolist()
        sure = f"Within the interval {' and '.join(equal)} may be as good." if equal else "No other source comes close."
        texts.append(f"Its lead over {after['source']}, the next, is {points(after, 'behind_best')}. {sure}")
    if weak := int((sources["white_box_success"] < WEAK_ATTACK).sum()):
        texts.append(
            f"The attack fools {weak} of the {len(sources)} sources on less than {WEAK_ATTACK:.0%} of their own "
            "images: with more steps the order may change."
        )
    return texts


def points(row: Any, name: str) -> str:
    """For instance "1.2 points (0.1 to 2.3)": a difference of rates with its interval."""
    value, low, high = (100 * row[name + end] for end in ("", "_low", "_high"))
    return f"{value:.1f} points ({low:.1f} to {high:.1f})"


def printed(tables: Mapping[str, pd.DataFrame], title: str) -> Iterator[Table]:
    """The table that the answer comes from."""
    for name, (words, formats) in PRINTED.items():
        if name in tables:
            rows = tables[name].head(SHOWN).rename(columns=lambda column: column.replace("_", " "))
            yield printing.table(f"{title}\n{words}", rows, formats)
