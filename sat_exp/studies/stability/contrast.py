"""Which variant tells relatives from strangers, and which component of networks SAT follows under each."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.similarity.scores import between_models
from sat_exp.statistics.relations import spearman
from sat_exp.statistics.resampling import interval_columns
from sat_exp.studies.stability.agreement import Matrices

Array = NDArray[np.float64]
SATURATED = 0.95
"""The mean transfer rate of a pair from which it counts as saturated."""


def contrast(measured: Mapping[str, Matrices], families: Sequence[str], confidence: float) -> pd.DataFrame:
    """The table `variant_contrast`: SAT of relatives, pairs of one family, against that of strangers.

    gap: the difference of their means. sharpness: the gap over its standard error over draws of the images. auc: the
    probability that a pair of relatives is more similar than a pair of strangers (Mann–Whitney). relatives_saturated,
    strangers_saturated: the shares of pairs whose mean transfer rate is at least `SATURATED`. Empty where all pairs are
    relatives, or none is.
    """
    a, b = np.triu_indices(len(families), 1)
    related = np.array(families)[a] == np.array(families)[b]
    rows = []
    for name, each in measured.items() if 0 < related.sum() < len(related) else ():
        value, drawn = each.values((a, b))
        gaps = drawn[:, related].mean(axis=1) - drawn[:, ~related].mean(axis=1)
        gap = float(value[related].mean() - value[~related].mean())
        saturated = np.exp(value) / 100 >= SATURATED
        rows.append(
            {"variant": name, "relatives": int(related.sum()), "strangers": int((~related).sum())}
            | interval_columns("gap", gap, gaps, confidence)
            | {"sharpness": gap / spread if (spread := gaps.std(ddof=1)) > 0 else np.nan}
            | interval_columns("auc", float(areas(value[None], related)[0]), areas(drawn, related), confidence)
            | {
                "relatives_saturated": float(saturated[related].mean()),
                "strangers_saturated": float(saturated[~related].mean()),
            }
        )
    return pd.DataFrame(rows)


def areas(values: Array, related: NDArray[np.bool_]) -> Array:
    """The share of comparisons of a relative with a stranger in which the relative is larger, ties as a half; of each
    row of [R, P]."""
    count = int(related.sum())
    ranks = rankdata(values, axis=1)[:, related].sum(axis=1)
    return (ranks - count * (count + 1) / 2) / (count * (values.shape[1] - count))


def components(measured: Mapping[str, Matrices], table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table `variant_components`: for each variant and component the rank correlation of SAT with its equality in
    both models, and its rank among components. table: `components`. Components that all models share are left out."""
    known = table.set_index("model").loc[list(names)].astype(str)
    texts = {str(name): column.to_numpy() for name, column in known.items()}
    a, b = np.triu_indices(len(names), 1)
    same = {name: (column[a] == column[b]).astype(float) for name, column in texts.items()}
    same = {name: equal for name, equal in same.items() if np.ptp(equal)}
    rows = []
    for variant, each in measured.items():
        found = pd.Series({name: spearman(each.whole[a, b], equal) for name, equal in same.items()}, dtype=float)
        ranks = found.rank(ascending=False, method="min")
        rows += [(variant, name, found[name], ranks[name]) for name in found.index]
    return pd.DataFrame(rows, columns=["variant", "component", "spearman", "rank"])


def rates(pairs: pd.DataFrame, models: pd.DataFrame) -> dict[str, float]:
    """Means over models and directions that describe a variant in the table `variants`; models, pairs: its tables."""
    between = between_models(pairs)
    ways = between[["transfer_rate_ab", "transfer_rate_ba"]]
    return {
        "white_box_success": float(models["white_box_success"].mean()),
        "mean_transfer_rate": float(np.nanmean(ways.to_numpy())),
        "mean_sat": float(between["sat"].mean()),
        "attack_seconds": float(models["attack_seconds"].sum()),
    }
