"""The figure of the most and the least similar pairs, under the distribution of all pairs."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sat_exp.report import heatmap, theme
from sat_exp.report.origin import UNKNOWN, Origin
from sat_exp.report.results import LOG_100
from sat_exp.report.theme import Drawing
from sat_exp.similarity.scores import between_models

EXTREMES = 12  # pairs at each end
SAME, DIFFERENT = theme.GOOD, "#8c8c8c"
WIDTH, BOTTOM, TOP, GAP, HISTOGRAM = 5.6, 0.8, 0.9, 0.35, 1.0


@theme.style()
def draw(pairs: pd.DataFrame, origin: Origin) -> Drawing:
    """The pairs at both ends with their intervals; all pairs where there are few."""
    table = between_models(pairs).dropna(subset=["sat"])
    table = table.assign(same=(table["family_a"] == table["family_b"]) & (table["family_a"] != UNKNOWN))
    table = table.sort_values(["sat", "model_a", "model_b"], ascending=[False, True, True])
    many = len(table) > 2 * EXTREMES
    groups = {"most similar": table.head(EXTREMES), "least similar": table.tail(EXTREMES)} if many else {"": table}
    heights = [max(0.25 * len(group), 0.4) for group in groups.values()]
    total = BOTTOM + sum(heights) + GAP * (len(heights) - 1) + many * (HISTOGRAM + GAP) + TOP
    figure = Figure(figsize=(WIDTH + 5, total))
    drawn = pd.concat(list(groups.values()))
    ends = np.concatenate([table["sat"], drawn["sat_low"].dropna(), drawn["sat_high"].dropna()])
    margin = 0.03 * (np.ptp(ends) or 1)
    limits = ends.min() - margin, min(ends.max() + margin, LOG_100 + 0.01)
    top, panels = total - TOP, []
    if many:
        panels.append(heatmap.axes_at(figure, 3.6, top - HISTOGRAM, WIDTH, HISTOGRAM))
        _histogram(panels[0], table, limits)
        top -= HISTOGRAM + GAP
    for (title, group), height in zip(groups.items(), heights, strict=True):
        panels.append(heatmap.axes_at(figure, 3.6, top - height, WIDTH, height))
        _rows(panels[-1], group, limits)
        panels[-1].set_title(title, fontsize=8.5, loc="left")
        panels[-1].tick_params(axis="x", labelbottom=False)
        top -= height + GAP
    panels[-1].tick_params(axis="x", labelbottom=True)
    panels[-1].set_xlabel(f"SAT (bars: {origin.interval})")
    heatmap.percent_ticks(panels[0], *limits, label="mean transfer rate (%)")
    other = "different families" if (table[["family_a", "family_b"]] != UNKNOWN).all(axis=None) else "others"
    handles = [
        Line2D([], [], color=SAME, marker="o", markersize=5.5, linewidth=1.6, label="same family"),
        Line2D([], [], color=DIFFERENT, marker="D", markersize=5.5, markerfacecolor="white", label=other),
    ]
    place = (3.75 + WIDTH) / (WIDTH + 5), (total - TOP) / total
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, borderaxespad=0)
    data = table[["model_a", "model_b", "family_a", "family_b", "images", "sat", "sat_low", "sat_high"]]
    heading = "The most and the least similar pairs" if many else "All pairs by similarity"
    return Drawing(figure, data, heading, caption(len(table), many, origin))


def caption(pairs: int, many: bool, origin: Origin) -> str:
    """The caption of the figure; many: whether only the pairs at both ends are drawn."""
    images = "" if origin.stated else " by this number of images"
    distribution = f" On top is the distribution of all {pairs:,} pairs." * many
    return (
        f"One dot per pair (bar: {origin.interval}). Where two bars overlap widely, the order of the two pairs is not "
        f"settled{images}.{distribution}"
    )


def _histogram(axes: Axes, table: pd.DataFrame, limits: tuple[float, float]) -> None:
    sns.histplot(
        x=table["sat"].to_numpy(),
        hue=np.where(table["same"], "same", "different"),
        hue_order=["same", "different"],
        multiple="stack",
        ax=axes,
        legend=False,
        palette={"same": SAME, "different": DIFFERENT},
        bins=min(40, int(2 * len(table) ** 0.5)),
        alpha=1,
        edgecolor="white",
        linewidth=0.3,
    )
    axes.set(xlim=limits, ylabel="pairs", xticklabels=[])
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.text(0.01, 0.93, f"all {len(table):,} pairs", fontsize=8.5, va="top", transform=axes.transAxes)


def _rows(axes: Axes, group: pd.DataFrame, limits: tuple[float, float]) -> None:
    """One row per pair: its SAT and the interval, in the colour of pairs of one family or of two."""
    rows, same = np.arange(len(group)) + 0.5, group["same"].to_numpy()
    colours = [SAME if value else DIFFERENT for value in same]
    axes.hlines(rows, group["sat_low"], group["sat_high"], colors=colours, linewidth=1.6)
    for own, marker, face, edge in ((same, "o", SAME, SAME), (~same, "D", "white", DIFFERENT)):
        axes.scatter(
            group["sat"][own],
            rows[own],
            s=34,
            marker=marker,
            zorder=3,
            clip_on=False,
            facecolor=face,
            edgecolor=edge,
            linewidth=1.2,
        )
    labels = [f"{a} – {b}" for a, b in zip(group["model_a"], group["model_b"], strict=True)]
    axes.set(xlim=limits, ylim=(len(group), 0), yticks=rows, yticklabels=labels)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
