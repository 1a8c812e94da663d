"""Both directions of the pairs in a table."""

import pandas as pd

DIRECTIONS = (("a", "b"), ("b", "a"))


def transfer_rates(pairs: pd.DataFrame) -> pd.DataFrame:
    """source, target, rate: every measured transfer between two different models, from a table of pairs.

    The directions from model_a to model_b come first, then those back.
    """
    between = pairs[pairs["model_a"] != pairs["model_b"]]
    columns = ["source", "target", "rate"]
    ways = [
        between[[f"model_{a}", f"model_{b}", f"transfer_rate_{a}{b}"]].set_axis(columns, axis=1) for a, b in DIRECTIONS
    ]
    return pd.concat(ways, ignore_index=True).dropna(subset="rate")
