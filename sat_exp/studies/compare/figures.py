"""The figure of a comparison: two SAT matrices over the pairs that both have."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.similarity.scores import between_models

Groups = list[tuple[pd.DataFrame, str, str, str]]
"""Pairs, marker, colour and label."""


def drawings(results: Results) -> dict[str, Drawing]:
    """The figure of the study by name; empty for a run that is no comparison."""
    if "pairs_compared" not in results.own:
        return {}
    facts = [results.summary.get(name, "") for name in ("measured_name", "reference_name", "aside", "errors")]
    return {"comparison": comparison(results.own["pairs_compared"], *facts)}


@theme.style()
def comparison(pairs: pd.DataFrame, measured: str, reference: str, aside: str, errors: str) -> Drawing:
    """SAT of every pair in both matrices; the difference against the mean; the distribution of differences.

    pairs: the table `pairs_compared`. measured, reference: names of the matrices. aside: what the pairs drawn as
    crosses have in common. errors: a sentence on the source of the standard errors.
    """
    known = between_models(pairs).dropna(subset="difference")
    others, rest = known[~known["set_aside"]], known[known["set_aside"]]
    groups = [(others, "o", theme.GOOD, "pairs" if rest.empty else "other pairs")]
    if not rest.empty:
        groups.append((rest, "x", theme.BAD, f"pairs with a model of {aside}"))
    order = known.set_index(known[["measured", "reference"]].mean(axis=1)).sort_index()
    band = 1.96 * order[["error"]].rolling(max(len(order) // 20, 3), center=True, min_periods=1).median()
    most = 1.08 * max(known["difference"].abs().max(), band["error"].max())
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    left, right, margin = figure.subplots(1, 3, width_ratios=[1, 1, 0.32])
    _pairs(left, right, groups, known)
    left.set(xlabel=f"SAT in {reference}", ylabel=f"SAT in {measured}")
    left.set_title(f"{len(known):,} pairs", loc="left")

    right.fill_between(band.index, -band["error"], band["error"], color=theme.INK, alpha=0.14, linewidth=0, zorder=0)
    right.set(ylim=(-most, most), xlabel="mean of both", ylabel=f"SAT in {measured} minus {reference}")
    right.set_title("difference; shaded: ± 1.96 standard errors", loc="left")
    _distribution(margin, groups, known, most)
    offset = float(known["difference"].mean())
    for axes in (right, margin):
        axes.axhline(0, color=theme.INK, linewidth=0.9)
        axes.axhline(offset, color=theme.BAD, linewidth=1.2, linestyle="--", label=f"mean difference {offset:+.3f}")
    labelled = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in (left, margin)]
    legend = {label: handle for axes in labelled for handle, label in axes}
    figure.legend(legend.values(), legend.keys(), loc="outside lower left", ncols=len(legend), markerscale=1.6)
    return Drawing(
        figure,
        known,
        f"{measured} and {reference}",
        f"Left: SAT of every pair in both matrices. Middle: {measured} minus {reference} against the mean of both; the "
        "band is the running median of ± 1.96 standard errors of a difference. Right: the distribution of differences, "
        f"and the one that sampling error alone would give. {errors}".rstrip(),
    )


def _pairs(left: Axes, right: Axes, groups: Groups, known: pd.DataFrame) -> None:
    """Draw every pair: both values at the left, the difference against the mean at the right."""
    style: dict[str, Any] = {"s": float(np.clip(6000 / len(known), 6, 40)), "alpha": 0.5}
    for group, marker, colour, label in groups:
        style |= {"marker": marker, "color": colour, "label": label, "linewidth": 0.8 * (marker == "x")}
        left.scatter(group["reference"], group["measured"], **style)
        right.scatter(group[["measured", "reference"]].mean(axis=1), group["difference"], **style)
    values = known[["measured", "reference"]].to_numpy()
    pad = 0.05 * np.ptp(values) or 0.05
    limits = float(values.min() - pad), float(values.max() + pad)
    left.plot(limits, limits, color=theme.INK, linewidth=0.9, label="equal")
    left.set(xlim=limits, ylim=limits, aspect="equal")


def _distribution(axes: Axes, groups: Groups, known: pd.DataFrame, most: float) -> None:
    """Draw a histogram of the differences, from −most to most, and what sampling error alone would give."""
    bins = np.linspace(-most, most, 2 * min(26, 2 + int(len(known) ** 0.5)))
    differences, colours = [group["difference"] for group, *_ in groups], [colour for _, _, colour, _ in groups]
    axes.hist(differences, bins=list(bins), orientation="horizontal", stacked=True, color=colours, alpha=0.7)
    across = np.linspace(-most, most, 400)
    error = known["error"].to_numpy()
    expected = norm.pdf(across[:, None], 0, error[None, np.isfinite(error) & (error > 0)]).sum(axis=1)
    expected *= np.diff(bins)[0]
    axes.plot(expected, across, color=theme.INK, linewidth=1.2, linestyle=":", label="sampling error")
    axes.set(ylim=(-most, most), xlabel="pairs")
    axes.tick_params(axis="y", labelleft=False)
