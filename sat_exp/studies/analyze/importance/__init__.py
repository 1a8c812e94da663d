"""Components of networks that predict their similarity: the paper's importance, and tests on other models.

The paper's (Hwang et al., ECCV 2024): gradient boosting of SAT on one flag per component, 0 where two networks have the
same value and 1 where they differ, and the permutation importance of the flags on the pairs of the fit. That does not
generalise to unseen networks: pairs with a common network share its peculiarities, so a pair left out alone is not
unseen. Here models are left out, p values come from permutations of models, and intervals from draws of models.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from sat_exp.errors import UserError
from sat_exp.studies.analyze.importance.cramers_v import associated, association
from sat_exp.studies.analyze.importance.flags import flag_importance
from sat_exp.studies.analyze.importance.pairs import Pairs, pair_up
from sat_exp.studies.analyze.importance.significance import alone, given_others
from sat_exp.studies.analyze.importance.unseen_models import held_out

__all__ = [
    "Importance",
    "Pairs",
    "alone",
    "associated",
    "association",
    "flag_importance",
    "given_others",
    "held_out",
    "importance",
    "pair_up",
]


@dataclass(frozen=True)
class Importance:
    """fits: encoding, validation, pairs, r2, low, high; see `held_out`.
    components, one row per component: the columns of `flag_importance`, `held_out`, `alone` and `given_others`.
    groups, one row per group of associated components: the columns of `held_out`.
    association: Cramér's V between components over models, [C, C]; see `association`.
    """

    fits: pd.DataFrame
    components: pd.DataFrame
    groups: pd.DataFrame
    association: pd.DataFrame


def importance(
    sat: pd.DataFrame,
    components: pd.DataFrame,
    *,
    folds: int = 5,
    repeats: int = 3,
    refits: int = 100,
    resamples: int = 2000,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> Importance:
    """All measures, from a symmetric matrix of SAT [M, M] and a table of components, models × components.

    The table may have other models too; its values are compared as text. The other arguments are those of the functions
    above. UserError for a model without components and for fewer than two models or pairs per fold.
    """
    pairs = pair_up(sat, components)
    if pairs.models < 2 * folds:
        raise UserError(f"{pairs.models} models in {folds} folds: leaving models out needs at least {2 * folds}")
    if len(pairs.sat) < 2 * folds:
        raise UserError(f"{len(pairs.sat)} pairs are known, where {2 * folds} are needed: measure more")
    related = association(pairs)
    subsets = [*([name] for name in pairs.names), *associated(related)]
    intervals: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    fits, unseen = held_out(pairs, subsets, folds=folds, repeats=repeats, **intervals)
    table = flag_importance(pairs, refits=refits, confidence=confidence, seed=seed)
    table.insert(1, "values", pairs.codes.max(axis=0) + 1)
    effects = given_others(pairs, permutations=permutations, **intervals)
    for part in (unseen, alone(pairs, permutations=permutations, seed=seed), effects):
        table = table.merge(part, on="component")
    return Importance(
        fits=fits,
        components=table.sort_values("importance", ascending=False, kind="stable", ignore_index=True),
        groups=unseen[len(pairs.names) :].rename(columns={"component": "components"}).reset_index(drop=True),
        association=related,
    )
