"""Good sources and easy targets: the effects of models on transfer rates, and pairs with different directions."""

import numpy as np
import pandas as pd

from sat_exp.similarity.scores import transfer_rates
from sat_exp.statistics.hubs import ranks, solve


def directed(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables `directed` and `asymmetric` from a table of pairs (see `similarity.score`).

    source and target are the effects in the least-squares fit rate_ij = mean + source_i + target_j over the measured
    directions, Σ source = Σ target = 0: by how much more than the average model a model fools others, and is fooled.
    fools and fooled are its mean transfer rates to others and from them. UserError where the directions leave effects
    undetermined: fewer than three models, or models measured only as source or only as target.
    """
    models = pd.Index(dict.fromkeys([*pairs["model_a"], *pairs["model_b"]]))
    ways = transfer_rates(pairs)
    effects = []
    for side in ("source", "target"):
        every = np.eye(len(models))[models.get_indexer(ways[side])]
        effects.append(every[:, :-1] - every[:, -1:])  # the last model's effect is minus the sum of the others'
    design = np.hstack([np.ones((len(ways), 1)), *effects])
    coefficients = solve(design, ways["rate"].to_numpy(), len(models))
    parts = coefficients[1 : len(models)], coefficients[len(models) :]
    source, target = (np.append(part, -part.sum()) for part in parts)
    table = pd.DataFrame({"model": models})
    for name, by in (("fools", "source"), ("fooled", "target")):
        mean = ways.groupby(by)["rate"].mean().reindex(models)
        table[name], table[f"{name}_rank"] = mean.to_numpy(), ranks(mean).to_numpy()
    table["source"], table["target"] = source, target
    return {
        "directed": table.sort_values("source", ascending=False, kind="stable", ignore_index=True),
        "asymmetric": _asymmetric(pairs, pd.Series(source - target, models)),
    }


def _asymmetric(pairs: pd.DataFrame, lean: pd.Series) -> pd.DataFrame:
    """The table `asymmetric`, where model_a fools the other more often than it is fooled.

    lean: source − target effect of every model, which predict the difference `expected`. The interval is Newcombe's
    (Statistics in Medicine 17, 1998, method 10) from the Wilson intervals of the rates, as if these were independent:
    too wide where the same images are fooled in both directions.
    """
    between = pairs[pairs["model_a"] != pairs["model_b"]].dropna(subset=["transfer_rate_ab", "transfer_rate_ba"])
    forward = between["transfer_rate_ab"] >= between["transfer_rate_ba"]

    def sides(one: str, other: str) -> tuple[pd.Series, pd.Series]:
        return between[one].where(forward, between[other]), between[other].where(forward, between[one])

    first, second = sides("model_a", "model_b")
    (p, q), (p_low, q_low), (p_high, q_high) = (
        sides(f"transfer_rate_ab{end}", f"transfer_rate_ba{end}") for end in ("", "_low", "_high")
    )
    table = pd.DataFrame({"model_a": first, "model_b": second, "rate_ab": p, "rate_ba": q, "difference": p - q})
    table["low"] = table["difference"] - np.hypot(p - p_low, q_high - q)
    table["high"] = table["difference"] + np.hypot(p_high - p, q - q_low)
    table["expected"] = first.map(lean) - second.map(lean)
    table["residual"] = table["difference"] - table["expected"]
    return table.sort_values("difference", ascending=False, kind="stable", ignore_index=True)
