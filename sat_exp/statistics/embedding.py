"""Models as points in a plane, similar ones close together; the distance of two is log 100 − SAT."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.manifold import TSNE, trustworthiness

from sat_exp.errors import UserError
from sat_exp.statistics.clustering import distances

Array = NDArray[np.float64]

NEIGHBOURS = 5

PERPLEXITY = 10.0
"""About the size of a cluster of the published matrix; there, 7 to 22 keep neighbours equally well, 65 to 70 %."""


@dataclass(frozen=True)
class Embedding:
    """points: model, x, y, a row for every model in the matrix's order. quality, what the drawing keeps, by name:

    - neighbours_kept: the mean share of a model's five nearest (fewer in small pools) that are so in the plane too
    - trustworthiness: 1 where all neighbours in the plane are true ones, less the further off the false ones are (Venna
      & Kaski, ICANN 2001)
    - rank_correlation: Spearman's, of distances in the plane with true ones
    - of classical scaling: explained, the share that the two axes have of the sum of absolute eigenvalues (Mardia,
      Kent & Bibby 1979, §14.4); stress, Kruskal's stress-1, √(Σ(d − d̂)²/Σd²)
    - of t-SNE: perplexity; divergence, the Kullback–Leibler divergence it has come down to

    NaN where there are too few models to tell.
    """

    points: pd.DataFrame
    quality: dict[str, float]


def classical(sat: pd.DataFrame) -> Embedding:
    """Classical multidimensional scaling (Torgerson, Psychometrika 17, 1952) of a complete symmetric matrix [M, M].

    The eigenvectors of −½JD²J, J the centring matrix, for its two largest eigenvalues, scaled by their roots: the same
    drawing every time. On each axis the model farthest out is on the positive side.
    """
    apart = distances(sat)
    centring = np.eye(len(apart)) - 1 / len(apart)
    values, vectors = eigh(-centring @ apart**2 @ centring / 2)
    placed = np.zeros((len(apart), 2))
    used = min(2, len(apart))
    placed[:, :used] = (vectors * np.sqrt(values.clip(min=0)))[:, ::-1][:, :used]
    farthest = np.abs(placed).argmax(axis=0)
    placed *= np.where(placed[farthest, [0, 1]] < 0, -1, 1)

    sizes = np.abs(values).sum()
    true, drawn = squareform(apart, checks=False), pdist(placed)
    quality = {
        "explained": float(values[-used:].clip(min=0).sum() / sizes) if sizes else np.nan,
        "stress": float(np.sqrt(((true - drawn) ** 2).sum() / (true**2).sum())) if true.any() else np.nan,
    }
    return Embedding(_points(placed, sat), _faithfulness(apart, placed) | quality)


def tsne(sat: pd.DataFrame, *, perplexity: float | None = None, seed: int = 0) -> Embedding:
    """t-SNE (van der Maaten & Hinton, JMLR 9, 2008) of a complete symmetric matrix [M, M], exact gradients.

    It begins at a random drawing, as `seed` has it. Distances between groups, and sizes of groups, mean nothing in it.
    perplexity: by default 10, or a third of the other models where that is less. UserError where it is below 1 or more
    than that third, from where on every model is every other's neighbour.
    """
    most = (len(sat) - 1) / 3
    if most < 1:
        raise UserError(f"{len(sat)} models are too few for t-SNE: give at least 4, or draw classical scaling")
    perplexity = min(PERPLEXITY, most) if perplexity is None else perplexity
    if not 1 <= perplexity <= most:
        raise UserError(f"a perplexity of {perplexity:g} for {len(sat)} models: choose 1 to {most:.3g}")
    apart = distances(sat)
    fit = TSNE(perplexity=perplexity, metric="precomputed", init="random", method="exact", random_state=seed)
    placed = fit.fit_transform(apart).astype(np.float64)
    quality = {"perplexity": float(perplexity), "divergence": float(fit.kl_divergence_)}
    return Embedding(_points(placed, sat), _faithfulness(apart, placed) | quality)


def _points(placed: Array, sat: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"model": sat.index, "x": placed[:, 0], "y": placed[:, 1]})


def _faithfulness(apart: Array, placed: Array) -> dict[str, float]:
    drawn = squareform(pdist(placed))
    near = min(NEIGHBOURS, (len(apart) - 1) // 2)
    if near < 1:
        return dict.fromkeys(("neighbours_kept", "trustworthiness", "rank_correlation"), np.nan)
    true, shown = _nearest(apart, near), _nearest(drawn, near)
    upper = np.triu_indices(len(apart), 1)
    varied = all(np.ptp(values[upper]) > 0 for values in (apart, drawn))
    return {
        "neighbours_kept": float((true & shown).sum() / true.sum()),
        "trustworthiness": float(trustworthiness(apart, placed, n_neighbors=near, metric="precomputed")),
        "rank_correlation": float(spearmanr(apart[upper], drawn[upper]).statistic) if varied else np.nan,
    }


def _nearest(apart: Array, near: int) -> NDArray[np.bool_]:
    """Whether the column's model is one of the `near` closest to the row's, itself aside, bool [M, M]."""
    others = apart + np.diag(np.full(len(apart), np.inf))
    chosen = np.zeros(apart.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(others, axis=1, kind="stable")[:, :near], True, axis=1)
    return chosen
