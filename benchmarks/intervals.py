"""Compute the coverage of the 95% interval of SAT exactly, as a sum over all counts, without random draws.

    python benchmarks/intervals.py [--images 20 50 100 300 1000 5000]

An image is fooled in both directions, in one or in neither: the three cells of a multinomial. The first table has the
smallest and the largest coverage for each mean transfer rate and number of images, over twelve ways in which the two
directions depend on each other. The second table averages this over nearby rates, whose odds are between half and twice
those of the rate. The third compares other intervals. A rate above 50% has the coverage of 100% minus the rate.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import betainc, gammaln, ndtri, xlogy

from sat_exp.similarity.intervals import design_effect, p_too_many

Array = NDArray[np.float64]
Covers = Callable[[float, Array, Array, Array], NDArray[np.bool_]]

RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
IMAGES = (20, 50, 100, 300, 1000, 5000)
RATIOS = (1.0, 0.1)
DEPENDENCE = (-0.5, 0.0, 0.3, 0.6, 0.9, 1.0)
ALPHA = 0.05
NEAR = np.geomspace(0.5, 2, 9)
REACH = 6.0
MOST_DRAWN = 50
DRAWS = 2000


def cells(rate: float, ratio: float, dependence: float) -> tuple[float, float, float]:
    """The probabilities that an image is fooled in both directions, in one and in neither.

    rate: the mean of the two transfer rates. ratio: the smaller rate divided by the larger one; for a `rate` above 1/2,
    of the rates of misses. dependence: 0 for independent directions; 1 and −1 for the most and the fewest images that
    can be fooled in both.
    """
    rare = min(rate, 1 - rate)
    a, b = 2 * rare * ratio / (1 + ratio), 2 * rare / (1 + ratio)
    reach = min(a, b) - a * b if dependence > 0 else a * b - max(0.0, a + b - 1)
    together = a * b + dependence * reach
    found = together, max(a + b - 2 * together, 0.0), max(1 - a - b + together, 0.0)
    return found if rate <= 0.5 else (found[2], found[1], found[0])


def outcomes(images: int, shares: Sequence[float]) -> tuple[Array, Array, Array, Array]:
    """Counts of both, one and neither, and their probabilities, [K] each. Those left out have less than 1e-7 in sum."""

    def likely(share: float) -> Array:
        spread = REACH * np.sqrt(images * share * (1 - share)) + 12 * (share > 0)
        return np.arange(max(0, int(images * share - spread)), min(images, int(images * share + spread)) + 1.0)

    both, one = (grid.ravel() for grid in np.meshgrid(likely(shares[0]), likely(shares[1])))
    kept = both + one <= images
    counts = both[kept], one[kept], images - both[kept] - one[kept]
    logs = gammaln(images + 1) - sum(gammaln(count + 1) for count in counts)
    weights = np.exp(logs + sum(xlogy(count, share) for count, share in zip(counts, shares, strict=True)))
    known = weights > 1e-13
    return *(count[known] for count in counts), weights[known]


def ours(rate: float, both: Array, one: Array, neither: Array) -> NDArray[np.bool_]:
    observed = (2 * both + one) / (2 * (both + one + neither))
    high = (rate >= observed) | (p_too_many(np.full(both.shape, rate), both, one, neither) > ALPHA)
    low = (rate <= observed) | (p_too_many(np.full(both.shape, 1 - rate), neither, one, both) > ALPHA)
    return high & low


def score(rate: float, both: Array, one: Array, neither: Array) -> NDArray[np.bool_]:
    images = both + one + neither
    variance = rate * (1 - rate) * design_effect(np.full(both.shape, rate), both, one, neither) / (2 * images)
    return ((2 * both + one) / (2 * images) - rate) ** 2 <= ndtri(1 - ALPHA / 2) ** 2 * variance


def likelihood_ratio(rate: float, both: Array, one: Array, neither: Array) -> NDArray[np.bool_]:
    images = both + one + neither
    single = 2 * rate * (1 - rate) * (2 - design_effect(np.full(both.shape, rate), both, one, neither))
    shares = rate - single / 2, single, 1 - rate - single / 2
    best = sum(xlogy(count, count / images) for count in (both, one, neither))
    found = sum(xlogy(n, np.maximum(share, 1e-300)) for n, share in zip((both, one, neither), shares, strict=True))
    return 2 * (best - found) <= ndtri(1 - ALPHA / 2) ** 2


def jeffreys(rate: float, both: Array, one: Array, neither: Array) -> NDArray[np.bool_]:
    effect = design_effect(np.full(both.shape, rate), both, one, neither)
    hits, misses = (2 * both + one) / effect, (2 * neither + one) / effect
    below = betainc(hits + 0.5, misses + 0.5, rate)
    return ((below >= ALPHA / 2) | (hits == 0)) & ((below <= 1 - ALPHA / 2) | (misses == 0))


def dirichlet(rate: float, both: Array, one: Array, neither: Array) -> NDArray[np.bool_]:
    rng = np.random.default_rng(0)
    drawn = rng.standard_gamma(np.stack([both, one, neither], axis=1) + 0.5, (DRAWS, both.size, 3))
    below = ((drawn @ [1, 0.5, 0]) / drawn.sum(axis=2) < rate).mean(axis=0)
    return (below >= ALPHA / 2) & (below <= 1 - ALPHA / 2)


def bootstrap(rate: float, both: Array, one: Array, neither: Array) -> NDArray[np.bool_]:
    rng, counts = np.random.default_rng(0), np.stack([both, one, neither], axis=1)
    images = counts.sum(axis=1)
    drawn = rng.multinomial(images.astype(int), counts / images[:, None], (DRAWS, both.size))
    low, high = np.quantile(drawn @ [1, 0.5, 0] / images, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return (low <= rate) & (rate <= high)


CANDIDATES: dict[str, Covers] = {
    "this project's": ours,
    "normal score": score,
    "likelihood ratio": likelihood_ratio,
    "Jeffreys, effective size": jeffreys,
    "Dirichlet ½ posterior": dirichlet,
    "percentile bootstrap": bootstrap,
}


def coverage(covers: Covers, rate: float, images: int, how: tuple[float, float]) -> float:
    *counts, weights = outcomes(images, cells(rate, *how))
    return float(weights[covers(rate, *counts)].sum() / weights.sum())


def least_possible(rate: float, images: int, how: tuple[float, float]) -> float:
    """The smallest coverage of at least 93% that a range of the number of hits can have."""
    both, one, _, weights = outcomes(images, cells(rate, *how))
    total = np.concatenate([[0], np.cumsum(np.bincount((2 * both + one).astype(int), weights))])
    end = np.searchsorted(total, total + 0.93)
    inside = end < len(total)
    return float((total[end[inside]] - total[inside]).min())


def near(rate: float) -> Array:
    odds = rate / (1 - rate) * NEAR
    return odds / (1 + odds)


def range_of(values: Sequence[float]) -> str:
    return f"{100 * min(values):.1f}–{100 * max(values):.1f}"


def row(rate: float, images: int) -> tuple[str, str]:
    """The cells of the first two tables. A mark means that a coverage is above 97%: * if no range of hits has a
    coverage of 93 to 97%, † if for at least one of the dependences above 97% there is such a range."""
    ways = list(product(RATIOS, DEPENDENCE))
    found = [coverage(ours, rate, images, how) for how in ways]
    above = [least_possible(rate, images, how) <= 0.97 for how, value in zip(ways, found, strict=True) if value > 0.97]
    mark = "" if not above else "†" if any(above) else "*"
    means = [float(np.mean([coverage(ours, other, images, how) for other in near(rate)])) for how in ways]
    return range_of(found) + mark, range_of(means)


def compared(images: int) -> Table:
    """The coverage of each interval at the listed rates and at sixty others, for three dependences."""
    table = Table("interval", "listed rates", "sixty rates", "below 93%", title=f"{images} images, coverage in %")
    ways = [(1.0, 1.0), (1.0, 0.3), (0.1, 0.0)]
    for name, covers in CANDIDATES.items():
        listed = [coverage(covers, rate, images, how) for rate in RATES for how in ways]
        fine = [coverage(covers, rate, images, how) for rate in np.geomspace(0.002, 0.5, 60) for how in ways]
        table.add_row(name, range_of(listed), range_of(fine), f"{np.mean(np.array(fine) < 0.93):.0%}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    sizes = parser.parse_args().images
    titles = "coverage in %, over twelve dependences", "the same, averaged over nearby rates"
    tables = [Table("rate", *(f"{images:,} images" for images in sizes), title=title) for title in titles]
    for rate in RATES:
        for table, texts in zip(tables, zip(*(row(rate, images) for images in sizes), strict=True), strict=True):
            table.add_row(f"{rate:.1%} / {1 - rate:.1%}", *texts)
    console = Console(width=140)
    for table in [*tables, *(compared(images) for images in sizes if images <= MOST_DRAWN)]:
        console.print(table)


if __name__ == "__main__":
    main()
