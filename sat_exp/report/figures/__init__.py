"""The figures of a measurement: tables in, Drawings out. Nothing is written and no state is kept.

Sizes are in inches. Rates are fractions in the tables and percent in the figures. SAT is the natural log of percent.
"""

from sat_exp.report.figures import accuracy, examples, matrix, nearest, transfer
from sat_exp.report.origin import Origin
from sat_exp.report.results import Results, between_models, one_way
from sat_exp.report.theme import Drawing

__all__ = ["accuracy", "drawings", "examples", "matrix", "nearest", "transfer"]


def drawings(results: Results) -> dict[str, Drawing]:
    """The figures of a run's own pairs and models by name. A matrix needs three models."""
    own, styles, origin = results.own, results.styles, Origin.of(results)
    drawn: dict[str, Drawing] = {}
    if "pairs" in own:
        scored = between_models(own["pairs"]).dropna(subset="sat")
        if len({*scored["model_a"], *scored["model_b"]}) > 2:
            drawn["matrix"] = matrix.draw(own["pairs"], styles, origin)
            drawn["nearest"] = nearest.draw(own["pairs"], origin)
        if len(one_way(own["pairs"])):
            drawn["transfer"] = transfer.draw(own["pairs"], styles, origin)
    if "models" in own and own["models"]["clean_accuracy"].notna().any():
        drawn["accuracy"] = accuracy.draw(own["models"], styles, origin)
    return drawn
