"""Good sources and easy targets: the effects of models on transfer rates, and pairs with different directions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sat_exp.similarity.directions import DIRECTIONS, transfer_rates
from sat_exp.statistics.effects import contrasts, explained, solve
from sat_exp.statistics.hubs import ranks


@dataclass(frozen=True)
class Directed:
    """The least-squares fit rate_ij = mean + source_i + target_j over measured directions, Σ source = Σ target = 0.

    models, one row per model, by source: model; fools, its mean transfer rate to others, and fooled, theirs to it, with
    their ranks (1: highest) fools_rank and fooled_rank; source and target, its effects: by how much more than the
    average model it fools others, and is fooled.

    asymmetric, one row per pair measured both ways, the largest difference first: model_a (the one that fools the other
    more), model_b, rate_ab, rate_ba, difference of the two with low and high, expected by the effects, and residual =
    difference − expected. The interval is Newcombe's (Statistics in Medicine 17, 1998, method 10) from the Wilson
    intervals of the rates. It treats the directions as independent although both use the same images, so it is the
    wider the more often the same images are fooled.

    explained: the share of the variance of rates that both effects explain.
    """

    mean: float
    models: pd.DataFrame
    asymmetric: pd.DataFrame
    explained: float


def directed(pairs: pd.DataFrame) -> Directed:
    """Effects of sources and targets, from a table of pairs (see `similarity.score`).

    UserError where the measured directions do not determine the effects: fewer than three models, or models measured
    only as source or only as target.
    """
    models = list(dict.fromkeys([*pairs["model_a"], *pairs["model_b"]]))
    ways = transfer_rates(pairs)
    place = {model: position for position, model in enumerate(models)}
    i, j, rates = ways["source"].map(place).to_numpy(), ways["target"].map(place).to_numpy(), ways["rate"].to_numpy()
    design = np.hstack([np.ones((len(ways), 1)), contrasts(i, len(models)), contrasts(j, len(models))])
    coefficients = solve(design, rates, len(models))
    parts = coefficients[1 : len(models)], coefficients[len(models) :]
    source, target = (np.append(part, -part.sum()) for part in parts)
    table = pd.DataFrame({"model": models})
    for name, by in (("fools", "source"), ("fooled", "target")):
        mean = ways.groupby(by)["rate"].mean().reindex(models)
        table[name], table[f"{name}_rank"] = mean.to_numpy(), ranks(mean).to_numpy()
    table["source"], table["target"] = source, target
    return Directed(
        mean=float(coefficients[0]),
        models=table.sort_values("source", ascending=False, kind="stable", ignore_index=True),
        asymmetric=_asymmetric(pairs, dict(zip(models, source - target, strict=True))),
        explained=explained(rates, rates - coefficients[0] - source[i] - target[j]),
    )


def _asymmetric(pairs: pd.DataFrame, lean: Mapping[str, float]) -> pd.DataFrame:
    """Directed.asymmetric; lean: source − target effect of every model."""
    columns = ["model_a", "model_b", "rate_ab", "rate_ba", "difference", "low", "high", "expected", "residual"]
    rows = []
    between = pairs[pairs["model_a"] != pairs["model_b"]]
    for pair in between.dropna(subset=["transfer_rate_ab", "transfer_rate_ba"]).to_dict("records"):
        a, b = DIRECTIONS[pair["transfer_rate_ba"] > pair["transfer_rate_ab"]]
        (p, p_low, p_high), (q, q_low, q_high) = (
            [pair[f"transfer_rate_{way}{end}"] for end in ("", "_low", "_high")] for way in (a + b, b + a)
        )
        difference = p - q
        low = difference - np.hypot(p - p_low, q_high - q)
        high = difference + np.hypot(p_high - p, q - q_low)
        first, second = pair[f"model_{a}"], pair[f"model_{b}"]
        expected = lean[first] - lean[second]
        rows.append((first, second, p, q, difference, low, high, expected, difference - expected))
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("difference", ascending=False, kind="stable", ignore_index=True)
