"""The figures of a run: tables in, Drawings out. Nothing is written and no state is kept.

Sizes are in inches. Rates are fractions in the tables and percent in the figures. SAT is the natural log of percent.
"""

from sat_exp.report.figures import accuracy, examples, matrix, nearest, time, transfer
from sat_exp.report.origin import Origin
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.runs import registry
from sat_exp.similarity.scores import between_models, transfer_rates


def drawings(results: Results) -> dict[str, Drawing]:
    """The figures of a run by name, in the order of the page: its pairs and models, each study, time, examples.

    A matrix needs three models.
    """
    own, styles, origin = results.own, results.styles, Origin.of(results)
    drawn: dict[str, Drawing] = {}
    if "pairs" in own:
        scored = between_models(own["pairs"]).dropna(subset="sat")
        if len({*scored["model_a"], *scored["model_b"]}) > 2:
            drawn["matrix"] = matrix.draw(own["pairs"], styles, origin)
            drawn["nearest"] = nearest.draw(own["pairs"], origin)
        if len(transfer_rates(own["pairs"])):
            drawn["transfer"] = transfer.draw(own["pairs"], styles, origin)
    if "models" in own and own["models"]["clean_accuracy"].notna().any():
        drawn["accuracy"] = accuracy.draw(own["models"], styles, origin)
    for study in registry.studies():
        if study.tables.keys() & own.keys():
            drawn |= study.drawer()(results)
    if "time" in own and own["time"][[*time.COMPUTE]].to_numpy().sum() >= time.LEAST:
        drawn["time"] = time.draw(own["time"])
    if "examples" in own:
        drawn["examples"] = examples.draw(own["examples"], results.examples, results.class_names)
    return drawn
