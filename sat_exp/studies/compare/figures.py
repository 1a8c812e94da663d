"""The figure of two SAT matrices side by side, drawn from the table of the pairs that both have."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm

from sat_exp.report import theme
from sat_exp.report.theme import Drawing


@theme.style()
def comparison(pairs: pd.DataFrame, measured: str, reference: str, aside: str, errors: str) -> Drawing:
    """SAT of every pair in both matrices; their difference over their mean; and how differences are spread.

    `pairs`: model_a, model_b, measured, reference, difference, error, set_aside, as `studies.comparison` makes them.
    `measured`, `reference`: names of the two; `aside`: what the pairs set aside, drawn as crosses, have in common;
    `errors`: a sentence on where the standard errors come from.
    """
    known = pairs[pairs["model_a"] != pairs["model_b"]].dropna(subset="difference")
    some_aside = bool(known["set_aside"].any())
    groups = [(known[~known["set_aside"]], "o", theme.GOOD, "other pairs" if some_aside else "pairs")]
    if some_aside:
        groups.append((known[known["set_aside"]], "x", theme.BAD, f"pairs with a model of {aside}"))
    size = float(np.clip(6000 / len(known), 6, 40))
    values, offset = known[["measured", "reference"]].to_numpy(), float(known["difference"].mean())
    limits = _padded(values.min(), values.max())
    width = _width(known)
    most = 1.08 * max(known["difference"].abs().max(), width["error"].max())

    figure = Figure(figsize=(12, 5.4), layout="constrained")
    left, right, margin = figure.subplots(1, 3, width_ratios=[1, 1, 0.32])
    for group, marker, colour, label in groups:
        middle = group[["measured", "reference"]].mean(axis=1)
        for axes, x, y in ((left, group["reference"], group["measured"]), (right, middle, group["difference"])):
            axes.scatter(
                x, y, s=size, marker=marker, color=colour, alpha=0.5, linewidth=0.8 * (marker == "x"), label=label
            )
    left.plot(limits, limits, color=theme.INK, linewidth=0.9, label="equal")
    left.set(xlim=limits, ylim=limits, aspect="equal", xlabel=f"SAT in {reference}", ylabel=f"SAT in {measured}")
    left.set_title(f"{len(known):,} pairs", loc="left")

    right.fill_between(width.index, -width["error"], width["error"], color=theme.INK, alpha=0.14, linewidth=0, zorder=0)
    right.set(ylim=(-most, most), xlabel="mean of both", ylabel=f"SAT in {measured} minus {reference}")
    right.set_title("difference; shaded: ± 1.96 standard errors", loc="left")

    bins = np.linspace(-most, most, 2 * min(26, 2 + int(len(known) ** 0.5)))
    margin.hist(
        [group["difference"] for group, *_ in groups],
        bins=list(bins),
        orientation="horizontal",
        stacked=True,
        color=[colour for _, _, colour, _ in groups],
        alpha=0.7,
    )
    across = np.linspace(-most, most, 400)
    error = known["error"].to_numpy()
    expected = norm.pdf(across[:, None], 0, error[None, np.isfinite(error) & (error > 0)]).sum(axis=1)
    margin.plot(
        expected * np.diff(bins)[0], across, color=theme.INK, linewidth=1.2, linestyle=":", label="sampling error"
    )
    margin.set(ylim=(-most, most), xlabel="pairs")
    margin.tick_params(axis="y", labelleft=False)
    for axes in (right, margin):
        axes.axhline(0, color=theme.INK, linewidth=0.9)
        axes.axhline(offset, color=theme.BAD, linewidth=1.2, linestyle="--", label=f"mean difference {offset:+.3f}")
    legend = {
        label: handle
        for axes in (left, margin)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(legend.values(), legend.keys(), loc="outside lower left", ncols=len(legend), markerscale=1.6)
    return Drawing(
        figure,
        known,
        f"{measured} and {reference}",
        f"Left: SAT of every pair in both matrices. Right: {measured} minus {reference} against the mean of both, the "
        "band being the running median of ± 1.96 standard errors of such a difference; and how differences are spread, "
        f"with what sampling error alone would give. {errors}".rstrip(),
    )


def _width(known: pd.DataFrame) -> pd.DataFrame:
    """1.96 standard errors of a difference, a running median over the mean of both, which is the index."""
    order = known.set_index(known[["measured", "reference"]].mean(axis=1)).sort_index()
    return 1.96 * order[["error"]].rolling(max(len(order) // 20, 3), center=True, min_periods=1).median()


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = 0.05 * (high - low) or 0.05
    return low - pad, high + pad
