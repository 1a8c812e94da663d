"""The pieces of a heat map of models, placed in inches: cells, names with family colours, colour bar, legend."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from sat_exp.report import theme
from sat_exp.report.theme import FamilyStyle

ANNOTATED = 20
PERCENT_TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100)
MISSING: dict[str, Any] = {"facecolor": theme.MISSING, "edgecolor": "#9a9a9a", "hatch": "//////", "linewidth": 0}
Styles = Mapping[str, FamilyStyle]


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches from the figure's lower left corner."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def side_of(models: int) -> tuple[float, float]:
    """The side of a heat map of that many models, and the side of a cell."""
    cell = min(0.9, 4.4 / models) if models <= 8 else min(0.55, max(0.165, 11 / models))
    return cell * models, cell


def cells(axes: Axes, values: pd.DataFrame, cell: float, **how: Any) -> None:
    """Draw the cells of a heat map, hatched where a value is missing. Few cells have their values in them, and many are
    one picture in an SVG file."""
    annotated = len(values) <= ANNOTATED
    axes.patch.set(**MISSING)
    sns.heatmap(
        values,
        mask=values.isna(),
        ax=axes,
        cbar=False,
        annot=annotated,
        annot_kws={"fontsize": min(10, 17 * cell)},
        linewidths=0.8 if annotated else 0,
        linecolor="white",
        rasterized=not annotated,
        xticklabels=False,
        yticklabels=False,
        **how,
    )
    axes.set(xlabel="", ylabel="")


def names(
    figure: Figure, heat: Axes, cell: float, values: pd.DataFrame, families: Mapping[str, str], styles: Styles
) -> tuple[Axes, Axes]:
    """Draw strips of family colours left of and below a heat map of `values`, with the model names."""
    place, (across, up) = heat.get_position(), figure.get_size_inches()
    left, bottom, strip = place.x0 * across, place.y0 * up, 0.13
    size = min(9.0, max(6.2, 30 * cell))
    look: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.4}
    colours = {name: styles[families[name]].colour for name in values.columns}
    middle = np.arange(len(values)) + 0.5
    rows = axes_at(figure, left - strip - 0.05, bottom, strip, place.height * up)
    rows.barh(middle, 1, height=1, color=[colours[name] for name in values.index], **look)
    rows.set(ylim=(len(middle), 0), xlim=(0, 1), xticks=[])
    rows.set_yticks(middle, list(values.index), fontsize=size)
    middle = np.arange(len(values.columns)) + 0.5
    columns = axes_at(figure, left, bottom - strip - 0.05, place.width * across, strip)
    columns.bar(middle, 1, width=1, color=list(colours.values()), **look)
    columns.set(xlim=(0, len(middle)), ylim=(0, 1), yticks=[])
    columns.set_xticks(middle, list(values.columns), fontsize=size, rotation=90)
    for axes in (rows, columns):
        axes.tick_params(length=0, pad=3)
        axes.spines[:].set_visible(False)
    return rows, columns


def colour_bar(figure: Figure, heat: Axes, bottom: float, cmap: str, low: float, high: float, label: str) -> Axes:
    """Draw a horizontal colour bar above a heat map, left-aligned with it, with its label on top."""
    place, across = heat.get_position(), figure.get_figwidth()
    axes = axes_at(figure, place.x0 * across, bottom, min(max(place.width * across, 2.6), 4.4), 0.13)
    mappable = ScalarMappable(Normalize(low, high), sns.color_palette(cmap, as_cmap=True))
    figure.colorbar(mappable, cax=axes, orientation="horizontal").outline.set_visible(False)  # type: ignore[operator]
    axes.set_title(label, fontsize=9, loc="left")
    return axes


def percent_ticks(axes: Axes, low: float, high: float, label: str = "") -> None:
    """Add a scale in percent on top of an axis of SAT."""
    ends = np.exp([low, high + 1e-9])
    candidates: list[np.ndarray] = [np.array(PERCENT_TICKS), np.asarray(MaxNLocator(5).tick_values(*ends))]
    inside = [values[(values >= ends[0]) & (values <= ends[1])] for values in candidates]
    ticks = inside[0] if len(inside[0]) > 2 else inside[1]
    above = axes.secondary_xaxis("top")
    above.set_xticks(np.log(ticks), [f"{percent:g}" for percent in ticks])
    above.tick_params(labelsize=8, color=theme.QUIET)
    above.set_xlabel(label, fontsize=8.5)


def family_legend(
    figure: Figure, left: float, top: float, values: pd.DataFrame, families: Mapping[str, str], styles: Styles
) -> None:
    """Draw the legend of the families in a heat map of `values`, its upper left corner at a place in inches."""
    present = {families[name] for name in values.columns}
    handles: list[Patch] = [
        Patch(color=style.colour, label=family) for family, style in styles.items() if family in present
    ]
    if _gaps(values):
        handles.append(Patch(label="not measured", **MISSING))
    across, up = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left / across, top / up),
        borderaxespad=0,
        title="family",
        alignment="left",
        handlelength=1.1,
        handleheight=1.1,
    )


def whole(
    values: pd.DataFrame, families: Mapping[str, str], styles: Styles, groups: Sequence[int], digits: str, **scale: Any
) -> Figure:
    """A complete figure of a heat map of `values` [M, M], with boxes around models of equal `groups`, [M].

    digits: the format of the values. scale: cmap, low, high and label of the colour bar.
    """
    side, cell = side_of(len(values))
    figure = Figure(figsize=(side + 5.2, side + 4))
    heat = axes_at(figure, 2.8, 2.8, side, side)
    cells(heat, values, cell, cmap=scale["cmap"], vmin=scale["low"], vmax=scale["high"], fmt=digits)
    if not _gaps(values):
        heat.patch.set(hatch=None)
    names(figure, heat, cell, values, families, styles)
    start = 0
    for group, members in itertools.groupby(groups):
        size = len(list(members))
        heat.add_patch(
            Rectangle((start, start), size, size, fill=False, edgecolor=theme.INK, linewidth=1.4, clip_on=False)
        )
        heat.annotate(str(group), (len(values), start + size / 2), (4, 0), textcoords="offset points", va="center")
        start += size
    colour_bar(figure, heat, 2.8 + side + 0.25, **scale)
    family_legend(figure, 2.8 + side + 0.45, 2.8 + side, values, families, styles)
    return figure


def _gaps(values: pd.DataFrame) -> bool:
    """Whether a value is missing outside the diagonal."""
    missing = values.isna().to_numpy()
    diagonal = values.index.to_numpy()[:, None] == values.columns.to_numpy()
    return bool((missing & ~diagonal).any())
