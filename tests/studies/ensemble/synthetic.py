"""Synthetic ensembles for the tests of the study."""

import pandas as pd

from sat_exp.ensembles.members import Ensembles, members_of, properties_of, ranks


def pool(models, size, rng, effect=0.0):
    """Ensembles whose reduction falls by `effect` with their mean SAT, plus noise."""
    sat = rng.normal(2.7, 0.3, (models, models))
    sat, errors, clusters = (sat + sat.T) / 2, rng.uniform(0.15, 0.3, models), rng.integers(0, 3, models)
    members = members_of(models, size, ranks(models, size))
    properties = properties_of(errors, {"sat": sat}, clusters)
    table = pd.DataFrame({"size": size, **{name: value(members) for name, value in properties.items()}})
    table["reduction"] = -effect * table["sat"] + rng.normal(0, 0.05, len(table))
    table["error"] = table["members_error"] * (1 - table["reduction"])
    table["all_wrong"] = table["error"] / 2
    return Ensembles(members, table, models, properties)
