"""Association between components: which of them cannot be told apart in a pool."""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from sat_exp.studies.analyze.importance.pairs import Pairs

ASSOCIATED = 0.5
"""Components whose mean Cramér's V is at least this form a group."""


def association(pairs: Pairs) -> pd.DataFrame:
    """Cramér's V of every two components over the models, [C, C], from 0 to 1; 0 for a component of one value.

    Corrected for the V that independent components of many values have in few models (Bergsma, Journal of the Korean
    Statistical Society 42, 2013).
    """
    models = pairs.models
    found = np.eye(len(pairs.names))
    for one, other in zip(*np.triu_indices(len(found), 1), strict=True):
        table = np.zeros(pairs.codes[:, [one, other]].max(axis=0) + 1)
        np.add.at(table, (pairs.codes[:, one], pairs.codes[:, other]), 1)
        rows, columns = (size - (size - 1) ** 2 / (models - 1) for size in table.shape)
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / models
        squared = ((table - expected) ** 2 / expected).sum() / models
        excess = max(0.0, squared - (table.shape[0] - 1) * (table.shape[1] - 1) / (models - 1))
        least = min(rows, columns) - 1
        found[one, other] = found[other, one] = min(1.0, np.sqrt(excess / least)) if least > 0 else 0
    return pd.DataFrame(found, index=pairs.names, columns=pairs.names)


def associated(association: pd.DataFrame, least: float = ASSOCIATED) -> list[list[str]]:
    """The groups of two or more components whose mean V is at least `least`, by average linkage."""
    if len(association) < 2:
        return []
    tree = linkage(squareform(1 - association.to_numpy(), checks=False), method="average")
    labels = fcluster(tree, 1 - least + 1e-9, criterion="distance")
    groups = [list(association.index[labels == label]) for label in dict.fromkeys(labels)]
    return [group for group in groups if len(group) > 1]
