"""What a run left in its folder, and the square matrices that the figures are drawn from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from sat_exp.errors import UserError

LOG_100 = float(np.log(100))


@dataclass(frozen=True)
class Results:
    """A run as read from disk; what the run did not make is None (or an empty summary)."""

    models: pd.DataFrame | None
    pairs: pd.DataFrame | None
    summary: dict[str, Any]
    examples: dict[str, np.ndarray] | None

    @property
    def untrained(self) -> bool:
        """Whether any of the models has random weights."""
        return self.models is not None and not self.models["pretrained"].astype(bool).all()

    @property
    def families(self) -> set[str]:
        """Every family named in the tables."""
        from_models = set() if self.models is None else set(self.models["family"])
        return from_models if self.pairs is None else from_models | set(model_families(self.pairs).values())


def read(run: Path) -> Results:
    """Reads tables/{models,pairs}.parquet, summary.json and examples.npz of a run folder, each where it exists."""
    models, pairs = (_table(run / "tables" / f"{name}.parquet") for name in ("models", "pairs"))
    if models is None and pairs is None:
        raise UserError(f"no tables/models.parquet or tables/pairs.parquet in {run}: give the folder of a finished run")
    summary, examples = run / "summary.json", run / "examples.npz"
    return Results(
        models=models,
        pairs=pairs,
        summary=json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {},
        examples=_arrays(examples) if examples.exists() else None,
    )


def _table(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.exists() else None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


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
