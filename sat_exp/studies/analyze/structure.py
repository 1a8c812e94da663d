"""The parts of an analysis that need only SAT or transfer rates: clusters, hubs, embedding, sources and targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sat_exp.progress import waiting
from sat_exp.similarity.matrices import Matrix
from sat_exp.similarity.scores import between_models, transfer_rates
from sat_exp.statistics import embedding, hubs
from sat_exp.statistics.clustering import MOST, hierarchy, stability
from sat_exp.studies.analyze.regimes import regimes
from sat_exp.tasks.studied import model_files


def analysed(
    sat: pd.DataFrame, draws: Sequence[pd.DataFrame], changed: str, clusters: int | None, seed: int
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The tables of clusters, hubs and embeddings of a matrix [M, M], and the facts that its summary states.

    draws: the matrix with other images or errors, as `changed` says. clusters: None for the recommended number.
    """
    most = max(min(MOST, len(sat) // 2), clusters or 2)
    corrected = hubs.without_hubs(sat)
    affinities = [hubs.without_hubs(draw).affinity for draw in draws]
    matrices = {"SAT": (sat, draws), "without hubs": (corrected.affinity, affinities)}
    settings: dict[str, Any] = {"changed": changed, "most": most, "seed": seed}
    both = {name: stability(matrix, drawn, **settings) for name, (matrix, drawn) in matrices.items()}
    plain, residual = (clusters or found.recommended for found in both.values())
    groups = {
        "model": sat.index,
        "cluster": both["SAT"].clusters[plain].to_numpy(),
        "without_hubs": both["without hubs"].clusters[residual].to_numpy(),
        "tree": hierarchy(sat).cut(plain).to_numpy(),
    }
    with waiting("embedding"):
        placed = {"classical": embedding.classical(sat), "t-SNE": embedding.tsne(sat, seed=seed)}
    models, skewness = hubs.hubness(sat)
    tables = {
        "clusters": pd.DataFrame(groups),
        "cluster_stability": pd.concat([found.by_clusters.assign(matrix=matrix) for matrix, found in both.items()]),
        "consensus": pd.concat(
            _by_pair(both[matrix].consensus[number], 1, "share").assign(matrix=matrix)
            for matrix, number in (("SAT", plain), ("without hubs", residual))
        ),
        "embedding": pd.concat([found.points.assign(method=method) for method, found in placed.items()]),
        "embedding_quality": pd.DataFrame([{"method": method} | found.quality for method, found in placed.items()]),
        "nearest": hubs.nearest(sat),
        "hubs": models.assign(effect=models["model"].map(corrected.effects)),
        "pairs_without_hubs": corrected.pairs,
    }
    reasons = {matrix: found.reason for matrix, found in both.items()}
    return tables, {"clusters": reasons, "hubs": skewness | {"explained": corrected.explained}}


def of_groups(sat: pd.DataFrame, summary: dict[str, Any], seed: int) -> dict[str, pd.DataFrame]:
    """The tables of pairs of one architecture, where the run's models declare their `group`."""
    models = summary.get("models", {})
    stated = models.items() if isinstance(models, dict) else ()
    declared = {name: facts["group"] for name, facts in stated if "group" in facts and name in sat.index}
    return regimes(sat, pd.DataFrame.from_dict(declared, orient="index"), seed=seed) if declared else {}


def pairs_of(matrix: Matrix) -> pd.DataFrame:
    """A table of pairs from a matrix alone: SAT with its interval, and the families of models that have a file."""
    families = {name: str(model.family) for name, model in model_files(matrix.models).items()}
    table = _by_pair(matrix.sat, 0, "sat")
    sat, half = table.pop("sat"), ndtri(0.975) * _by_pair(matrix.error, 0, "error")["error"]
    for side in "ab":
        table[f"family_{side}"] = table[f"model_{side}"].map(families).fillna("unknown")
    rates = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]
    missing = dict.fromkeys(["images", "fooled_ab", "fooled_ba", *rates], np.nan)
    return table.assign(**missing, sat=sat, sat_low=sat - half, sat_high=np.minimum(sat + half, np.log(100)))


def _by_pair(square: pd.DataFrame, diagonal: int, name: str) -> pd.DataFrame:
    """model_a, model_b and the entry of a symmetric matrix [M, M], from its `diagonal`-th diagonal upwards."""
    rows, columns = np.triu_indices(len(square), diagonal)
    names = square.index.to_numpy()
    return pd.DataFrame({"model_a": names[rows], "model_b": names[columns], name: square.to_numpy()[rows, columns]})


def directed(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables `directed` and `asymmetric` from a table of pairs (see `similarity.score`).

    source and target are the effects in the least-squares fit rate_ij = mean + source_i + target_j over the measured
    directions, Σ source = Σ target = 0: by how much more than the average model a model fools others, and is fooled.
    fools and fooled are its mean transfer rates to others and from them. UserError where the directions leave effects
    undetermined: fewer than three models, or models measured only as source or only as target.
    """
    models = pd.Index(dict.fromkeys([*pairs["model_a"], *pairs["model_b"]]))
    ways = transfer_rates(pairs)
    effects = []
    for side in ("source", "target"):
        every = np.eye(len(models))[models.get_indexer(ways[side])]
        effects.append(every[:, :-1] - every[:, -1:])  # the last model's effect is minus the sum of the others'
    design = np.hstack([np.ones((len(ways), 1)), *effects])
    coefficients = hubs.solve(design, ways["rate"].to_numpy(), len(models))
    parts = coefficients[1 : len(models)], coefficients[len(models) :]
    source, target = (np.append(part, -part.sum()) for part in parts)
    table = pd.DataFrame({"model": models})
    for name, by in (("fools", "source"), ("fooled", "target")):
        mean = ways.groupby(by)["rate"].mean().reindex(models)
        table[name], table[f"{name}_rank"] = mean.to_numpy(), hubs.ranks(mean).to_numpy()
    table["source"], table["target"] = source, target
    return {
        "directed": table.sort_values("source", ascending=False, kind="stable", ignore_index=True),
        "asymmetric": _asymmetric(pairs, pd.Series(source - target, models)),
    }


def _asymmetric(pairs: pd.DataFrame, lean: pd.Series) -> pd.DataFrame:
    """The table `asymmetric`, where model_a fools the other more often than it is fooled.

    lean: source − target effect of every model, which predict the difference `expected`. The interval is Newcombe's
    (Statistics in Medicine 17, 1998, method 10) from the Wilson intervals of the rates, as if these were independent:
    too wide where the same images are fooled in both directions.
    """
    between = between_models(pairs).dropna(subset=["transfer_rate_ab", "transfer_rate_ba"])
    forward = between["transfer_rate_ab"] >= between["transfer_rate_ba"]

    def sides(one: str, other: str) -> tuple[pd.Series, pd.Series]:
        return between[one].where(forward, between[other]), between[other].where(forward, between[one])

    first, second = sides("model_a", "model_b")
    (p, q), (p_low, q_low), (p_high, q_high) = (
        sides(f"transfer_rate_ab{end}", f"transfer_rate_ba{end}") for end in ("", "_low", "_high")
    )
    table = pd.DataFrame({"model_a": first, "model_b": second, "rate_ab": p, "rate_ba": q, "difference": p - q})
    table["low"] = table["difference"] - np.hypot(p - p_low, q_high - q)
    table["high"] = table["difference"] + np.hypot(p_high - p, q - q_low)
    table["expected"] = first.map(lean) - second.map(lean)
    table["residual"] = table["difference"] - table["expected"]
    return table.sort_values("difference", ascending=False, kind="stable", ignore_index=True)
