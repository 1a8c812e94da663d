"""The figures of a measurement: tables of the run in, Drawings out. Nothing is written and no state is kept.

Sizes are in inches. Rates are fractions in the tables and percent in the figures; SAT is the natural log of percent.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.cluster import hierarchy

from sat_exp import similarity
from sat_exp.report import heatmap, results, theme
from sat_exp.report.heatmap import Styles
from sat_exp.report.origin import UNKNOWN, Origin
from sat_exp.report.theme import Drawing, FamilyStyle

EXTREMES = 12
PERCENT_TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100)


def drawings(found: results.Results) -> dict[str, Drawing]:
    """The figures of a run's own pairs and models; two models make no matrix."""
    own, styles, origin = found.own, found.styles, Origin.of(found)
    drawn: dict[str, Drawing] = {}
    if "pairs" in own:
        compared = results.between_models(own["pairs"]).dropna(subset="sat")
        if len({*compared["model_a"], *compared["model_b"]}) > 2:
            drawn["matrix"] = matrix(own["pairs"], styles, origin)
            drawn["nearest"] = nearest(own["pairs"], origin)
        if len(results.one_way(own["pairs"])):
            drawn["transfer"] = transfer(own["pairs"], styles, origin)
    if "models" in own and own["models"]["clean_accuracy"].notna().any():
        drawn["accuracy"] = accuracy(own["models"], styles, origin)
    return drawn


@theme.style()
def matrix(pairs: pd.DataFrame, styles: Styles, origin: Origin) -> Drawing:
    """SAT of all pairs as a heat map whose rows and columns follow the tree drawn beside it; models without any SAT
    with another are left out."""
    compared = results.between_models(pairs).dropna(subset=["sat"])
    kept = {*compared["model_a"], *compared["model_b"]}
    pairs = pairs[pairs["model_a"].isin(kept) & pairs["model_b"].isin(kept)]
    sat = similarity.matrix(pairs)
    tree = results.tree(sat).linkage
    drawing: dict[str, Any] = hierarchy.dendrogram(tree, no_plot=True)
    sat = sat.iloc[drawing["leaves"], drawing["leaves"]]
    families = results.model_families(pairs)

    side, cell = heatmap.side_of(len(sat))
    figure = Figure(figsize=(side + 6, side + 5))
    low, high = _sat_range(results.between_models(pairs)["sat"])
    heat = heatmap.axes_at(figure, 2.8, 2.8, side, side)
    heatmap.cells(heat, sat, cell, cmap="rocket_r", vmin=low, vmax=high, fmt=".2f")
    heatmap.names(figure, heat, cell, sat, families, styles)

    branches = heatmap.axes_at(figure, 2.8 + side + 0.06, 2.8, 0.9, side)
    # scipy puts leaf k at 10 k + 5
    lines = [
        np.column_stack([height, np.divide(position, 10)])
        for position, height in zip(drawing["icoord"], drawing["dcoord"], strict=True)
    ]
    branches.add_collection(LineCollection(lines, colors=theme.INK, linewidths=0.8))
    branches.set(xlim=(0, 1.02 * tree[:, 2].max() or 1), ylim=(len(sat), 0))
    branches.axis("off")

    bar = heatmap.colour_bar(
        figure, heat, 2.8 + side + 0.42, "rocket_r", low, high, "SAT  (ln of the mean transfer rate in %)"
    )
    _percent_ticks(bar, low, high)
    heatmap.family_legend(figure, 2.8 + side + 1.1, 2.8 + side, sat, families, styles)
    return Drawing(
        figure,
        sat.rename_axis("model"),
        "Similarity of all pairs",
        matrix_caption(sat, high, origin),
    )


def matrix_caption(sat: pd.DataFrame, high: float, origin: Origin) -> str:
    """What the matrix [M, M] shows, its colour scale ending at `high`."""
    what = "SAT as a file states it, taken for" if origin.stated else "SAT is"
    said = [
        f"{what} the natural log of the mean of both transfer rates in percent (upper scale of the colour bar): the "
        "darker a pair, the more alike. The matrix is symmetric."
        + f" A pair is compared on {origin.common}."
        * (not origin.stated),
        "The order of rows and columns and the tree come from "
        "average-linkage clustering with distance log 100 − SAT; models that join further left in the tree are more "
        "similar.",
    ]
    values, itself = sat.to_numpy(), np.diag(sat)
    if np.isnan(values[~np.eye(len(sat), dtype=bool)]).any():
        said.append("For the tree, a pair that was not measured counts as an average one.")
    if np.isfinite(itself).any():
        what = "is as the file states it" if origin.stated else "is each model against its own attack"
        beyond = " and lies beyond the colour scale" if np.nanmin(itself) > high else ""
        said.append(f"The diagonal {what}{beyond}.")
    return " ".join([*said, "Colours beside the names are families."])


@theme.style()
def transfer(pairs: pd.DataFrame, styles: Styles, origin: Origin) -> Drawing:
    """Directed transfer rates: rows made the adversarial images, columns are fooled by them; bars are means."""
    sat, rate = similarity.matrix(pairs), results.square(pairs, "transfer_rate_ab", "transfer_rate_ba")
    compared = results.between_models(pairs)["sat"].notna().any()
    others = rate.mask(np.eye(len(rate), dtype=bool))
    order = results.leaf_order(sat) if compared else list(others.mean().sort_values(ascending=False).index)
    rate, others = 100 * rate.loc[order, order], 100 * others.loc[order, order]
    attacked = others.notna().any(axis=1)
    rate, others = rate[attacked], others[attacked]
    families = results.model_families(pairs)

    side, cell = heatmap.side_of(len(order))
    height = cell * len(rate)
    figure = Figure(figsize=(side + 6, height + 6))
    high = min(100.0, max(30.0, 1.12 * float(others.max(axis=None)))) if others.notna().to_numpy().any() else 100.0
    heat = heatmap.axes_at(figure, 2.8, 2.8, side, height)
    heatmap.cells(heat, rate, cell, cmap="mako_r", vmin=0, vmax=high, fmt=".0f")
    rows, columns = heatmap.names(figure, heat, cell, rate, families, styles)
    rows.set_ylabel("source: the images were made on" if height > 2 else "source", labelpad=8)
    columns.set_xlabel("target: the images were shown to", labelpad=8)

    bars = len(order) > 2
    if bars:
        right = heatmap.axes_at(figure, 2.8 + side + 0.08, 2.8, 0.8, height)
        _mean_bars(right, others.mean(axis=1), horizontal=True)
        right.set_title("mean as\nsource", fontsize=7.5, loc="left", color=theme.QUIET)
        above = heatmap.axes_at(figure, 2.8, 2.8 + height + 0.08, side, 0.8)
        _mean_bars(above, others.mean(axis=0), horizontal=False)
        above.set_ylabel("mean as\ntarget", fontsize=7.5, rotation=0, ha="right", va="center", color=theme.QUIET)

    heatmap.colour_bar(figure, heat, 2.8 + height + (1.2 if bars else 0.42), "mako_r", 0, high, "transfer rate (%)")
    top = 2.8 + height + (0.9 if height < 2 else 0.0)
    heatmap.family_legend(figure, 2.8 + side + 1.1, top, rate, families, styles)
    caption = transfer_caption(rate, high, origin, clustered=compared and bars)
    return Drawing(figure, rate.rename_axis("source"), "Transfer in each direction", caption)


def transfer_caption(rate: pd.DataFrame, high: float, origin: Origin, clustered: bool) -> str:
    """What `rate` shows, rows the sources, on a scale of colours up to `high`; clustered: whether models are in the
    order of the tree."""
    said = (
        f"The share of images, in percent, on which the model of the column is fooled by {origin.attack.images} of the "
        f"model of the row, among {origin.common}."
    )
    if any(np.isfinite(rate.loc[name, name]) for name in rate.index):
        said += " On the diagonal a model is shown its own."
    if (rate > high).any(axis=None):
        said += " Rates beyond the colour scale have its last colour."
    if len(rate.columns) < 3:
        return said
    order = "of average-linkage clustering of SAT" if clustered else "of their mean as a target, the highest first"
    return (
        f"{said} Models are in the order {order}. The bars are means without the diagonal: a long bar at the right is "
        "a model whose attacks transfer well, a tall bar on top is a model that is easily fooled by others."
    )


@theme.style()
def accuracy(models: pd.DataFrame, styles: Styles, origin: Origin) -> Drawing:
    """Clean accuracy, and accuracy under the model's own attack, with intervals where the table has them.

    The latter is clean accuracy × (1 − success). It is defined for untargeted attacks on correctly classified images;
    for others the share of images on which the attack fails takes its place.
    """
    table = models.sort_values(["clean_accuracy", "model"], ascending=[False, True], na_position="last")
    correct = origin.labels in (None, "truth") and not origin.attack.targeted
    under = f"{'accuracy' if correct else origin.attack.withstood} under its own attack (%)"
    share = table["clean_accuracy"] if correct else 1
    panels = {
        "clean accuracy (%)": [table[f"clean_accuracy{end}"] for end in ("", "_low", "_high")],
        under: [share * (1 - table[f"white_box_success{end}"]) for end in ("", "_high", "_low")],
    }
    row = 0.27 if len(table) <= heatmap.ANNOTATED else 0.175
    height = max(row * len(table), 0.5)
    figure = Figure(figsize=(11, height + 1.5))
    rows = np.arange(len(table)) + 0.5
    axes = [heatmap.axes_at(figure, 2.6, 0.7, 3.4, height), heatmap.axes_at(figure, 6.25, 0.7, 2.6, height)]
    for panel, (title, (value, low, high)) in zip(axes, panels.items(), strict=True):
        panel.grid(axis="x", color="#e4e4e4", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.hlines(rows, 100 * low, 100 * high, color=theme.QUIET, linewidth=1.1)
        for family, style in styles.items():
            of = (table["family"] == family).to_numpy()
            panel.scatter(
                100 * value[of],
                rows[of],
                s=38 if row > 0.2 else 24,
                color=style.colour,
                marker=style.marker,
                edgecolor="white",
                linewidth=0.4,
                zorder=3,
                clip_on=False,
            )
        panel.set(ylim=(len(table), 0), yticks=rows, yticklabels=[], xlabel=title)
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
    size = 8.5 if row > 0.2 else 6.5
    axes[0].set_yticklabels(table["model"], fontsize=size)
    highest = np.nanmax([100 * panels[under][2].max(), 1.0])
    axes[1].set_xlim(0, 1.06 * highest)

    axes[1].text(
        1.05, 1, "white-box\nsuccess (%)", transform=axes[1].transAxes, fontsize=7.5, color=theme.QUIET, va="bottom"
    )
    for position, success, weak in zip(rows, table["white_box_success"], table["weak_attack"], strict=True):
        axes[1].text(
            1.05,
            position,
            results.in_percent(success) + (" weak" if weak else ""),
            transform=axes[1].get_yaxis_transform(),
            fontsize=size,
            va="center",
            color=theme.BAD if weak else theme.INK,
            weight="bold" if weak else "normal",
        )
    present = [(family, style) for family, style in styles.items() if family in set(table["family"])]
    figure.legend(
        handles=[_dot(style, family) for family, style in present],
        loc="upper left",
        title="family",
        bbox_to_anchor=(9.85 / 11, (0.7 + height) / (height + 1.5)),
        alignment="left",
        borderaxespad=0,
    )
    rates = [f"{rate}{end}" for rate in ("clean_accuracy", "white_box_success") for end in ("", "_low", "_high")]
    return Drawing(
        figure,
        table[["model", "family", *rates, "weak_attack"]],
        "Accuracy, clean and attacked",
        accuracy_caption(table, correct, origin),
    )


def accuracy_caption(table: pd.DataFrame, correct: bool, origin: Origin) -> str:
    """The caption of `accuracy`; correct: whether the right panel is an accuracy."""
    right = (
        "accuracy under the attack made on the model itself, which is clean accuracy × (1 − white-box success),"
        if correct
        else "share of the attacked images on which the attack made on the model itself fails "
        f"({origin.attack.withstood}), which is 1 − white-box success,"
    )
    targets = " A model without a mark at the right was not attacked." * bool(table["white_box_success"].isna().any())
    return (
        f"Left: accuracy on clean images with {origin.level} Wilson intervals. Right: {right} with the interval of "
        f"the white-box success.{targets} The two scales differ. Where the values on the right are high, the attack "
        "was too weak for the model's SAT to be trusted."
    )


@theme.style()
def nearest(pairs: pd.DataFrame, origin: Origin) -> Drawing:
    """The most and the least similar pairs with their intervals, under the distribution of all pairs."""
    table = results.between_models(pairs).dropna(subset=["sat"])
    table = table.sort_values(["sat", "model_a", "model_b"], ascending=[False, True, True])
    if len(table) > 2 * EXTREMES:
        groups = {"most similar": table.head(EXTREMES), "least similar": table.tail(EXTREMES)}
    else:
        groups = {"": table}
    row, width, bottom, hist = 0.25, 5.6, 0.8, 1.0 if len(groups) == 2 else 0.0
    heights = [max(row * len(group), 0.4) for group in groups.values()]
    total = bottom + sum(heights) + 0.35 * (len(heights) - 1) + (hist + 0.35 if hist else 0) + 0.9
    figure = Figure(figsize=(width + 5, total))
    colour = {True: theme.GOOD, False: "#8c8c8c"}
    shown = pd.concat(list(groups.values()))
    ends = np.concatenate([table["sat"], shown["sat_low"].dropna(), shown["sat_high"].dropna()])
    margin = 0.03 * (np.ptp(ends) or 1)
    limits = (ends.min() - margin, min(ends.max() + margin, results.LOG_100 + 0.01))

    top = total - 0.9
    first: Axes | None = None
    if hist:
        first = heatmap.axes_at(figure, 3.6, top - hist, width, hist)
        kinds = np.where(same_family(table), "same", "different")
        sns.histplot(
            x=table["sat"].to_numpy(),
            hue=kinds,
            hue_order=["same", "different"],
            multiple="stack",
            ax=first,
            legend=False,
            palette={"same": colour[True], "different": colour[False]},
            bins=min(40, int(2 * len(table) ** 0.5)),
            alpha=1,
            edgecolor="white",
            linewidth=0.3,
        )
        first.set(xlim=limits, ylabel="pairs", xticklabels=[])
        first.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        first.text(0.01, 0.93, f"all {len(table):,} pairs", fontsize=8.5, va="top", transform=first.transAxes)
        top -= hist + 0.35
    for index, ((title, group), height) in enumerate(zip(groups.items(), heights, strict=True)):
        axes = heatmap.axes_at(figure, 3.6, top - height, width, height)
        first = first or axes
        top -= height + 0.35
        rows = np.arange(len(group)) + 0.5
        same = same_family(group)
        colours = [colour[bool(value)] for value in same]
        axes.hlines(rows, group["sat_low"], group["sat_high"], colors=colours, linewidth=1.6)
        for kind in (True, False):
            axes.scatter(
                group["sat"][same == kind],
                rows[same == kind],
                s=34,
                marker="o" if kind else "D",
                zorder=3,
                clip_on=False,
                facecolor=colour[kind] if kind else "white",
                edgecolor=colour[kind],
                linewidth=1.2,
            )
        labels = [f"{a} – {b}" for a, b in zip(group["model_a"], group["model_b"], strict=True)]
        axes.set(xlim=limits, ylim=(len(group), 0), yticks=rows, yticklabels=labels)
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_title(title, fontsize=8.5, loc="left")
        if index == len(groups) - 1:
            axes.set_xlabel(f"SAT (bars: {origin.interval})")
        else:
            axes.tick_params(axis="x", labelbottom=False)
    assert first is not None
    _percent_ticks(first, *limits, label="mean transfer rate (%)")
    other = "different families" if (table[["family_a", "family_b"]] != UNKNOWN).all(axis=None) else "others"
    handles = [
        Line2D([], [], color=colour[True], marker="o", markersize=5.5, linewidth=1.6, label="same family"),
        Line2D([], [], color=colour[False], marker="D", markersize=5.5, markerfacecolor="white", label=other),
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=((3.75 + width) / (width + 5), (total - 0.9) / total),
        borderaxespad=0,
    )
    return Drawing(
        figure,
        table[["model_a", "model_b", "family_a", "family_b", "images", "sat", "sat_low", "sat_high"]],
        "The most and the least similar pairs" if hist else "All pairs by similarity",
        f"Each dot is one pair (bar: {origin.interval}); where two bars overlap widely, the order of the two "
        f"pairs is not settled{'' if origin.stated else ' by this number of images'}."
        + f" On top the distribution of all {len(table):,} pairs."
        * bool(hist),
    )


def same_family(pairs: pd.DataFrame) -> np.ndarray:
    """Whether the two models of each pair are known to be of one family, bool [P]."""
    return ((pairs["family_a"] == pairs["family_b"]) & (pairs["family_a"] != UNKNOWN)).to_numpy()


def _sat_range(sat: pd.Series) -> tuple[float, float]:
    """Ends of the colour scale: those of the measured pairs, not below 0 (1 %) nor above log 100.

    A tenth more above keeps the diagonal darker than the most similar pair.
    """
    known = sat[np.isfinite(sat)]
    if known.empty:
        return 0.0, results.LOG_100
    low, high = max(float(known.min()), 0.0), max(float(known.max()), 0.5)
    low = min(low, high - 0.5)
    return low, min(high + 0.1 * (high - low), results.LOG_100)


def _mean_bars(axes: Axes, means: pd.Series, horizontal: bool) -> None:
    """One bar a model beside the rows (`horizontal`) or above the columns of a heat map; its value on it if few."""
    middle = np.arange(len(means)) + 0.5
    longest = float(means.max()) if (means > 0).any() else 1.0
    if horizontal:
        axes.barh(middle, means, height=0.72, color="#a9b4bd")
        axes.set(ylim=(len(means), 0), xlim=(0, 1.02 * longest))
    else:
        axes.bar(middle, means, width=0.72, color="#a9b4bd")
        axes.set(xlim=(0, len(means)), ylim=(0, 1.02 * longest))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if len(means) <= heatmap.ANNOTATED:
        for position, mean in zip(middle, means, strict=True):
            x, y = (0.06 * longest, position) if horizontal else (position, 0.06 * longest)
            label = f"{mean:.0f}" if np.isfinite(mean) else "–"
            axes.text(
                x,
                y,
                label,
                fontsize=7.5,
                ha="left" if horizontal else "center",
                va="center" if horizontal else "bottom",
            )


def _percent_ticks(axes: Axes, low: float, high: float, label: str = "") -> None:
    """Adds a scale on top of an SAT axis that reads as percent."""
    ends = np.exp([low, high + 1e-9])
    candidates: list[np.ndarray] = [np.array(PERCENT_TICKS), np.asarray(MaxNLocator(5).tick_values(*ends))]
    inside = [values[(values >= ends[0]) & (values <= ends[1])] for values in candidates]
    ticks = inside[0] if len(inside[0]) > 2 else inside[1]
    above = axes.secondary_xaxis("top")
    above.set_xticks(np.log(ticks), [f"{percent:g}" for percent in ticks])
    above.tick_params(labelsize=8, color=theme.QUIET)
    above.set_xlabel(label, fontsize=8.5)


def _dot(style: FamilyStyle, label: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=style.marker, color=style.colour, markersize=6, label=label)
