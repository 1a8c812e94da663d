"""What a run left in its folder, and the square matrices that the figures are drawn from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from sat_exp.errors import UserError
from sat_exp.runs import Run

BY_MODEL = {
    "clusters": ("model",),
    "pairs_without_hubs": ("model_a", "model_b"),
    "consensus": ("model_a", "model_b"),
    "directed": ("model",),
}
"""Tables whose models are drawn in the colours of their families, and the columns that name them."""

LOG_100 = float(np.log(100))


@dataclass(frozen=True)
class Results:
    """A run as read from disk.

    own: the run's tables by name. tables: these, and before them those of the run that it studied, where it studied
    one; examples: the folder that the files of their table `examples` are in; class_names: what labels mean; studied:
    the summary of the run that it studied, empty where it studied none.
    """

    own: dict[str, pd.DataFrame]
    tables: dict[str, pd.DataFrame]
    summary: dict[str, Any]
    examples: Path
    class_names: list[str]
    studied: dict[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> pd.DataFrame | None:
        return self.tables.get("models")

    @property
    def pairs(self) -> pd.DataFrame | None:
        return self.tables.get("pairs")

    @property
    def untrained(self) -> bool:
        """Whether any of the models has random weights."""
        return self.models is not None and not self.models["pretrained"].astype(bool).all()

    @property
    def families(self) -> dict[str, str]:
        """The family of every model in the tables."""
        named = {} if self.pairs is None else model_families(self.pairs)
        return named | ({} if self.models is None else dict(self.models[["model", "family"]].to_numpy()))


def of(run: Run, place: Path) -> Results:
    """What `run`, and the run that it is a study of, hold; the files of their examples are copied into `place`.

    UserError where there is no table, or where a file is damaged.
    """
    own = run.checked_tables()
    if not own:
        raise UserError(f"no tables/*.parquet in {run.folder}: give the folder of a finished run")
    studied = run.studied
    before, summary = ({}, {}) if studied is None else (studied.checked_tables(), studied.summary)
    pictured = run if "examples" in own or studied is None else studied
    tables = before | own
    if "examples" in tables:
        shown = tables["examples"]
        pictured.copy(sorted({*shown["clean"], *shown["adversarial"]}), place)
    classes = (run.summary | summary).get("class_names", [])
    found = Results(own, tables, run.summary, place, classes, summary)
    if strangers := unknown(found):
        raise UserError(f"{run.folder} names a model that it does not have: {strangers[0]}")
    return found


def unknown(found: Results) -> list[str]:
    """Models that are drawn in the colours of families and clusters, while no table states theirs."""
    named = [
        name
        for table, columns in BY_MODEL.items()
        for column in columns
        if table in found.tables
        for name in found.tables[table].get(column, ())
    ]
    known = set(found.families)
    if "cluster_stability" in found.own:
        known &= set(found.own["clusters"].get("model", ()))
    return sorted(set(named) - known)


def in_percent(fraction: float) -> str:
    """One decimal, '–' where missing, and '>99.9' rather than '100.0' for what is not quite all."""
    if not np.isfinite(fraction):
        return "–"
    return ">99.9" if 0.9995 <= fraction < 1 else f"{100 * fraction:.1f}"


def model_families(pairs: pd.DataFrame) -> dict[str, str]:
    """Family of every model of a pairs table, in pool order."""
    first = dict(zip(pairs["model_a"], pairs["family_a"], strict=True))
    return first | {b: family for b, family in zip(pairs["model_b"], pairs["family_b"], strict=True) if b not in first}


def between_models(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs of two different models."""
    return pairs[pairs["model_a"] != pairs["model_b"]]


def one_way(pairs: pd.DataFrame) -> pd.DataFrame:
    """source, target, rate: every transfer between two models that was measured."""
    ways = [
        between_models(pairs)[[source, target, rate]].set_axis(["source", "target", "rate"], axis=1)
        for source, target, rate in (
            ("model_a", "model_b", "transfer_rate_ab"),
            ("model_b", "model_a", "transfer_rate_ba"),
        )
    ]
    return pd.concat(ways, ignore_index=True).dropna(subset=["rate"])


def square(pairs: pd.DataFrame, upper: str, lower: str) -> pd.DataFrame:
    """[N, N] in pool order: column `upper` at (a, b), column `lower` at (b, a), NaN where no pair was measured."""
    names = list(model_families(pairs))
    position = {name: index for index, name in enumerate(names)}
    a, b = pairs["model_a"].map(position), pairs["model_b"].map(position)
    values = np.full((len(names), len(names)), np.nan)
    values[b, a] = pairs[lower]
    values[a, b] = pairs[upper]
    return pd.DataFrame(values, index=names, columns=names)


def symmetric(pairs: pd.DataFrame, column: str) -> pd.DataFrame:
    """[M, M] of a column of unordered pairs, models in the pairs' order; NaN on the diagonal where they lack it."""
    names = list(dict.fromkeys([*pairs["model_a"], *pairs["model_b"]]))
    wide = pairs.pivot(index="model_a", columns="model_b", values=column).reindex(index=names, columns=names)
    return wide.combine_first(wide.T).loc[names, names].rename_axis(index=None, columns=None)


def cluster(sat: pd.DataFrame) -> np.ndarray:
    """Average-linkage tree [N - 1, 4] of a symmetric SAT matrix [N, N], leaves in optimal order.

    The distance of two models is log 100 - SAT; a missing one counts as the mean of the others, which draws the
    two neither together nor apart.
    """
    distance = (LOG_100 - sat.to_numpy(dtype=float)).clip(min=0)
    condensed = squareform(distance, checks=False)
    known = condensed[np.isfinite(condensed)]
    condensed = np.where(np.isfinite(condensed), condensed, known.mean() if known.size else 1.0)
    return hierarchy.linkage(condensed, method="average", optimal_ordering=True)


def leaf_order(sat: pd.DataFrame) -> list[str]:
    """Model names along the tree of `cluster`: similar models next to each other."""
    return [sat.index[leaf] for leaf in hierarchy.leaves_list(cluster(sat))]
