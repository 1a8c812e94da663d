"""Clusters, embedding, hubs, components and sample size of a measured matrix."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import PAIR, UNIQUE_PAIR, Table, columns, optional, with_interval

LEAST_ROWS = 3  # of three models, or of their pairs
WEIGHTS = with_interval(number="shuffled without only")

TABLES = {
    "clusters": Table(
        columns(name="model", known_count="cluster", count="without_hubs tree"),
        unique=("model",),
        least_rows=LEAST_ROWS,
        coloured=("model",),
    ),
    "cluster_stability": Table(
        columns(name="matrix", count="clusters")
        | columns(number="eigenvalue eigengap between_runs with_whole with_whole_low with_tree"),
        requires=("pairs_without_hubs", "clusters", "embedding"),
    ),
    "consensus": Table(
        PAIR | columns(rate="share", name="matrix"),
        unique=(*UNIQUE_PAIR, "matrix"),
        least_rows=LEAST_ROWS,
        coloured=UNIQUE_PAIR,
        on_page=False,
    ),
    "embedding_quality": Table(
        columns(name="method", correlation="rank_correlation", rate="neighbours_kept trustworthiness explained")
        | columns(count="stress perplexity", number="divergence"),
        unique=("method",),
    ),
    "nearest": Table(columns(name="model neighbour", rank="rank", sat="sat"), unique=("model", "rank")),
    "hubs": Table(
        columns(name="model", sat="mean_sat", rank="rank", count="nearest_to occurrences", number="effect"),
        unique=("model",),
    ),
    "pairs_without_hubs": Table(
        PAIR | columns(sat="sat", number="expected residual"),
        unique=UNIQUE_PAIR,
        least_rows=LEAST_ROWS,
        coloured=UNIQUE_PAIR,
    ),
    "directed": Table(
        columns(name="model", rate="fools fooled", rank="fools_rank fooled_rank", number="source target"),
        unique=("model",),
        coloured=("model",),
    ),
    "asymmetric": Table(
        PAIR | columns(rate="rate_ab rate_ba", number="difference low high expected residual"), unique=UNIQUE_PAIR
    ),
    "importance": Table(
        columns(name="component", count="values", rank="rank", rate="first_share p_alone p_given_others")
        | with_interval(number="importance effect")
        | columns(number="explained chance")
        | WEIGHTS,
        unique=("component",),
        key_numbers=("importance",),
    ),
    "importance_fits": Table(
        columns(name="encoding validation", count="pairs", number="r2 low high"), key_numbers=("r2",)
    ),
    "importance_groups": Table(columns(text="components") | WEIGHTS),
    "regimes": Table(
        columns(name="kind", count="pairs models architectures sd", number="mean low high least most"),
        unique=("kind",),
        requires=("regime_pairs",),
    ),
    "regime_tests": Table(
        columns(name="higher lower", count="pairs_higher pairs_lower arrangements")
        | columns(number="difference low high", rate="p", flag="exact"),
        key_numbers=("difference",),
    ),
    "regime_pairs": Table(PAIR | columns(name="kind architecture_a architecture_b", sat="sat"), unique=UNIQUE_PAIR),
    "controls": Table(
        PAIR | columns(sat="sat") | optional(count="images", sat="noise_sat", number="agreement error_consistency"),
        unique=UNIQUE_PAIR,
        open=True,
        requires=("controls_and_sat",),
    ),
    "controls_and_sat": Table(
        columns(name="measure", text="given", count="models pairs", correlation="spearman low high", rate="p"),
        unique=("measure", "given"),
    ),
    "sample_size": Table(
        columns(name="measure", count="images repeats", number="value low high"), unique=("measure", "images")
    ),
}

STUDY = Study(
    "analyze",
    "clusters, hubs and components that explain a measured matrix",
    TABLES,
    drawings="sat_exp.studies.analyze.figures:drawings",
    computes=False,
)
