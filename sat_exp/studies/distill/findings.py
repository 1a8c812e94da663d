"""The findings of the study in words: sentences for the page, and the tables that the console shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sat_exp.studies.distill import gains
from sat_exp.studies.distill.rankers import agreement
from sat_exp.tasks import printing, results

CHANGES = {
    "gain": ("A teacher changes a student's accuracy, in percentage points,", 100),
    "sat_change": ("Distillation changes the SAT of student and teacher", 1),
    "beyond_others": ("It changes the SAT with the teacher more than with the other teachers", 1),
}
PAIRS = {"teacher": "", "teacher_accuracy": ".1%", "sat_before": ".2f", "sat_after": ".2f"}
PAIRS |= {"accuracy": ".2%", "gain": "+.2%"}
RANKING = {"rank": "", "teacher": "", "sat_before": ".2f", "teacher_accuracy": ".1%"}
RANKING |= {"expected": "+.2%", "gave_others": "+.2%"}
CORRELATION = {"spearman": ".2f", "low": ".2f", "high": ".2f", "p": ".2f"}
RELATIONS = {"measure": "", "given": ""} | CORRELATION
RANKERS = {"ranker": "", "left_out": ""} | CORRELATION | {"regret": ".2%"}
MEASURES = {gains.SIMILARITY: "the SAT of the two before", gains.ACCURACY: "the teacher's accuracy"}


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The result in a few sentences."""
    if "gains" not in tables:
        return ["No student has both a baseline and a training with a teacher yet."]
    sentences = []
    changes = tables["changes"][tables["changes"]["group"] == gains.ALL].set_index("quantity")
    for quantity, (words, unit) in CHANGES.items():
        if quantity in changes.index:
            row = changes.loc[quantity]
            mean, low, high = (results.number(unit * row[name], "+.2f") for name in ("mean", "low", "high"))
            spread = f" on average ({low} to {high}), above 0 in {row['positive']:.0%} of {row['pairs']} pairs"
            sentences.append(f"{words} by {mean}{spread if row['pairs'] > 1 else ''}.")
    relations = tables["relations"].dropna(subset="spearman").query("group == @gains.ALL")
    for row in relations[relations["given"].str.contains("+", regex=False)].itertuples():
        sentences.append(
            f"Rank correlation of the gain with {MEASURES[row.measure]}, with the student and the other measure "
            f"accounted for: {number(row.spearman)} ({number(row.low)} to {number(row.high)}, p = {number(row.p)})."
        )
    if "picked" in tables:
        sentences += [
            f"The ranking of {row.student}'s {row.teachers} teachers before their training has a rank correlation of "
            f"{number(row.spearman)} with the gain (p = {number(row.p)})."
            for row in agreement(tables["picked"]).itertuples()
        ]
    return sentences


def show(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any], page: Path) -> None:
    """Print the results."""
    console = printing.console()
    console.print(summary["title"], soft_wrap=True)
    for finding in summary["findings"]:
        console.print(finding, soft_wrap=True)
    if "gains" in tables:
        for student, rows in tables["by_pair"].groupby("student"):
            title = f"{student}, {rows['baseline'].mean():.2%} alone"
            console.print(printing.table(title, rows.sort_values("gain", ascending=False), PAIRS))
        for group, rows in tables["relations"].dropna(subset="spearman").groupby("group", sort=False):
            title = f"rank correlation with the gain, {group}: {rows['pairs'].iloc[0]} pairs"
            console.print(printing.table(title, rows, RELATIONS))
        title = "agreement of rankings made before training with the gain"
        console.print(printing.table(title, tables["pickers"], RANKERS))
    console.print(f"report: {page}", soft_wrap=True)


def show_ranking(ranking: pd.DataFrame) -> None:
    """Print the teachers of each student in the order of a ranking before training."""
    for student, rows in ranking.groupby("student", sort=False):
        title = f"{student}: teachers, ranked before training; gains above its average teacher's"
        printing.console().print(printing.table(title, rows, RANKING))


def number(value: float) -> str:
    return results.number(value, ".2f")
