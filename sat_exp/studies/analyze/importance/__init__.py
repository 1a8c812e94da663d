"""Components of networks that predict their similarity: the paper's importance, and tests on other models.

The paper (Hwang et al., ECCV 2024) fits gradient boosting of SAT to one flag per component, 0 where two networks have
the same value and 1 where they differ. A component's importance is the permutation importance of its flag on the pairs
of the fit. That does not carry over to unseen networks. Leaving out single pairs does not help either, because pairs
with a common network share its peculiarities. Here models are left out, p values come from permutations of models, and
intervals from draws of models.
"""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import chi2_contingency
from scipy.stats.contingency import crosstab
from sklearn.inspection import permutation_importance

from sat_exp.statistics.hubs import ranks
from sat_exp.statistics.resampling import percentile_interval
from sat_exp.studies.analyze.importance.pairs import Array, Pairs, pair_up, regressor
from sat_exp.studies.analyze.importance.significance import alone, given_others
from sat_exp.studies.analyze.importance.unseen_models import held_out

ASSOCIATED = 0.5
"""Components whose mean Cramér's V is at least this form a group."""


def importance(
    sat: pd.DataFrame,
    components: pd.DataFrame,
    *,
    folds: int = 5,
    repeats: int = 3,
    refits: int = 100,
    resamples: int = 2000,
    permutations: int = 999,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """The tables `importance`, `importance_fits` and `importance_groups`, of a symmetric matrix of SAT [M, M] and the
    components of its models, models × components.

    The table of components may have other models too; its values are compared as text. There are at least two models
    per fold. The other arguments are those of the functions below.
    """
    pairs = pair_up(sat, components)
    subsets = [*([name] for name in pairs.names), *associated(association(pairs))]
    fits, unseen = held_out(pairs, subsets, folds=folds, repeats=repeats, resamples=resamples, seed=seed)
    table = flag_importance(pairs, refits=refits, seed=seed)
    table.insert(1, "values", pairs.codes.max(axis=0) + 1)
    effects = given_others(pairs, resamples=resamples, permutations=permutations, seed=seed)
    for part in (unseen, alone(pairs, permutations=permutations, seed=seed), effects):
        table = table.merge(part, on="component")
    return {
        "importance": table.sort_values("importance", ascending=False, kind="stable", ignore_index=True),
        "importance_fits": fits,
        "importance_groups": unseen[len(pairs.names) :].rename(columns={"component": "components"}),
    }


def flag_importance(pairs: Pairs, *, refits: int = 100, seed: int = 0) -> pd.DataFrame:
    """The paper's importance of each component: 100 trees of depth 3 on the flags, fitted to all pairs; the loss of R²
    on these pairs when a flag is shuffled among them, mean of ten shuffles.

    Columns: component; importance, with the percentiles importance_low and importance_high of `refits` draws of models
    with replacement, in which a pair is weighted by how often its two models are drawn; rank, 1 for the largest;
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
    low, high = percentile_interval(drawn)
    columns = {"component": pairs.names, "importance": whole, "importance_low": low, "importance_high": high}
    table = pd.DataFrame(columns)
    first_share = np.bincount(drawn.argmax(axis=1), minlength=len(whole)) / refits
    return table.assign(rank=ranks(table["importance"]), first_share=first_share)


def association(pairs: Pairs) -> pd.DataFrame:
    """Cramér's V of every two components over the models, [C, C], from 0 to 1; 0 for a component of one value.

    Corrected for the V that independent components of many values have in few models (Bergsma, Journal of the Korean
    Statistical Society 42, 2013).
    """
    models = len(pairs.codes)
    found = np.eye(len(pairs.names))
    for one, other in zip(*np.triu_indices(len(found), 1), strict=True):
        counts = crosstab(pairs.codes[:, one], pairs.codes[:, other]).count
        rows, columns = counts.shape
        chance = (rows - 1) * (columns - 1) / (models - 1)
        excess = max(0.0, chi2_contingency(counts, correction=False).statistic / models - chance)
        least = min(size - (size - 1) ** 2 / (models - 1) for size in counts.shape) - 1
        found[one, other] = found[other, one] = min(1.0, np.sqrt(excess / least)) if least > 0 else 0
    return pd.DataFrame(found, index=pairs.names, columns=pairs.names)


def associated(association: pd.DataFrame) -> list[list[str]]:
    """The groups of two or more components whose mean V is at least `ASSOCIATED`, by average linkage."""
    if len(association) < 2:
        return []
    tree = linkage(squareform(1 - association.to_numpy(), checks=False), method="average")
    labels = fcluster(tree, 1 - ASSOCIATED + 1e-9, criterion="distance")
    groups = [list(association.index[labels == label]) for label in dict.fromkeys(labels)]
    return [group for group in groups if len(group) > 1]
