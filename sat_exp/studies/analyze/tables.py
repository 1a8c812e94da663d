"""The schemas of the tables of an analysis."""

from sat_exp.runs.measurement_tables import PAIR, UNIQUE_PAIR
from sat_exp.runs.schema import (
    CORRELATION,
    COUNT,
    FLAG,
    NAME,
    NUMBER,
    RANK,
    RATE,
    SAT,
    TEXT,
    Column,
    Table,
    columns,
    optional,
    with_interval,
)

FEWEST = 3
"""Rows that a table of three models, or of their pairs, has."""

STRUCTURE = {
    "clusters": Table(
        {"model": NAME, "cluster": Column("number", low=0, required=True)} | columns(COUNT, "without_hubs tree"),
        unique=("model",),
        least_rows=FEWEST,
        coloured=("model",),
    ),
    "cluster_stability": Table(
        {"clusters": COUNT, "matrix": NAME}
        | columns(NUMBER, "eigenvalue eigengap between_runs with_whole with_whole_low with_tree"),
        requires=("pairs_without_hubs", "clusters", "embedding"),
    ),
    "consensus": Table(
        PAIR | {"share": RATE, "matrix": NAME},
        unique=(*UNIQUE_PAIR, "matrix"),
        least_rows=FEWEST,
        coloured=UNIQUE_PAIR,
        on_page=False,
    ),
    "embedding_quality": Table(
        {"method": NAME, "rank_correlation": CORRELATION, "divergence": NUMBER}
        | columns(RATE, "neighbours_kept trustworthiness explained")
        | columns(COUNT, "stress perplexity"),
        unique=("method",),
    ),
    "nearest": Table(columns(NAME, "model neighbour") | {"rank": RANK, "sat": SAT}, unique=("model", "rank")),
    "hubs": Table(
        {"model": NAME, "mean_sat": SAT, "rank": RANK, "effect": NUMBER} | columns(COUNT, "nearest_to occurrences"),
        unique=("model",),
    ),
    "pairs_without_hubs": Table(
        PAIR | {"sat": SAT} | columns(NUMBER, "expected residual"),
        unique=UNIQUE_PAIR,
        least_rows=FEWEST,
        coloured=UNIQUE_PAIR,
    ),
    "directed": Table(
        {"model": NAME}
        | columns(RATE, "fools fooled")
        | columns(RANK, "fools_rank fooled_rank")
        | columns(NUMBER, "source target"),
        unique=("model",),
        coloured=("model",),
    ),
    "asymmetric": Table(
        PAIR | columns(RATE, "rate_ab rate_ba") | columns(NUMBER, "difference low high expected residual"),
        unique=UNIQUE_PAIR,
    ),
}
WEIGHTS = with_interval(NUMBER, "shuffled without only")
COMPONENTS = {
    "importance": Table(
        {"component": NAME, "values": COUNT, "rank": RANK, "first_share": RATE}
        | with_interval(NUMBER, "importance effect")
        | WEIGHTS
        | columns(NUMBER, "explained chance")
        | columns(RATE, "p_alone p_given_others"),
        unique=("component",),
    ),
    "importance_fits": Table(columns(NAME, "encoding validation") | {"pairs": COUNT} | columns(NUMBER, "r2 low high")),
    "importance_groups": Table({"components": TEXT} | WEIGHTS),
}
REGIMES = {
    "regimes": Table(
        {"kind": NAME, "sd": COUNT}
        | columns(COUNT, "pairs models architectures")
        | columns(NUMBER, "mean low high least most"),
        unique=("kind",),
        requires=("regime_pairs",),
    ),
    "regime_tests": Table(
        columns(NAME, "higher lower")
        | columns(COUNT, "pairs_higher pairs_lower arrangements")
        | columns(NUMBER, "difference low high")
        | {"p": RATE, "exact": FLAG},
    ),
    "regime_pairs": Table(
        PAIR | columns(NAME, "kind architecture_a architecture_b") | {"sat": SAT}, unique=UNIQUE_PAIR
    ),
}
IMAGES = {
    "controls": Table(
        PAIR
        | {"sat": SAT}
        | optional({"images": COUNT, "noise_sat": SAT} | columns(NUMBER, "agreement error_consistency")),
        unique=UNIQUE_PAIR,
        open=True,
        requires=("controls_and_sat",),
    ),
    "controls_and_sat": Table(
        {"measure": NAME, "given": TEXT, "p": RATE}
        | columns(COUNT, "models pairs")
        | columns(CORRELATION, "spearman low high"),
        unique=("measure", "given"),
    ),
    "sample_size": Table(
        {"measure": NAME} | columns(COUNT, "images repeats") | columns(NUMBER, "value low high"),
        unique=("measure", "images"),
    ),
}
TABLES = STRUCTURE | COMPONENTS | REGIMES | IMAGES
