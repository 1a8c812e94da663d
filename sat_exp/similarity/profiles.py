"""A measurement in one row per model."""

import pandas as pd

from sat_exp.similarity.scores import between_models, transfer_rates

OF_MODEL = ["model", "family", "parameters", "clean_accuracy", "white_box_success"]


def profiles(models: pd.DataFrame, pairs: pd.DataFrame | None) -> pd.DataFrame:
    """The table of models with their means over the other models, NaN where a mean has no value; rates are fractions.

    models, pairs: the tables of a run, `pairs` None for a run without pairs. Columns: those of `OF_MODEL`;
    transfer_as_source, the mean rate at which images of the model fool the others; transfer_as_target, the mean rate at
    which it is fooled by theirs; mean_sat.
    """
    table = models[OF_MODEL].reset_index(drop=True)
    between = pd.DataFrame(columns=["model_a", "model_b", "transfer_rate_ab", "transfer_rate_ba", "sat"])
    if pairs is not None:
        between = between_models(pairs)
    ways = transfer_rates(between)
    sat = pd.concat([between[[side, "sat"]].set_axis(["model", "sat"], axis=1) for side in ("model_a", "model_b")])
    means = {
        "transfer_as_source": ways.groupby("source")["rate"].mean(),
        "transfer_as_target": ways.groupby("target")["rate"].mean(),
        "mean_sat": sat.groupby("model")["sat"].mean(),
    }
    return table.assign(**{name: table["model"].map(mean).astype(float) for name, mean in means.items()})
