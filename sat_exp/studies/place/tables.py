"""The schemas of the tables of a placement; the placed model is named in the title of the run."""

from sat_exp.runs.schema import COUNT, NAME, NUMBER, RANK, RATE, SAT, TEXT, Table, columns, with_interval

TABLES = {
    "nearest_models": Table(
        {"model": NAME} | with_interval(SAT, "sat", NUMBER) | columns(RATE, "fools fooled_by"), unique=("model",)
    ),
    "rates": Table(
        columns(NAME, "role most least")
        | {"rank": RANK, "models": COUNT}
        | columns(RATE, "mean_rate most_rate least_rate"),
        unique=("role",),
    ),
    "nearest_clusters": Table(
        {"cluster": COUNT, "mean_sat": SAT, "models": COUNT, "members": TEXT}, unique=("cluster",)
    ),
}
