"""The paper's importance of components."""

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from sat_exp.statistics.resampling import percentile_interval
from sat_exp.studies.analyze.importance.pairs import Array, Pairs, regressor


def flag_importance(pairs: Pairs, *, refits: int = 100, confidence: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """The paper's importance of each component: 100 trees of depth 3 on the flags, fitted to all pairs; the loss of R²
    on these pairs when a flag is shuffled among them, mean of ten shuffles.

    Columns: component; importance; importance_low and importance_high, percentiles of `refits` draws of models with
    replacement, in which a pair is weighted by how often its two models are drawn; rank, 1 for the largest;
    first_share, the share of these draws in which the component has rank 1.
    """
    flags = pairs.flags()

    def importances(weight: Array, state: int) -> Array:
        drawn = weight > 0
        data = flags[drawn], pairs.sat[drawn]
        fitted = regressor(state).fit(*data, weight[drawn])
        options = {"n_repeats": 10, "random_state": state, "sample_weight": weight[drawn]}
        return permutation_importance(fitted, *data, **options)["importances_mean"]

    whole = importances(np.ones(len(flags)), seed)
    weights = pairs.drawn(refits, np.random.default_rng([seed, 0]))
    drawn = np.array([importances(weight, seed + 1 + draw) for draw, weight in enumerate(weights)])
    low, high = percentile_interval(drawn, confidence)
    columns = {"component": pairs.names, "importance": whole, "importance_low": low, "importance_high": high}
    table = pd.DataFrame(columns)
    table["rank"] = table["importance"].rank(ascending=False, method="min").astype(int)
    return table.assign(first_share=np.bincount(drawn.argmax(axis=1), minlength=len(whole)) / refits)
