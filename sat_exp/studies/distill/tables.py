"""The schemas of the tables of a study of distillation. Accuracies and gains are fractions."""

from dataclasses import replace

from sat_exp.runs.measurement_tables import MODELS, PAIRS
from sat_exp.runs.schema import (
    CORRELATION,
    COUNT,
    FLAG,
    NAME,
    NUMBER,
    RANK,
    RATE,
    SAT,
    SECONDS,
    TEXT,
    Table,
    columns,
)

TAUGHT = columns(NAME, "student teacher")
KNOWN_BEFORE = TAUGHT | {"sat_before": SAT, "teacher_accuracy": RATE}
RANKED = KNOWN_BEFORE | {"expected": NUMBER, "rank": RANK, "gain": NUMBER, "gain_rank": RANK}
OUTCOME = (
    KNOWN_BEFORE
    | columns(RATE, "accuracy baseline")
    | {"sat_after": SAT}
    | columns(NUMBER, "gain sat_change change_with_others beyond_others")
    | columns(TEXT, "student_base teacher_base")
    | {"same_base": FLAG}
)

TABLES = {
    "trainings": Table(
        columns(NAME, "student network")
        | {"teacher": TEXT, "seed": COUNT, "accuracy": RATE, "parameters": COUNT, "seconds": SECONDS},
        unique=("network",),
    ),
    "networks": replace(MODELS, finding=True, on_page=True),
    "similarity": replace(PAIRS, finding=True, on_page=True),
    "teachers": Table({"teacher": NAME, "teacher_accuracy": RATE}, unique=("teacher",)),
    "before": Table(KNOWN_BEFORE | {"seed": COUNT, "baseline": RATE}, unique=("student", "teacher", "seed")),
    "gains": Table(OUTCOME | {"seed": COUNT}, unique=("student", "teacher", "seed")),
    "by_pair": Table(
        OUTCOME | {"seeds": COUNT} | columns(NUMBER, "gain_least gain_most"), unique=("student", "teacher")
    ),
    "changes": Table(
        columns(NAME, "quantity group") | {"pairs": COUNT, "positive": RATE} | columns(NUMBER, "mean low high"),
        unique=("quantity", "group"),
    ),
    "relations": Table(
        columns(NAME, "measure group")
        | {"given": TEXT, "p": RATE}
        | columns(COUNT, "students teachers pairs")
        | columns(CORRELATION, "spearman low high"),
        unique=("measure", "group", "given"),
    ),
    "pickers": Table(
        {"ranker": NAME, "left_out": TEXT, "p": RATE, "regret": NUMBER}
        | columns(COUNT, "students teachers")
        | columns(CORRELATION, "spearman low high"),
        requires=("by_pair",),
    ),
    "rankings": Table(RANKED, unique=("student", "teacher")),
    "picked": Table(RANKED | {"gave_others": NUMBER}, unique=("student", "teacher")),
}
