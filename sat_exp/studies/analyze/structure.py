"""The part of an analysis that needs only a matrix of SAT: clusters, hubs, embedding, and groups of trainings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sat_exp.similarity.matrices import Matrix
from sat_exp.statistics import embedding, hubs
from sat_exp.statistics.clustering import MOST, hierarchy, stability
from sat_exp.studies.analyze.regimes import regimes
from sat_exp.tasks.studied import model_files


def analysed(
    sat: pd.DataFrame, draws: Sequence[pd.DataFrame], changed: str, clusters: int | None, seed: int
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The tables of clusters, hubs and embeddings of a matrix [M, M], and the facts that its summary states.

    draws: the matrix from other draws of images, or with other errors, as `changed` names it. clusters: their number,
    by default the recommended one.
    """
    most = max(min(MOST, len(sat) // 2), clusters or 2)
    corrected = hubs.without_hubs(sat)
    affinities = [hubs.without_hubs(draw).affinity for draw in draws]
    both = {
        "SAT": stability(sat, draws, changed=changed, most=most, seed=seed),
        "without hubs": stability(corrected.affinity, affinities, changed=changed, most=most, seed=seed),
    }
    plain, residual = (clusters or found.recommended for found in both.values())
    groups = {
        "model": sat.index,
        "cluster": both["SAT"].clusters[plain].to_numpy(),
        "without_hubs": both["without hubs"].clusters[residual].to_numpy(),
        "tree": hierarchy(sat).cut(plain).to_numpy(),
    }
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
