"""Models as points in a plane, similar ones close to each other; the distance of two is log 100 − SAT."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import pdist, squareform

from sat_exp.deferred import deferred
from sat_exp.statistics.clustering import distances
from sat_exp.statistics.hubs import NEIGHBOURS, are_nearest, without_diagonal
from sat_exp.statistics.relations import spearman

manifold = deferred("sklearn.manifold")
Array = NDArray[np.float64]

PERPLEXITY = 10.0
"""About the size of a cluster of the published matrix; there, 7 to 22 keep neighbours equally well, 65 to 70%."""


@dataclass(frozen=True)
class Embedding:
    """points: model, x, y, one row per model in the matrix's order. quality: a row of the table `embedding_quality`.

    - neighbours_kept: the mean share of a model's nearest (five, or fewer) that are nearest in the plane too
    - trustworthiness: less than 1 by how far off the false neighbours in the plane are (Venna & Kaski, ICANN 2001)
    - rank_correlation: Spearman's, of distances in the plane with true ones
    - explained: the two axes' share of the sum of absolute eigenvalues (Mardia, Kent & Bibby 1979, §14.4)
    - stress: Kruskal's stress-1, √(Σ(d − d̂)²/Σd²); like `explained` NaN where all models are alike
    - divergence: the final Kullback–Leibler divergence of t-SNE
    """

    points: pd.DataFrame
    quality: dict[str, float]


def classical(sat: pd.DataFrame) -> Embedding:
    """Classical scaling (Torgerson, Psychometrika 17, 1952) of a complete symmetric matrix of three models or more.

    On each axis the model farthest from 0 is on the positive side, so that the result is the same every time.
    """
    apart, placed, values = _scaled(sat)
    sizes = np.abs(values).sum()
    true, drawn = squareform(apart, checks=False), pdist(placed)
    return _embedding(
        sat,
        apart,
        placed,
        explained=float(values[-2:].clip(min=0).sum() / sizes) if sizes else np.nan,
        stress=float(np.sqrt(((true - drawn) ** 2).sum() / (true**2).sum())) if true.any() else np.nan,
    )


def classical_points(sat: pd.DataFrame) -> pd.DataFrame:
    """The points of `classical`, whose quality takes longer than they do."""
    return _points(sat, _scaled(sat)[1])


def _scaled(sat: pd.DataFrame) -> tuple[Array, Array, Array]:
    """The distances [M, M] of a matrix, the models in the plane [M, 2], and all eigenvalues [M], ascending."""
    apart = distances(sat)
    centring = np.eye(len(apart)) - 1 / len(apart)
    values, vectors = eigh(-centring @ apart**2 @ centring / 2)
    placed = (vectors * np.sqrt(values.clip(min=0)))[:, [-1, -2]]
    farthest = np.abs(placed).argmax(axis=0)
    return apart, placed * np.where(placed[farthest, [0, 1]] < 0, -1, 1), values


def tsne(sat: pd.DataFrame, *, seed: int = 0) -> Embedding:
    """t-SNE (van der Maaten & Hinton, JMLR 9, 2008) of a complete matrix of four or more models, with exact gradients.

    In small pools the perplexity is a third of the other models: with more, each would be a neighbour of every other.
    """
    perplexity = min(PERPLEXITY, (len(sat) - 1) / 3)
    apart = distances(sat)
    fit = manifold.TSNE(perplexity=perplexity, metric="precomputed", init="random", method="exact", random_state=seed)
    placed = fit.fit_transform(apart).astype(np.float64)
    return _embedding(sat, apart, placed, perplexity=perplexity, divergence=float(fit.kl_divergence_))


def _embedding(sat: pd.DataFrame, apart: Array, placed: Array, **quality: float) -> Embedding:
    """The points [M, 2] with `quality` and the measures of both methods; apart: the true distances [M, M]."""
    drawn = squareform(pdist(placed))
    near = min(NEIGHBOURS, (len(apart) - 1) // 2)
    true, kept = (are_nearest(without_diagonal(-values), near) for values in (apart, drawn))
    upper = np.triu_indices(len(apart), 1)
    faithful = {
        "neighbours_kept": float((true & kept).sum() / true.sum()),
        "trustworthiness": float(manifold.trustworthiness(apart, placed, n_neighbors=near, metric="precomputed")),
        "rank_correlation": spearman(apart[upper], drawn[upper]),
    }
    return Embedding(_points(sat, placed), faithful | quality)


def _points(sat: pd.DataFrame, placed: Array) -> pd.DataFrame:
    return pd.DataFrame({"model": sat.index, "x": placed[:, 0], "y": placed[:, 1]})
