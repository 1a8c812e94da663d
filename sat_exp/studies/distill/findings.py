"""The findings of the study in words: sentences for the page, and the tables that the console shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Column

from sat_exp.studies.distill import gains
from sat_exp.studies.distill.teachers import agreement
from sat_exp.tasks import printing, results

CHANGES = {
    "gain": ("A teacher changes a student's accuracy, in percentage points,", 100),
    "sat_change": ("Distillation changes the SAT of student and teacher", 1),
    "beyond_others": ("It changes the SAT with the teacher more than with the other teachers", 1),
}
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
        spearman, ends = correlation(row)
        sentences.append(
            f"Rank correlation of the gain with {MEASURES[row.measure]}, with the student and the other measure "
            f"accounted for: {spearman} ({ends}, p = {number(row.p)})."
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
        show_pairs(console, tables["by_pair"])
        show_relations(console, tables["relations"], tables["pickers"])
    console.print(f"report: {page}", soft_wrap=True)


def show_ranking(ranking: pd.DataFrame) -> None:
    """Print the teachers of each student in the order of a ranking before training."""
    console = printing.console()
    for student, rows in ranking.groupby("student", sort=False):
        title = f"{student}: teachers, ranked before training; gains above its average teacher's"
        numbers = "SAT", "accuracy", "expected", "gave others"
        table = printing.table(title, "rank", Column("teacher", overflow="fold"), numbers=numbers)
        for row in rows.itertuples():
            known = f"{row.sat_before:.2f}", f"{row.teacher_accuracy:.1%}"
            expected = f"{row.expected:+.2%}", results.number(row.gave_others, "+.2%")
            table.add_row(str(row.rank), str(row.teacher), *known, *expected)
        console.print(table)


def show_pairs(console: Console, pairs: pd.DataFrame) -> None:
    """Print the gain of each student from each teacher, largest first."""
    for student, rows in pairs.groupby("student"):
        title = f"{student}, {rows['baseline'].mean():.2%} alone"
        numbers = "teacher's accuracy", "SAT before", "after", "student", "gain"
        table = printing.table(title, "teacher", numbers=numbers)
        for row in rows.sort_values("gain", ascending=False).itertuples():
            sat, rates = (number(row.sat_before), number(row.sat_after)), (f"{row.accuracy:.2%}", f"{row.gain:+.2%}")
            table.add_row(str(row.teacher), f"{row.teacher_accuracy:.1%}", *sat, *rates)
        console.print(table)


def show_relations(console: Console, relations: pd.DataFrame, rankers: pd.DataFrame) -> None:
    """Print the correlations of the gain, and how well rankings before training agreed with it."""
    for group, rows in relations.dropna(subset="spearman").groupby("group", sort=False):
        title = f"rank correlation with the gain, {group}: {rows['pairs'].iloc[0]} pairs"
        table = printing.table(title, "measure", "given", numbers=["correlation", "95 %", "p"])
        for row in rows.itertuples():
            table.add_row(str(row.measure), str(row.given), *correlation(row), number(row.p))
        console.print(table)
    title = "agreement of rankings made before training with the gain"
    table = printing.table(title, "ranking by", "fitted without", numbers=["correlation", "95 %", "p", "gain lost"])
    for row in rankers.itertuples():
        lost = results.number(row.regret, ".2%")
        table.add_row(str(row.ranker), str(row.left_out), *correlation(row), number(row.p), lost)
    console.print(table)


def correlation(row: Any) -> tuple[str, str]:
    return number(row.spearman), f"{number(row.low)} to {number(row.high)}"


def number(value: float) -> str:
    return results.number(value, ".2f")
