"""The findings of runs side by side in words, and on the terminal."""

from collections.abc import Iterator, Mapping

import pandas as pd
from rich.table import Table

from sat_exp.report.headline import value
from sat_exp.tasks import printing

SHOWN = 5
"""The most pairs that are printed."""

FEW = 6
"""Models below which a rank correlation over their pairs says little."""

SETTINGS = {"title": "attack", "epsilon": "ε", "steps": "steps", "images": "number of images"}
SETTINGS |= {name: name for name in ("labels", "protocol", "version")}
NAMED = 3
"""The most runs that a sentence names."""

RUNS = {"run": "", "ε": "g", "images": ",", "clean": ".1%", "white-box": ".1%", "transfer": ".1%", "SAT": ".2f"}
AGREEMENT = {"run": "", "pairs": "", "rank correlation": "s", "difference": "+.2f", "same nearest": "s"}
PAIRS = {"model_a": "", "model_b": "", "run": "", "measured": ".2f", "reference": ".2f"}
COLUMNS = {"epsilon": "ε", "clean_accuracy": "clean", "white_box_success": "white-box", "transfer_rate": "transfer"}
COLUMNS |= {"sat": "SAT"}


def sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The settings in which the comparable runs differ, whether they order the pairs alike, the pair that differs most,
    and how the success of the attack differs."""
    texts = [settings(tables["runs"][tables["runs"]["comparable"]])]
    if "run_agreement" in tables:
        agreement, largest = tables["run_agreement"], tables["pair_differences"].iloc[0]
        texts.append(ordered(agreement))
        texts.append(
            f"{largest['model_a']} and {largest['model_b']} differ most: SAT {largest['measured']:.2f} in "
            f"{largest['run']}, {largest['reference']:.2f} in {agreement['reference'].iloc[0]}."
        )
    kept = tables["runs"][tables["runs"]["comparable"]].dropna(subset="white_box_success")
    if len(kept):
        most, least = (kept.loc[place(kept["white_box_success"])] for place in (pd.Series.idxmax, pd.Series.idxmin))
        text = f"White-box success is {most['white_box_success']:.1%} in {most['run']}"
        if least["run"] != most["run"]:
            text += f" and {least['white_box_success']:.1%} in {least['run']}"
        weak = int(kept["weak_attacks"].gt(0).sum())
        doubt = f"; in {weak} of {len(kept)} runs it is below 99% for some models, and their SAT is too low"
        texts.append(f"{text}, on average over models{doubt * bool(weak)}.")
    return texts


def settings(runs: pd.DataFrame) -> str:
    """The settings in which the runs differ, with the values of the runs in their order."""
    texts = []
    for column, name in SETTINGS.items():
        if runs[column].nunique(dropna=False) > 1:
            values = [f"{value:g}" if isinstance(value, float) else str(value) for value in runs[column]]
            texts.append(f"{name} ({', '.join(values)})")
    if runs["images_digest"].nunique(dropna=False) > 1 and runs["images"].nunique() == 1:
        texts.append("the choice of images")
    names = ", ".join(runs["run"]) if len(runs) <= NAMED else f"The {len(runs)} runs"
    return f"{names} differ in {', '.join(texts)}." if texts else f"{names} have the same attack, images and protocol."


def ordered(agreement: pd.DataFrame) -> str:
    """How far the runs order the pairs like the reference: the run that agrees least."""
    known = agreement.dropna(subset="spearman")
    if known.empty:
        return "Whether the runs order the pairs alike is unknown: SAT of all pairs is equal."
    row = known.loc[known["spearman"].idxmin()]
    over = f"over {row['pairs']:,} pairs of {row['models']} models"
    numbers = value(row, "spearman")
    least = f", the least of {len(known)} runs," * (len(known) > 1)
    if row["models"] < FEW:
        return (
            f"SAT in {row['run']} and in {row['reference']} has a rank correlation of {row['spearman']:.2f} {over}, "
            "too few to rely on."
        )
    if not row["spearman_low"] > 0:
        return (
            f"It is uncertain that {row['run']} and {row['reference']} order the pairs alike: the interval of their "
            f"rank correlation{least} includes 0, {numbers} {over}."
        )
    return f"SAT in {row['run']} and in {row['reference']} has a rank correlation of {numbers}{least} {over}."


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The runs, their agreement with the first one, and the pairs that differ most."""
    title = "runs (means over models, directions and pairs)"
    yield printing.table(title, tables["runs"].rename(columns=COLUMNS), RUNS)
    if "run_agreement" in tables:
        agreement = tables["run_agreement"]
        rows = agreement.assign(
            **{
                "rank correlation": [value(row, "spearman") for _, row in agreement.iterrows()],
                "difference": agreement["offset"],
                "same nearest": [f"{row.same_nearest:g} of {row.models}" for row in agreement.itertuples()],
            }
        )
        yield printing.table(f"agreement with {agreement['reference'].iloc[0]}", rows, AGREEMENT)
        yield printing.table("largest differences of SAT", tables["pair_differences"].head(SHOWN), PAIRS)
