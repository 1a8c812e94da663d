"""Groups of models that are alike by construction, and the pair values of their models in finished runs."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sat_exp import files
from sat_exp.errors import UserError, explained
from sat_exp.names import files_of
from sat_exp.runs import Run
from sat_exp.settings import build
from sat_exp.similarity import scores
from sat_exp.similarity.measures import Measure

Array = NDArray[np.float64]

COLUMNS = ["test", "stratum", "model", "group"]
MOST_BYTES = 1 << 24
SAT = "sat"
ACCURACY = "accuracy"
"""The reference that is no measure: minus the absolute difference of clean accuracies."""


@dataclass(frozen=True)
class Stratum:
    """Models that are compared with each other in one test, such as those of one architecture.

    groups: of each model. values: of each measure, float64 [M, M], symmetric, larger for more similar models, NaN on
    the diagonal and where it is unknown. accuracies: clean accuracy of each model, NaN where it is unknown.
    distances: the measures whose values were negated.
    """

    test: str
    name: str
    run: str
    models: list[str]
    groups: list[str]
    values: dict[str, Array]
    accuracies: Array
    distances: frozenset[str] = frozenset()


def read_groups(file: Path) -> pd.DataFrame:
    """The table of groups, texts in the `COLUMNS`. UserError for any other file, and where a stratum of a test has not
    two groups or more, or no group of two models or more."""
    with explained(f"task.groups={file} cannot be read", "give a CSV in UTF-8", OSError, ValueError, OverflowError):
        content = BytesIO(files.contents(file, MOST_BYTES))
        table = pd.read_csv(content, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if missing := [column for column in COLUMNS if column not in table]:
        raise UserError(f"{file} has no column {missing[0]}: give {', '.join(COLUMNS)}")
    table = table[COLUMNS]
    if table.empty or (table == "").any(axis=None):
        raise UserError(f"{file} has no rows, or an empty cell: give {', '.join(COLUMNS)} of every model")
    if len(twice := table[table.duplicated(COLUMNS[:3])]):
        raise UserError(
            f"{file} lists {twice.iloc[0]['model']} twice in the test {twice.iloc[0]['test']}: give it once"
        )
    for (test, stratum), rows in table.groupby(["test", "stratum"], sort=False):
        sizes = rows["group"].value_counts()
        if len(sizes) < 2 or sizes.max() < 2:
            need = "two groups or more, and a group of two models or more"
            raise UserError(f"{file}: the stratum {stratum} of the test {test} needs {need}")
    return table


def strata(groups: pd.DataFrame, runs: Mapping[str, Run]) -> tuple[list[Stratum], list[str]]:
    """Every stratum of every test with its values from the run that has all of its models, and cautions. The measures
    are those that every run has. UserError where no run has all models of a stratum, and where two have."""
    values = {label: similarities(run) for label, run in runs.items()}
    common = set.intersection(*(set(own) for own in values.values()))
    dropped = sorted(set().union(*values.values()) - common)
    cautions = [f"measures that not every run has are left out: {', '.join(dropped)}"] if dropped else []
    stated = {name: measure for run in runs.values() for name, measure in measures_of(run).items()}
    if unknown := sorted(common - set(stated) - {SAT}):
        cautions.append(f"unknown measures, whose larger values count as more similar: {', '.join(unknown)}")
    found = []
    for (test, name), rows in groups.groupby(["test", "stratum"], sort=False):
        models = rows["model"].tolist()
        having = [label for label, own in values.items() if not set(models) - set(own[SAT].index)]
        if len(having) != 1:
            raise UserError(wrong_runs(f"the stratum {name} of the test {test}", models, having, values))
        own = {measure: table.loc[models, models].to_numpy() for measure, table in values[having[0]].items()}
        kept = {measure: table for measure, table in own.items() if measure in common}
        accuracy = accuracies(runs[having[0]]).reindex(models).to_numpy(np.float64)
        negated = frozenset(measure for measure in kept if measure in stated and distance(stated[measure]))
        groups_of = rows["group"].tolist()
        found.append(Stratum(str(test), str(name), having[0], models, groups_of, kept, accuracy, negated))
    return found, cautions


def wrong_runs(what: str, models: Sequence[str], having: Sequence[str], values: Mapping[str, dict]) -> str:
    if having:
        return f"{having[0]} and {having[1]} both have all models of {what}: give one of the two runs"
    most = max(values, key=lambda label: len(set(models) & set(values[label][SAT].index)))
    lacking = next(model for model in models if model not in values[most][SAT].index)
    return f"no run has all models of {what} ({most} lacks {lacking}): give task.runs=[FOLDER,...] with all of them"


def similarities(run: Run) -> dict[str, pd.DataFrame]:
    """SAT and the values of all measures of a run, symmetric tables [M, M], larger for more similar models; a measure
    that depends on the order of two models is the mean of both orders. UserError for a run without pairs."""
    pairs, listed = run.table("pairs"), run.table("measures")
    if pairs is None:
        raise UserError(f"{run.folder} has no pairs: give the folder of a finished matrix")
    sat = scores.matrix(pairs).astype(np.float64)
    models, found, stated = sat.index, {SAT: without_diagonal(sat)}, measures_of(run)
    for name, rows in [] if listed is None else listed[listed["measure"] != SAT].groupby("measure", sort=False):
        square = rows.pivot_table("value", "model_a", "model_b", sort=False).reindex(index=models, columns=models)
        both = np.stack([square.to_numpy(np.float64), square.to_numpy(np.float64).T])
        known = np.isfinite(both)
        mean = np.where(known, both, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
        negated = name in stated and distance(stated[name])
        found[str(name)] = without_diagonal(pd.DataFrame(-mean if negated else mean, models, models))
    return found


def measures_of(run: Run) -> dict[str, Measure]:
    """The measures of a run by name: as its settings state them, else as the file of that name does. One that neither
    states, or whose code is not installed, is left out."""
    listed = run.table("measures")
    settings = run.summary.get("settings", {}).get("measure") or {}
    files, found = files_of("measure"), {}
    for name in [] if listed is None else [str(name) for name in listed["measure"].unique()]:
        own = settings[name] if name in settings else OmegaConf.load(files[name]) if name in files else None
        if own is not None:
            with suppress(UserError):
                found[name] = build(DictConfig(own), "measure", f"measure.{name}")
    return found


def distance(measure: Measure) -> bool:
    """Whether a measure is smaller for more similar models: its value of a model with itself is its least."""
    return measure.identity is not None and measure.identity == measure.low


def without_diagonal(table: pd.DataFrame) -> pd.DataFrame:
    return table.mask(np.eye(len(table), dtype=bool))


def accuracies(run: Run) -> pd.Series:
    """The clean accuracy of every model of a run, by name."""
    models = run.table("models")
    return pd.Series(dtype=float) if models is None else models.set_index("model")["clean_accuracy"]
