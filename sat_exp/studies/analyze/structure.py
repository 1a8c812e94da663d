"""The part of an analysis that needs only a matrix of SAT: clusters, hubs, embedding, directions, components."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sat_exp.similarity.matrices import Matrix
from sat_exp.statistics import embedding, hubs
from sat_exp.statistics.clustering import hierarchy, spectral
from sat_exp.statistics.stability import MOST, Stability, stability
from sat_exp.studies.analyze.directed import directed
from sat_exp.studies.analyze.importance import importance
from sat_exp.studies.analyze.regimes import regimes
from sat_exp.tasks.studied import model_files

WITHOUT_HUBS = "without hubs"

FEWEST_FOR_IMPORTANCE = 10
"""Models, two in each of the five folds."""


@dataclass(frozen=True)
class Clusters:
    """The stability of the clusters of one matrix; their number; the cluster of each model, int [M] by name."""

    stability: Stability
    number: int
    clusters: pd.Series

    @classmethod
    def of(
        cls, affinity: pd.DataFrame, draws: Sequence[pd.DataFrame], changed: str, number: int | None, seed: int
    ) -> "Clusters":
        """number: of clusters, by default the recommended one; draws, changed: see `stability`."""
        most = max(min(MOST, len(affinity) // 2), number or 2)
        found = stability(affinity, draws, changed=changed, most=most, seed=seed)
        chosen = number or found.recommended
        return cls(found, chosen, spectral(affinity, chosen, seed=seed))

    def consensus(self) -> pd.DataFrame:
        """model_a, model_b, share: how often the pairs of two models are in one cluster."""
        shares = self.stability.consensus[self.number]
        rows, columns = np.triu_indices(len(shares), 1)
        names = shares.index.to_numpy()
        values = shares.to_numpy()[rows, columns]
        return pd.DataFrame({"model_a": names[rows], "model_b": names[columns], "share": values})


def analysed(
    sat: pd.DataFrame, draws: Sequence[pd.DataFrame], changed: str, clusters: int | None, seed: int
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The tables of clusters, hubs and embeddings of a matrix [M, M], and the facts that its summary states.

    draws: the matrix from other draws of images, or with other errors, as `changed` names it. clusters: their number,
    by default the recommended one.
    """
    corrected = hubs.without_hubs(sat)
    plain = Clusters.of(sat, draws, changed, clusters, seed)
    affinities = [hubs.without_hubs(draw).affinity for draw in draws]
    residual = Clusters.of(corrected.affinity, affinities, changed, clusters, seed)
    both = {"SAT": plain, WITHOUT_HUBS: residual}
    placed = {"classical": embedding.classical(sat), "t-SNE": embedding.tsne(sat, seed=seed)}
    hubness = hubs.hubness(sat)
    groups = {
        "model": sat.index,
        "cluster": plain.clusters.to_numpy(),
        "without_hubs": residual.clusters.to_numpy(),
        "tree": hierarchy(sat).cut(plain.number).to_numpy(),
    }
    tables = {
        "clusters": pd.DataFrame(groups),
        "cluster_stability": pd.concat(
            [found.stability.by_clusters.assign(matrix=matrix) for matrix, found in both.items()]
        ),
        "consensus": pd.concat([found.consensus().assign(matrix=matrix) for matrix, found in both.items()]),
        "embedding": pd.concat([found.points.assign(method=method) for method, found in placed.items()]),
        "embedding_quality": pd.DataFrame([{"method": method} | found.quality for method, found in placed.items()]),
        "nearest": hubs.nearest(sat),
        "hubs": hubness.models.merge(corrected.effects, on="model"),
        "pairs_without_hubs": corrected.pairs,
    }
    return tables, {
        "clusters": {matrix: found.stability.reason for matrix, found in both.items()},
        "hubs": {"skewness": hubness.skewness, "expected": hubness.expected, "explained": corrected.explained},
    }


def of_directions(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables of sources, targets and asymmetric pairs, from a table of pairs."""
    found = directed(pairs)
    return {"directed": found.models, "asymmetric": found.asymmetric}


def of_components(sat: pd.DataFrame, components: pd.DataFrame, refits: int, seed: int) -> dict[str, pd.DataFrame]:
    """The tables of the importance of components; none for fewer than ten models."""
    if len(sat) < FEWEST_FOR_IMPORTANCE:
        return {}
    found = importance(sat, components, refits=refits, seed=seed)
    return {"importance": found.components, "importance_fits": found.fits, "importance_groups": found.groups}


def of_groups(sat: pd.DataFrame, summary: dict[str, Any], seed: int) -> dict[str, pd.DataFrame]:
    """The tables of pairs of one architecture, where the run's models declare their `group`."""
    models = summary.get("models", {})
    stated = models.items() if isinstance(models, dict) else ()
    declared = {name: facts["group"] for name, facts in stated if "group" in facts and name in sat.index}
    if not declared:
        return {}
    groups = pd.DataFrame.from_dict(declared, orient="index").reindex(sat.index)
    found = regimes(sat, groups, seed=seed)
    return {"regimes": found.averages, "regime_tests": found.tests, "regime_pairs": found.pairs}


def pairs_of(matrix: Matrix) -> pd.DataFrame:
    """A table of pairs from a matrix alone: SAT with its interval, and the families of models that have a file."""
    families = {name: str(model.family) for name, model in model_files(matrix.models).items()}
    rows, columns = np.triu_indices(len(matrix.models))
    names = np.array(matrix.models, object)
    sat, error = (part.to_numpy()[rows, columns] for part in (matrix.sat, matrix.error))
    table = pd.DataFrame({"model_a": names[rows], "model_b": names[columns]})
    for side in "ab":
        table[f"family_{side}"] = table[f"model_{side}"].map(families).fillna("unknown")
    rates = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]
    missing = dict.fromkeys(["images", "fooled_ab", "fooled_ba", *rates], np.nan)
    half = ndtri(0.975) * error
    return table.assign(**missing, sat=sat, sat_low=sat - half, sat_high=np.minimum(sat + half, np.log(100)))
