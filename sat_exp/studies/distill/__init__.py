"""Which teacher helps a student most, and whether SAT can predict it. Accuracies and gains are fractions."""

from dataclasses import replace

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import MODELS, PAIRS, Table, columns

KNOWN_BEFORE = columns(name="student teacher", sat="sat_before", rate="teacher_accuracy")
RANKED = KNOWN_BEFORE | columns(number="expected gain", rank="rank gain_rank")
OUTCOME = KNOWN_BEFORE | columns(rate="accuracy baseline", sat="sat_after", text="student_base teacher_base")
OUTCOME |= columns(number="gain sat_change change_with_others beyond_others", flag="same_base")

TABLES = {
    "trainings": Table(
        columns(name="student network", text="teacher", rate="accuracy", count="seed parameters", seconds="seconds"),
        unique=("network",),
    ),
    "networks": replace(MODELS, on_page=True),
    "similarity": replace(PAIRS, on_page=True),
    "teachers": Table(columns(name="teacher", rate="teacher_accuracy"), unique=("teacher",)),
    "before": Table(KNOWN_BEFORE | columns(count="seed", rate="baseline"), unique=("student", "teacher", "seed")),
    "gains": Table(OUTCOME | columns(count="seed"), unique=("student", "teacher", "seed")),
    "by_pair": Table(OUTCOME | columns(count="seeds", number="gain_least gain_most"), unique=("student", "teacher")),
    "changes": Table(
        columns(name="quantity group", count="pairs", rate="positive", number="mean low high"),
        unique=("quantity", "group"),
        key_numbers=("mean",),
    ),
    "relations": Table(
        columns(name="measure group", text="given", count="students teachers pairs")
        | columns(correlation="spearman low high", rate="p"),
        unique=("measure", "group", "given"),
    ),
    "pickers": Table(
        columns(name="ranker", text="left_out", count="students teachers", number="regret")
        | columns(correlation="spearman low high", rate="p"),
        requires=("by_pair",),
    ),
    "rankings": Table(RANKED, unique=("student", "teacher")),
    "picked": Table(RANKED | columns(number="gave_others"), unique=("student", "teacher")),
}

STUDY = Study(
    "distill",
    "which teacher helps a student most, and whether SAT can predict it",
    TABLES,
    drawings="sat_exp.studies.distill.figures:drawings",
    choices=frozenset({"dataset", "attack"}),
)
