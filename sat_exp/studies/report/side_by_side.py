"""The tables of several runs side by side, from the tables of the runs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sat_exp.report.origin import Attack
from sat_exp.runs import Run
from sat_exp.similarity import matrices
from sat_exp.similarity.comparison import LEAST, compare
from sat_exp.similarity.profiles import profiles
from sat_exp.similarity.scores import between_models, transfer_rates
from sat_exp.studies.report.comparable import same_models

INTERVALS = ["clean_accuracy_low", "clean_accuracy_high", "white_box_success_low", "white_box_success_high"]
PAIRS = ["images", "transfer_rate_ab", "transfer_rate_ba", "sat", "sat_low", "sat_high"]


def side_by_side(runs: Mapping[str, Run], reasons: Mapping[str, str], **resampling: Any) -> dict[str, pd.DataFrame]:
    """The tables of the study, without those that are empty.

    runs: by label, the first comparable one is the reference. reasons: why a run is not comparable, "" where it is.
    resampling: the options of `similarity.comparison.agreement`.
    """
    kept = {label: run for label, run in runs.items() if not reasons[label]}
    pairs = {label: table for label, run in kept.items() if (table := run.table("pairs")) is not None}
    models = {label: table for label, run in kept.items() if (table := run.table("models")) is not None}
    found = {
        "runs": pd.DataFrame([described(label, run, reasons[label]) for label, run in runs.items()]),
        "run_models": combined({label: of_models(table, pairs.get(label)) for label, table in models.items()}, kept),
    }
    if pairs:
        found["run_pairs"] = combined({label: of_pairs(table) for label, table in pairs.items()}, kept)
        found |= differences({label: kept[label] for label in pairs}, pairs, **resampling)
    return found


def combined(tables: Mapping[str, pd.DataFrame], runs: Mapping[str, Run]) -> pd.DataFrame:
    """The rows of the tables of all runs, each with its run and the budget of the attack."""
    rows = [table.assign(run=label, epsilon=epsilon(runs[label])) for label, table in tables.items()]
    return pd.concat(rows, ignore_index=True)


def described(label: str, run: Run, reason: str) -> dict[str, Any]:
    """The row of the table `runs`; means are over models, over directions and over pairs of two models."""
    summary, models, pairs = run.summary, run.table("models"), run.table("pairs")
    attack, dataset, settings = Attack.of(summary), summary.get("dataset", {}), summary.get("settings", {})
    row: dict[str, Any] = {
        "run": label,
        "task": str(summary.get("task", "unknown")),
        "title": attack.title,
        "attack": attack.name,
        "epsilon": epsilon(run),
        "steps": attack.facts.get("steps"),
        "dataset": dataset.get("name"),
        "images": dataset.get("images"),
        "images_digest": dataset.get("digest"),
        "labels": settings.get("labels"),
        "protocol": settings.get("protocol"),
        "version": summary.get("versions", {}).get("sat_exp"),
        "comparable": not reason,
        "reason": reason,
    }
    between = None if pairs is None else between_models(pairs)
    return row | {
        "models": None if models is None else len(models),
        "pairs": None if between is None else len(between),
        "weak_attacks": None if models is None else int(models["weak_attack"].sum()),
        "clean_accuracy": None if models is None else models["clean_accuracy"].mean(),
        "white_box_success": None if models is None else models["white_box_success"].mean(),
        "transfer_rate": None if pairs is None else transfer_rates(pairs)["rate"].mean(),
        "sat": None if between is None else between["sat"].mean(),
    }


def epsilon(run: Run) -> float | None:
    """The budget of the attack, in the unit of its norm."""
    facts = Attack.of(run.summary).facts
    return (facts.get("threat") or {}).get("epsilon", facts.get("epsilon"))


def of_models(models: pd.DataFrame, pairs: pd.DataFrame | None) -> pd.DataFrame:
    """The rows of the table `run_models` of one run."""
    return profiles(models, pairs).merge(models[["model", *INTERVALS, "weak_attack"]], on="model")


def of_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table `run_pairs` of one run, with the two names in alphabetical order."""
    swapped = pairs["model_a"] > pairs["model_b"]
    table = pairs[["model_a", "model_b", *PAIRS]].copy()
    for a, b in (("model_a", "model_b"), ("transfer_rate_ab", "transfer_rate_ba")):
        table[a], table[b] = pairs[a].mask(swapped, pairs[b]), pairs[b].mask(swapped, pairs[a])
    return table


def differences(
    runs: Mapping[str, Run], pairs: Mapping[str, pd.DataFrame], **resampling: Any
) -> dict[str, pd.DataFrame]:
    """`run_agreement`, every run against the first one, and `pair_differences`, the largest first; without runs that
    have too few pairs in common with it. pairs: the table of every run."""
    agreements, compared = [], []
    first, *others = runs
    for label in others:
        common = same_models(runs[label], runs[first])
        known = [scored(pairs[name], common) for name in (label, first)]
        if len(known[0] & known[1]) < LEAST:
            continue
        common = [model for model in common if all(any(model in pair for pair in one) for one in known)]
        measured, reference = (matrix(name, runs[name], pairs[name]).subset(common) for name in (label, first))
        tables = compare(measured, reference, **resampling)
        agreements.append({"run": label, "reference": first} | agreed(tables["agreement"]))
        whole = between_models(tables["pairs_compared"]).dropna(subset="difference")
        compared.append(whole.drop(columns=["set_aside", "error"]).assign(run=label))
    if not agreements:
        return {}
    rows = pd.concat(compared, ignore_index=True)
    order = rows["difference"].abs().sort_values(ascending=False, kind="stable").index
    return {"run_agreement": pd.DataFrame(agreements), "pair_differences": rows.loc[order].reset_index(drop=True)}


def scored(pairs: pd.DataFrame, common: list[str]) -> set[frozenset[str]]:
    """The pairs of two of the `common` models whose SAT is known."""
    known = between_models(pairs).dropna(subset="sat")
    return {frozenset(pair) for pair in known[["model_a", "model_b"]].to_numpy() if set(pair) <= set(common)}


def matrix(label: str, run: Run, pairs: pd.DataFrame) -> matrices.Matrix:
    score = run.summary.get("settings", {}).get("score", {})
    return matrices.from_pairs(label, pairs, score.get("confidence", 0.95))


def agreed(agreement: pd.DataFrame) -> dict[str, Any]:
    """One row from the table `agreement` of a comparison."""
    rows = agreement.set_index("measure")
    rank, apart = rows.loc["spearman"], rows.loc["mean_absolute_difference"]
    return {
        "models": rank["models"],
        "pairs": rank["pairs"],
        "spearman": rank["value"],
        "spearman_low": rank["low"],
        "spearman_high": rank["high"],
        "p": rank["p"],
        "offset": rows.loc["offset", "value"],
        "mean_absolute_difference": apart["value"],
        "expected_difference": apart["expected"],
        "same_nearest": rows.loc["same_nearest", "value"],
    }
