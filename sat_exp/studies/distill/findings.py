"""The findings of the study in words: sentences for the page, and the tables that the console shows."""

from collections.abc import Iterator, Mapping

import pandas as pd
from rich.table import Table

from sat_exp.studies.distill import gains
from sat_exp.studies.distill.rankers import agreement
from sat_exp.tasks import printing, results

CHANGES = {
    "gain": ("A teacher changes a student's accuracy, in percentage points,", 100),
    "sat_change": ("Distillation changes the SAT of student and teacher", 1),
}
PAIRS = {"teacher": "", "teacher_accuracy": ".1%", "sat_before": ".2f", "sat_after": ".2f"}
PAIRS |= {"accuracy": ".2%", "gain": "+.2%"}
RANKING = {"rank": "", "teacher": "", "sat_before": ".2f", "teacher_accuracy": ".1%"}
RANKING |= {"expected": "+.2%", "gave_others": "+.2%"}
CORRELATION = {"spearman": ".2f", "low": ".2f", "high": ".2f", "p": ".2f"}
RANKERS = {"ranker": "", "left_out": ""} | CORRELATION | {"regret": ".2%"}


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The gain, its relation to the SAT before, and how well a ranking predicted it or else how SAT changed."""
    if "gains" not in tables:
        return ["No student has both a baseline and a training with a teacher yet."]
    changes = tables["changes"][tables["changes"]["group"] == gains.ALL].set_index("quantity")
    relations = tables["relations"].dropna(subset="spearman").query("group == @gains.ALL")
    relations = relations[
        relations["given"].str.contains("+", regex=False) & (relations["measure"] == gains.SIMILARITY)
    ]
    sentences = of_change(changes, "gain") + [of_relation(row) for _, row in relations.iterrows()]
    if "picked" not in tables:
        return sentences + of_change(changes, "sat_change")
    return sentences + [
        f"The ranking of {row.student}'s {row.teachers} teachers before their training has a rank correlation of "
        f"{number(row.spearman)} with the gain (p = {number(row.p)})."
        for row in agreement(tables["picked"]).itertuples()
    ]


def of_change(changes: pd.DataFrame, quantity: str) -> list[str]:
    """The mean of a quantity in CHANGES over all pairs, in a list; [] where it is not known."""
    if quantity not in changes.index:
        return []
    words, unit = CHANGES[quantity]
    row = changes.loc[quantity]
    mean, low, high = (results.number(unit * row[name], "+.2f") for name in ("mean", "low", "high"))
    if row["pairs"] < 2:
        return [f"{words} by {mean} in one pair, which is no evidence for others."]
    doubt = ", an interval that includes 0" * bool(row["low"] <= 0 <= row["high"])
    return [
        f"{words} by {mean} on average ({low} to {high}{doubt}), above 0 in {row['positive']:.0%} of {row['pairs']} "
        "pairs."
    ]


def of_relation(row: pd.Series) -> str:
    numbers = f"{number(row['spearman'])} ({number(row['low'])} to {number(row['high'])}, p = {number(row['p'])})"
    with_what = "the rank correlation, with the student and the teacher's accuracy accounted for, is"
    if not (row["low"] > 0 or row["high"] < 0):
        return f"Whether the gain depends on the SAT of the two before is uncertain: {with_what} {numbers}."
    way = "more" if row["spearman"] > 0 else "less"
    return f"The {way} alike teacher and student by SAT before, the larger the gain: {with_what} {numbers}."


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The teachers of each student, and how well rankings made before training agree with the gain."""
    if "gains" not in tables:
        return
    for student, rows in tables["by_pair"].groupby("student"):
        title = f"{student}, {rows['baseline'].mean():.2%} alone"
        yield printing.table(title, rows.sort_values("gain", ascending=False), PAIRS)
    yield printing.table("agreement of rankings made before training with the gain", tables["pickers"], RANKERS)


def show_ranking(ranking: pd.DataFrame) -> None:
    """Print the teachers of each student in the order of a ranking before training."""
    for student, rows in ranking.groupby("student", sort=False):
        title = f"{student}: teachers, ranked before training; gains above its average teacher's"
        printing.console().print(printing.table(title, rows, RANKING))


def number(value: float) -> str:
    return results.number(value, ".2f")
