"""Groups of similar models: spectral and hierarchical clustering of a SAT matrix, how many groups, and how sure.

How sure is found by doing it again: on other images (`resampled`), on SAT with other sampling errors (`perturbed`), on
some of the models (`thinned`), or from other starts of k-means; `stability` compares the clusterings.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, cut_tree, leaves_list, linkage
from scipy.linalg import eigh
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from sat_exp.errors import UserError
from sat_exp.similarity.predictions import Predictions
from sat_exp.similarity.scores import SAT_FLOOR, indicators, sat, weighted_counts, weighted_sat

Array = NDArray[np.float64]

RESTARTS = 500
"""Starts of k-means: with 200, 59 of 60 seeds find the published matrix's best partition; with 500, all."""

EXCELLENT = 0.9
"""The adjusted Rand index from which two clusterings count as the same: "excellent" recovery in Steinley,
Psychological Methods 9 (2004)."""

MOST = 20


@dataclass(frozen=True)
class Stability:
    """How well clusterings into K clusters agree when something that should not matter is changed.

    by_clusters, a row for each K: clusters = K, eigenvalue, eigengap (see `spectrum`); between_runs, the mean adjusted
    Rand index of two runs over the models both have; with_whole, that of a run and the clustering of the whole matrix,
    and with_whole_low, the 5th percentile of it; with_tree, that of the whole's clustering and `hierarchy`'s.

    models, a row for each K and model: clusters, model, cluster, as the whole has it; consensus_cluster, by average
    linkage of 1 − consensus; stability, the mean over runs of the Jaccard index of the model's cluster in the run and
    in the whole, 1 where it never changes, NaN where no run has the model; next_cluster, the other one that the model
    is with most often, and next_consensus, its mean consensus with that one's members.

    consensus: for each K the share of runs that put two models together, float64 [M, M], of those that have both
    (Monti et al., Machine Learning 52, 2003); NaN where none has.

    recommended: the largest K whose between_runs is at least 0.9, else the K where it is highest; reason: why.
    """

    by_clusters: pd.DataFrame
    models: pd.DataFrame
    consensus: dict[int, pd.DataFrame]
    runs: int
    recommended: int
    reason: str


@dataclass(frozen=True)
class Hierarchy:
    """Average linkage: linkage float64 [M − 1, 4] as scipy's, models in the matrix's order, leaves in drawing order.

    cophenetic: the correlation of distances with the heights at which pairs are joined, NaN where either is constant.
    """

    models: list[str]
    linkage: Array
    leaves: list[str]
    cophenetic: float

    def cut(self, clusters: int) -> pd.Series:
        """The cluster of every model when the tree is cut into `clusters`, numbered as `spectral` does."""
        _check_clusters(clusters, len(self.models))
        found = cut_tree(self.linkage, n_clusters=clusters)[:, 0]
        return _numbered(pd.Series(found, index=self.models, name="cluster"))


def spectral(affinity: pd.DataFrame, clusters: int, *, seed: int = 0, restarts: int = RESTARTS) -> pd.Series:
    """The cluster of every model, int64 [M] indexed by name, from a symmetric matrix of similarities [M, M].

    Ng, Jordan & Weiss (NIPS 2001) with the matrix itself as affinity A: the eigenvectors of D^-1/2 A D^-1/2 that
    belong to its `clusters` largest eigenvalues, D the diagonal of row sums, as columns; rows scaled to unit length;
    k-means on the rows. The diagonal stays as measured. A negative similarity (SAT of less than 1 % transfer) counts
    as 0, no tie.

    Clusters are numbered from 1 by size, the largest first, then by their first member in the order of the matrix.
    UserError for a missing entry, a matrix that is not symmetric, or a number of clusters outside 1 to M.
    """
    values = _normalised(affinity)
    _check_clusters(clusters, len(values))
    found = _partition(_top_vectors(values, clusters), clusters, seed, restarts)
    return _numbered(pd.Series(found, index=affinity.index, name="cluster"))


def spectrum(affinity: pd.DataFrame) -> pd.DataFrame:
    """clusters = K from 1 to M, eigenvalue = the K-th largest of D^-1/2 A D^-1/2 (see `spectral`), and eigengap = how
    far the next is below it (NaN for the last).

    The first eigenvalue is always 1; a matrix of K clear groups has a large gap after the K-th.
    """
    values = eigh(_normalised(affinity), eigvals_only=True)[::-1]
    gaps = np.append(values[:-1] - values[1:], np.nan)
    return pd.DataFrame({"clusters": np.arange(1, len(values) + 1), "eigenvalue": values, "eigengap": gaps})


def distances(sat: pd.DataFrame) -> Array:
    """log 100 − SAT, float64 [M, M], of a complete symmetric matrix: 0 for pairs that always transfer, and on the
    diagonal, where SAT tells of the attack."""
    found = np.maximum(np.log(100) - _complete(sat), 0)
    np.fill_diagonal(found, 0)
    return (found + found.T) / 2


def hierarchy(sat: pd.DataFrame) -> Hierarchy:
    """Average linkage of log 100 − SAT; UserError for fewer than two models or a missing pair."""
    if len(sat) < 2:
        raise UserError(f"{len(sat)} model has no tree: give at least two")
    return _tree(distances(sat), list(sat.index))


def stability(
    affinity: pd.DataFrame,
    draws: Iterable[pd.DataFrame] | None = None,
    *,
    changed: str = "",
    most: int | None = None,
    runs: int = 100,
    restarts: int = 20,
    seed: int = 0,
) -> Stability:
    """The stability of `spectral` for K from 2 to `most`, by default the smaller of 20 and half the models.

    draws: the matrix of every run, [M', M'] of all or some of the models, in any order (`resampled`, `perturbed`,
    `thinned`), an entry that is missing being that of the whole; `restarts`: starts of k-means in each. `changed` says
    in the reason what the runs differ in. Without draws `runs` runs are made on the matrix itself from one start of
    k-means each: that sees how clear the clusters are, but not whether other images would give the same.
    """
    most = min(MOST, len(affinity) // 2) if most is None else most
    if most < 2 or most >= len(affinity):
        raise UserError(f"no number of clusters to choose from 2 to {most} of {len(affinity)} models: give more models")
    names = affinity.index
    spectra = spectrum(affinity).set_index("clusters")
    tree = hierarchy(affinity)
    chosen = range(2, most + 1)
    if draws is None:
        vectors = _top_vectors(_normalised(affinity), most)
        members = [np.arange(len(names))] * runs
        spaces = [vectors] * runs
        restarts, changed = 1, changed or "starts of k-means"
    else:
        members, spaces = [], []
        for draw in draws:
            if len(draw) < most:
                raise UserError(f"a run has {len(draw)} models: choose at most {len(draw)} clusters, not {most}")
            known = affinity.loc[draw.index, draw.index]
            members.append(names.get_indexer(draw.index))
            spaces.append(_top_vectors(_normalised(draw.where(draw.notna(), known)), most))
        changed = changed or "resamples"
    if len(spaces) < 2:
        raise UserError(f"{len(spaces)} run cannot be compared with others: give at least two")

    rows, tables, consensus = [], [], {}
    for clusters in chosen:
        whole = spectral(affinity, clusters, seed=seed)
        found = np.full((1 + len(spaces), len(names)), -1)
        found[0] = whole
        for run, (of, vectors) in enumerate(zip(members, spaces, strict=True), 1):
            found[run, of] = _partition(vectors[:, -clusters:], clusters, seed + run, restarts)
        together, present = _together(found)
        rand = adjusted_rand(found)
        between = rand[1:, 1:][np.triu_indices(len(spaces), 1)]
        low = np.quantile(rand[0, 1:], 0.05)
        with_tree = adjusted_rand_score(whole, tree.cut(clusters))
        rows.append((clusters, *spectra.loc[clusters], np.nanmean(between), rand[0, 1:].mean(), low, with_tree))
        with np.errstate(invalid="ignore"):
            share = together[1:].sum(axis=0) / present[1:].sum(axis=0)
        consensus[clusters] = pd.DataFrame(share, index=names, columns=names)
        tables.append(_by_model(whole, together[1:], present[1:], share))
    columns = ["clusters", "eigenvalue", "eigengap", "between_runs", "with_whole", "with_whole_low", "with_tree"]
    table = pd.DataFrame(rows, columns=columns)
    recommended, reason = _recommend(table, changed)
    return Stability(table, pd.concat(tables, ignore_index=True), consensus, len(spaces), recommended, reason)


def resampled(
    predictions: Predictions,
    *,
    compare: str = "truth",
    floor: float = SAT_FLOOR,
    resamples: int = 100,
    seed: int = 0,
) -> Iterator[pd.DataFrame]:
    """`resamples` SAT matrices, [M, M], each of as many images as there are, drawn with replacement.

    Arguments as of `similarity.score`. A draw has the same images for all pairs, so that their errors go together as
    they do. Where none of a pair's drawn images is fooled, or all are, its rate of hits, or of misses, is drawn from
    Beta(½, n + ½), the Jeffreys posterior of none of n: other draws of these images would all be alike.
    """
    names = predictions.names
    images = len(predictions.clean[names[0]])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    pairs, common, fooled = _measured(predictions, compare)
    drawn, hits = weighted_counts(common, fooled, weights)
    rare = 2 * drawn * rng.beta(0.5, drawn + 0.5)
    hits = np.where(hits == 0, rare, np.where(hits == 2 * drawn, hits - rare, hits))
    for found in _square(sat(drawn, hits, 0, floor), pairs, len(names)):
        yield pd.DataFrame(found, index=list(names), columns=list(names))


def weighted(
    predictions: Predictions,
    weights: NDArray[np.integer],
    *,
    compare: str = "truth",
    floor: float = SAT_FLOOR,
) -> Array:
    """SAT matrices float64 [R, M, M] in which image n counts `weights`[r, n] ≥ 0 times; NaN where a pair is left
    without images. Other arguments as of `similarity.score`; UserError for a pair that was not measured both ways.
    """
    pairs, common, fooled = _measured(predictions, compare)
    return _square(weighted_sat(common, fooled, weights, floor), pairs, len(predictions.names))


def perturbed(sat: pd.DataFrame, error: pd.DataFrame, *, draws: int = 100, seed: int = 0) -> Iterator[pd.DataFrame]:
    """`draws` matrices [M, M] that sampling error might have given instead: every pair plus a normal deviate of its
    standard error [M, M], the diagonal as it is.

    For a matrix without predictions. Errors are drawn independently, where those of real pairs go together.
    """
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        noise = np.triu(rng.standard_normal(sat.shape) * error.to_numpy(), 1)
        yield sat + noise + noise.T


def thinned(sat: pd.DataFrame, *, share: float = 0.8, draws: int = 100, seed: int = 0) -> Iterator[pd.DataFrame]:
    """`draws` matrices of a random `share` of the models: whether the clusters depend on who else is in the pool."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        kept = np.sort(rng.choice(len(sat), round(share * len(sat)), replace=False))
        yield sat.iloc[kept, kept]


def adjusted_rand(found: NDArray[np.integer]) -> Array:
    """The adjusted Rand index of every two of R partitions, float64 [R, R], over the items that both have.

    found: cluster of every item, int [R, M], −1 where the partition lacks it. Hubert & Arabie, Journal of
    Classification 2 (1985). 1 where both are trivial in the same way, NaN for fewer than two common items.
    """
    together, present = (part.reshape(len(found), -1).astype(np.float64) for part in _together(found))
    has = (found >= 0).astype(np.float64)
    items = has @ has.T
    pairs = items * (items - 1) / 2
    both = (together @ together.T - items) / 2
    first = (together @ present.T - items) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = first * first.T / pairs
        most = (first + first.T) / 2
        index = np.where(np.isclose(most, chance), 1.0, (both - chance) / (most - chance))
    return np.where(items < 2, np.nan, index)


def _measured(predictions: Predictions, compare: str) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    """`indicators` of every pair; UserError for one of which a direction was not measured."""
    names = predictions.names
    pairs, common, fooled = indicators(predictions, compare=compare)
    measured = np.isfinite(_square(np.ones((1, len(pairs))), pairs, len(names))[0])
    if not measured.all():
        a, b = (names[place] for place in np.argwhere(~measured)[0])
        raise UserError(f"no SAT of {a} and {b}: measure every pair, or leave one of the two out")
    return pairs, common, fooled


def _square(values: Array, pairs: NDArray[np.int64], models: int) -> Array:
    """Symmetric matrices [R, M, M] from the values of pairs [R, P]."""
    found = np.full((len(values), models, models), np.nan)
    found[:, *pairs.T] = found[:, *pairs.T[::-1]] = values
    return found


def _complete(affinity: pd.DataFrame) -> Array:
    """The entries, checked."""
    if list(affinity.index) != list(affinity.columns):
        raise ValueError("rows and columns of an affinity are the same models in the same order")
    values = affinity.to_numpy(dtype=np.float64)
    missing = np.argwhere(np.isnan(values))
    if len(missing):
        a, b = (affinity.index[position] for position in missing[0])
        raise UserError(f"no SAT of {a} and {b}: measure every pair, or leave one of the two out")
    if not np.allclose(values, values.T, atol=1e-6):
        raise UserError("the matrix of similarities is not symmetric: give SAT, not directed rates")
    return values


def _normalised(affinity: pd.DataFrame) -> Array:
    """D^-1/2 A D^-1/2, [M, M], negative entries of A set to 0."""
    values = _complete(affinity).clip(min=0)
    degree = values.sum(axis=1)
    if (degree == 0).any():
        raise UserError(f"{affinity.index[degree == 0][0]} is similar to no model, not even itself: leave it out")
    return values / np.sqrt(np.outer(degree, degree))


def _top_vectors(values: Array, count: int) -> Array:
    """The eigenvectors of the `count` largest eigenvalues as columns [M, count], the largest last."""
    return eigh(values, subset_by_index=(len(values) - count, len(values) - 1))[1]


def _partition(vectors: Array, clusters: int, seed: int, restarts: int) -> NDArray[np.int32]:
    return KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(normalize(vectors))


def _check_clusters(clusters: int, models: int) -> None:
    if not 1 <= clusters <= models:
        raise UserError(f"{clusters} clusters of {models} models: choose 1 to {models}")


def _tree(apart: Array, models: list[str]) -> Hierarchy:
    condensed = squareform(apart, checks=False)
    joined = linkage(condensed, "average", optimal_ordering=True)
    heights = cophenet(joined)
    varied = np.ptp(condensed) > 0 and np.ptp(heights) > 0
    correlation = float(np.corrcoef(condensed, heights)[0, 1]) if varied else np.nan
    return Hierarchy(models, joined, [models[leaf] for leaf in leaves_list(joined)], correlation)


def _together(found: NDArray[np.integer]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a run puts two models together, and whether it has both; bool [R, M, M] each."""
    has = found >= 0
    present = has[:, :, None] & has[:, None, :]
    return present & (found[:, :, None] == found[:, None, :]), present


def _by_model(
    whole: pd.Series, together: NDArray[np.bool_], present: NDArray[np.bool_], consensus: Array
) -> pd.DataFrame:
    """The rows of Stability.models for one K."""
    numbers = np.arange(1, whole.max() + 1)
    own = whole.to_numpy()[:, None] == whole.to_numpy()[None, :]
    shared = (together & own).sum(axis=2)
    either = (together | (own & present)).sum(axis=2)
    with np.errstate(invalid="ignore"):
        jaccard = np.nansum(shared / either, axis=0) / (either > 0).sum(axis=0)

    known = np.nan_to_num(consensus)
    member = (whole.to_numpy()[:, None] == numbers).astype(np.float64)
    with_cluster = known @ member / member.sum(axis=0)
    with_cluster[member > 0] = -1
    order = _tree(1 - (known + known.T) / 2, list(whole.index))
    return pd.DataFrame(
        {
            "clusters": len(numbers),
            "model": whole.index,
            "cluster": whole.to_numpy(),
            "consensus_cluster": order.cut(len(numbers)).to_numpy(),
            "stability": jaccard,
            "next_cluster": numbers[with_cluster.argmax(axis=1)],
            "next_consensus": with_cluster.max(axis=1),
        }
    )


def _recommend(table: pd.DataFrame, changed: str) -> tuple[int, str]:
    by = table.set_index("clusters")
    same = by.index[by["between_runs"] >= EXCELLENT]
    best = int(same.max() if len(same) else by["between_runs"].idxmax())
    value, gap, widest = by.loc[best, "between_runs"], by.loc[best, "eigengap"], int(by["eigengap"].idxmax())
    agree = f"two clusterings from other {changed} agree (adjusted Rand index)"
    found = (
        f"K = {best} is the largest at which {agree} in at least {EXCELLENT}: {value:.2f}"
        if len(same)
        else f"no K reaches {EXCELLENT} where {agree}; it is highest at K = {best}: {value:.2f}"
    )
    return best, f"{found}; the eigengap after it is {gap:.4f}, the widest is {by['eigengap'].max():.4f} after {widest}"


def _numbered(found: pd.Series) -> pd.Series:
    """The same clusters, numbered from 1 by size, then by first member."""
    first = {label: -position for position, label in reversed(list(enumerate(found)))}
    sizes = found.value_counts()
    order = sorted(first, key=lambda label: (sizes[label], first[label]), reverse=True)
    return found.map({label: number for number, label in enumerate(order, 1)}).astype(np.int64)
