"""The figures of the study: the gain of ensembles by similarity and clusters of their members, their calibration, and
the held-out error of each way to choose one."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing

SIMILARITY = {
    "sat": "mean SAT of the members",
    "sat_without_hubs": "mean SAT without hubs",
    "error_consistency": "mean error consistency κ",
}

DOTS = 3000  # the most ensembles of a size that are drawn as dots


def drawings(results: Results) -> dict[str, Drawing]:
    """The figures in the order of the page, by name; empty for a run that is no study of ensembles."""
    tables = results.own
    if "ensembles_binned" not in tables:
        return {}
    drawn = {
        "ensembles": reduction(tables["ensembles"], tables["ensembles_binned"], tables["ensemble_relations"]),
        "ensembles_by_clusters": by_clusters(tables["ensembles_by_clusters"]),
        "ensemble_selection": selection(tables["selection"]),
    }
    if "calibration" in tables:
        drawn["ensemble_calibration"] = calibration(tables["calibration"])
    return drawn


@theme.style()
def reduction(ensembles: pd.DataFrame, binned: pd.DataFrame, relations: pd.DataFrame) -> Drawing:
    """Error reduction against the similarity of the members: one column of panels per size, one row per measure."""
    dots = ensembles[ensembles["kept"].isin(["all", "sample"])].dropna(subset="reduction")
    sizes = list(binned["size"].unique())
    figure = Figure(figsize=(3.4 * len(sizes) + 0.4, 3.2 * len(SIMILARITY) + 0.3), layout="constrained")
    grid = figure.subplots(len(SIMILARITY), len(sizes), sharey=True, sharex="row", squeeze=False)
    for row, (measure, label) in zip(grid, SIMILARITY.items(), strict=True):
        for axes, size in zip(row, sizes, strict=True):
            points = dots[dots["size"] == size]
            if len(points) <= DOTS:
                dot = {"s": float(np.clip(2500 / len(points), 3, 22)), "color": theme.GOOD, "alpha": 0.45}
                axes.scatter(
                    points[measure], 100 * points["reduction"], **dot, linewidths=0, rasterized=len(points) > 300
                )
            else:
                density = {"gridsize": 45, "mincnt": 1, "norm": LogNorm(), "cmap": "mako_r", "linewidths": 0}
                axes.hexbin(points[measure], 100 * points["reduction"], **density)
            trend = binned[(binned["size"] == size) & (binned["by"] == measure)]
            axes.plot(trend["value"], 100 * trend["reduction"], color=theme.BAD, linewidth=1.8)
            axes.axhline(0, color=theme.QUIET, linewidth=0.8)
            axes.set_title(_relation(relations, size, measure), loc="left", fontsize=8.5)
            axes.set_xlabel(label)
        row[0].set_ylabel("error reduction (%)")
    for axes, size in zip(grid[0], sizes, strict=True):
        axes.set_title(f"{size} members\n{axes.get_title(loc='left')}", loc="left", fontsize=8.5)
    return Drawing(
        figure,
        dots[["size", "models", *SIMILARITY, "reduction", "members_error", "clusters"]],
        "The gain of ensembles",
        f"Each dot is an ensemble{', from a random sample' * bool((dots['kept'] == 'sample').any())} (more than "
        f"{DOTS:,} are drawn as a density, darker for more). The error reduction is how far the ensemble's error is "
        "below the mean error of its members. The similarity of the members is measured by SAT, by SAT without each "
        "model's mean level, and by the consistency of their errors beyond chance, from the same images as the "
        "reduction. Lines are means of equal parts of all ensembles counted. Above each panel: the rank correlation "
        "over all ensembles counted, with the members' mean accuracy and the gap between their accuracies accounted "
        "for, its 95% interval from drawing models, and p from permuting models.",
    )


def _relation(relations: pd.DataFrame, size: int, measure: str) -> str:
    fits = (relations["size"] == size) & (relations["measure"] == "reduction") & (relations["with"] == measure)
    rows = relations[fits & (relations["given"] != "")].itertuples()
    return "; ".join(f"ρ = {row.spearman:.2f} ({row.low:.2f} to {row.high:.2f}), p = {row.p:.3f}" for row in rows)


@theme.style()
def by_clusters(table: pd.DataFrame) -> Drawing:
    """Error reduction, and images that all members get wrong, by the number of clusters of the members."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = {"reduction": "error reduction (%)", "all_wrong": "images that all members get wrong (%)"}
    number = table["size"].nunique()
    styles = zip(np.linspace(-0.12, 0.12, number), sns.color_palette("viridis", number + 1)[:number], strict=True)
    shown = [(offset, colour, *group) for (offset, colour), group in zip(styles, table.groupby("size"), strict=True)]
    for axes, (measure, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for offset, colour, size, rows in shown:
            place = rows["clusters"] + offset
            axes.plot(place, 100 * rows[measure], "o-", color=colour, markersize=4, label=f"{size} members")
            axes.vlines(place, 100 * rows[f"{measure}_low"], 100 * rows[f"{measure}_high"], color=colour, linewidth=1)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="clusters of the members", ylabel=label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(handles))
    return Drawing(
        figure,
        table,
        "Ensembles from several clusters",
        "Means over the ensembles counted, by the number of clusters of SAT that their members come from. Bars are "
        "95% intervals from drawing models with fixed clusters.",
    )


@theme.style()
def calibration(table: pd.DataFrame) -> Drawing:
    """Likelihood and calibration error by size, with the members' own."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    panels = {"nll": ("negative log-likelihood", 1), "ece": ("expected calibration error (%)", 100)}
    for axes, (measure, (label, scale)) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        rows = table.set_index("size") * scale
        axes.vlines(rows.index, rows[f"{measure}_low"], rows[f"{measure}_high"], color=theme.GOOD, linewidth=1)
        axes.plot(rows[measure], "o-", color=theme.GOOD, markersize=4, label="ensemble")
        axes.plot(rows[f"members_{measure}"], "--", color=theme.QUIET, label="mean of its members")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="members", ylabel=label, ylim=(0, None))
    figure.axes[0].legend(loc="lower left")
    return Drawing(
        figure,
        table,
        "Calibration",
        "The negative log-likelihood of the true classes, and the distance between confidence and accuracy; lower is "
        f"better for both. Means over at most {table['ensembles'].max():,} ensembles of a size; size 1 are single "
        "models. Bars run from the 5th to the 95th percentile of the ensembles.",
    )


@theme.style()
def selection(table: pd.DataFrame) -> Drawing:
    """The held-out error of the choice of each strategy, one panel per size."""
    single, several = table[table["size"] == 1], table[table["size"] > 1]
    sizes, strategies = list(several["size"].unique()), list(several["strategy"].unique())
    figure = Figure(figsize=(2.6 * len(sizes) + 2, 0.32 * len(strategies) + 1.3), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        rows = several[several["size"] == size].set_index("strategy").reindex(strategies)
        place = np.arange(len(rows))
        axes.hlines(place, 100 * rows["held_out_low"], 100 * rows["held_out_high"], color="#a9b4bd", linewidth=2)
        axes.plot(100 * rows["held_out"], place, "o", color=theme.GOOD, markersize=5)
        for value in 100 * single["held_out"]:
            axes.axvline(value, color=theme.BAD, linewidth=1, linestyle="--")
        axes.set(yticks=place, yticklabels=strategies, ylim=(len(rows) - 0.5, -0.5), xlabel="error (%)")
        axes.set_title(f"{size} members", loc="left")
    return Drawing(
        figure,
        table,
        "Which ensemble to choose",
        "Ensembles are chosen on a random half of the images and evaluated on the other half: mean error there over "
        f"{table['splits'].max()} splits, and the 5th to 95th percentile of the splits. The dashed line is the best "
        "single model, chosen in the same way. Best possible is the ensemble with the least error on the other half, "
        "which cannot be known beforehand.",
    )
