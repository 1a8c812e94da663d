"""Intervals against closed forms, scipy's binomial, exact coverage by enumeration, and simulation."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar
from statsmodels.stats.rates import confint_poisson

from sat_exp.similarity import SAT_FLOOR, mean_rate_interval, sat_interval, wilson_interval
from sat_exp.similarity.intervals import ONE_TAIL, design_effect, p_too_many

LOG_100 = math.log(100)
RATES = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998]
COUNTS = st.tuples(*[st.integers(0, 60)] * 3).filter(any)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_interval_is_scipys(confidence):
    trials = [1, 2, 7, 50, 5000]
    cases = [(k, n) for n in trials for k in sorted({0, 1, n // 3, n // 2, n - 1, n})]
    low, high = wilson_interval(*np.array(cases).T, confidence)
    for i, (k, n) in enumerate(cases):
        expected = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
        assert (low[i], high[i]) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= low[i] <= k / n <= high[i] <= 1


def test_wilson_interval_without_trials_is_missing():
    assert np.isnan(wilson_interval(0, 0)).all()


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("images", [20, 300, 5000])
def test_ends_for_no_hit_and_for_no_miss_are_known(images, confidence):
    apart = ((1 - confidence) / 1.42) ** (1 / images)
    assert mean_rate_interval(0, 0, images, confidence) == (0, pytest.approx(1 - apart, rel=1e-9))
    assert mean_rate_interval(images, 0, 0, confidence) == (pytest.approx(apart, rel=1e-9), 1)


def test_no_image_is_missing_and_others_stay():
    low, high = mean_rate_interval([0, 3, np.nan], [0, 1, np.nan], [0, 9, np.nan])
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False, True]


def rejected(hits: int, images: int, rate: float, alpha: float) -> bool:
    """Whether `hits` of `images` are too many for `rate`, the binomial test as `mean_rate_interval` describes it."""
    known = stats.binom(images, rate)
    doubled = 2 * (known.sf(hits) + 0.6 * known.pmf(hits))
    if doubled <= 1.42 * known.pmf(0):
        return known.sf(hits) + 0.71 * known.pmf(hits) <= alpha
    return max(doubled, 1.42 * known.pmf(images)) <= alpha


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("images", [4, 20, 300])
def test_equal_indicators_are_a_binomial_count(images, confidence):
    for hits in {0, 1, 2, 3, 7, images // 2, images - 2, images} & set(range(images + 1)):
        low, high = (float(end) for end in mean_rate_interval(hits, 0, images - hits, confidence))
        for rate in np.linspace(0.0005, 0.9995, 203):
            below = rate < hits / images and rejected(hits, images, rate, 1 - confidence)
            above = rate > hits / images and rejected(images - hits, images, 1 - rate, 1 - confidence)
            assert (low <= rate <= high) == (not below and not above), (hits, rate)


@pytest.mark.parametrize("hits", [8, 30, 150])
def test_away_from_zero_it_lies_between_the_mid_p_and_the_exact_interval(hits):
    """Of statsmodels, for a Poisson count, which rare hits are, and of scipy, for a binomial one."""
    images = 10_000_000
    low, high = (images * float(end) for end in mean_rate_interval(hits, 0, images - hits))
    inner, outer = (confint_poisson(hits, 1, method=method) for method in ("midp-c", "exact-c"))
    assert outer[0] < low < inner[0] < inner[1] < high < outer[1]
    exact = stats.binomtest(hits, 300).proportion_ci(method="exact")
    low, high = mean_rate_interval(hits, 0, 300 - hits)
    assert exact.low < low < hits / 300 < high < exact.high


@pytest.mark.parametrize("hits", [30, 150])
def test_rare_hits_one_way_alone_begin_as_a_poisson_count_does(hits):
    images = 10_000_000
    low, _ = mean_rate_interval(0, hits, images - hits)
    assert 2 * low == pytest.approx(mean_rate_interval(hits, 0, images - hits)[0], rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.floats(0.02, 0.98))
def test_design_effect_is_that_of_the_most_likely_cells(counts, rate):
    def surprise(single: float) -> float:
        cells = np.array([rate - single / 2, single, 1 - rate - single / 2])
        return -sum(count * math.log(max(cell, 1e-300)) for count, cell in zip(counts, cells, strict=True) if count)

    found = float(design_effect(*(np.array([float(value)]) for value in (rate, *counts)))[0])
    assume(found > 1.001 / sum(counts))
    single = 2 * rate * (1 - rate) * (2 - found)
    best = minimize_scalar(surprise, bounds=(0, 2 * min(rate, 1 - rate)), method="bounded", options={"xatol": 1e-10})
    assert surprise(min(single, 2 * min(rate, 1 - rate) * (1 - 1e-12))) <= best.fun + 1e-6


@settings(max_examples=150, deadline=None)
@given(COUNTS, st.floats(0.01, 0.999), st.floats(0.01, 0.999))
def test_interval_holds_the_rate_mirrors_and_grows_with_confidence(counts, confidence, other):
    both, one, neither = counts
    rate = (2 * both + one) / (2 * sum(counts))
    low, high = mean_rate_interval(*counts, confidence)
    assert 0 <= low <= rate <= high <= 1
    mirrored = mean_rate_interval(neither, one, both, confidence)
    assert [1 - high, 1 - low] == pytest.approx([*map(float, mirrored)], abs=1e-9)
    wider = mean_rate_interval(*counts, max(confidence, other))
    assert wider[0] <= low + 1e-9
    assert wider[1] >= high - 1e-9


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_the_p_value_grows_with_the_rate(counts):
    both, one, neither = (np.full(400, float(count)) for count in counts)
    rate = (2 * both + one) / (2 * sum(counts))
    rates = np.linspace(1e-4, 0.9999, 400)
    p = p_too_many(rates, both, one, neither)[rates < rate]
    assert (np.diff(p) >= -1e-9).all()


@pytest.mark.parametrize("images", [20, 60])
def test_one_more_hit_never_lowers_an_end(images):
    cells = np.array([(both, one) for both in range(images + 1) for one in range(images + 1 - both)])
    low, high = (np.full((images + 1, images + 1), np.nan) for _ in range(2))
    low[tuple(cells.T)], high[tuple(cells.T)] = mean_rate_interval(*cells.T, images - cells.sum(axis=1))
    for end in (low, high):
        assert (np.diff(end, axis=1)[np.isfinite(np.diff(end, axis=1))] >= -1e-9).all()
        on_both = end[1:, :-1] - end[:-1, 1:]
        assert (on_both[np.isfinite(on_both)] >= -1e-9).all()


def test_pairing_the_two_indicators_matters():
    together, apart = sat_interval(100, 0, 100), sat_interval(50, 100, 50)
    assert together[1] - together[0] > 1.3 * (apart[1] - apart[0])


def test_sat_of_no_hit_begins_at_the_floor_and_ends_above_it():
    low, high = sat_interval(0, 0, [20, 300, 5000])
    assert low.tolist() == [math.log(SAT_FLOOR)] * 3
    assert high == pytest.approx(np.log(100 * (1 - (0.05 / 1.42) ** (1 / np.array([20, 300, 5000])))))
    assert sat_interval(0, 0, 50_000) == (pytest.approx(math.log(SAT_FLOOR)), pytest.approx(math.log(SAT_FLOOR)))
    low, high = sat_interval(5000, 0, 0)
    assert low < LOG_100 == high


def cells(rate, correlation, ratio=1.0):
    """The probabilities that both, one and neither of two indicators are 1: their mean rate is `rate`, the smaller of
    their rates (of hits, or of misses above 1/2) is `ratio` of the larger; `correlation` in units of the largest or the
    smallest possible."""
    rare = min(rate, 1 - rate)
    a, b = 2 * rare * ratio / (1 + ratio), 2 * rare / (1 + ratio)
    reach = min(a, b) - a * b if correlation > 0 else a * b - max(0, a + b - 1)
    together = a * b + correlation * reach
    found = np.array([together, a + b - 2 * together, 1 - a - b + together])
    return found if rate <= 0.5 else found[::-1]


DEPENDENCE = [(0, 1), (0.5, 1), (1, 1), (-0.5, 1), (0, 0.1), (1, 0.1)]


@pytest.fixture(scope="module")
def enumerated():
    """Every outcome of n images with its interval."""
    found = {}
    for images in (20, 50, 100):
        both, one = np.array([(i, j) for i in range(images + 1) for j in range(images + 1 - i)]).T
        counts = np.stack([both, one, images - both - one], axis=1)
        found[images] = counts, *mean_rate_interval(*counts.T)
    return found


def coverage(enumerated, images, rate, dependence):
    counts, low, high = enumerated[images]
    share = stats.multinomial.pmf(counts, images, cells(rate, *dependence))
    return float(share[(low <= rate) & (rate <= high)].sum())


@pytest.mark.parametrize("images", [20, 50, 100])
def test_exact_coverage_is_never_below_93_percent(enumerated, images):
    found = {(rate, how): coverage(enumerated, images, rate, how) for rate in RATES for how in DEPENDENCE}
    assert min(found.values()) >= 0.93, min(found, key=found.__getitem__)


@pytest.mark.parametrize("images", [10, 20, 300, 5000])
def test_exact_coverage_of_equal_indicators_is_never_below_93_percent_at_any_rate(images):
    """Equal indicators have the coarsest counts; with mid-P tails it falls to 92.7% at about five expected hits."""
    hits = np.arange(min(images, 120) + 1)
    low, high = mean_rate_interval(hits, 0, images - hits)
    rates = np.geomspace(0.01 / images, min(60 / images, 0.5), 1500)
    share = stats.binom.pmf(hits, images, rates[:, None])
    assert (share * ((low <= rates[:, None]) & (rates[:, None] <= high))).sum(axis=1).min() >= 0.93


def test_exact_coverage_is_at_most_97_percent_where_counts_vary(enumerated):
    """From eight expected hits and misses on, where the indicators are not opposites of each other."""
    varied = [(images, rate) for images in (20, 50, 100) for rate in RATES if images * min(rate, 1 - rate) >= 8]
    found = [coverage(enumerated, *case, how) for case in varied for how in DEPENDENCE[:4]]
    assert len(varied) >= 8
    assert max(found) <= 0.97


@pytest.mark.parametrize("images", [20, 50, 100])
def test_coverage_averaged_over_near_rates_is_near_95_percent(enumerated, images):
    for rate in RATES:
        odds = rate / (1 - rate) * np.geomspace(0.5, 2, 13)
        for how in DEPENDENCE:
            mean = np.mean([coverage(enumerated, images, near, how) for near in odds / (1 + odds)])
            assert 0.93 <= mean <= 0.98, (rate, how)


@pytest.mark.parametrize(("rate", "images"), [(0.002, 300), (0.002, 5000), (0.02, 300), (0.5, 5000), (0.998, 1000)])
def test_simulated_coverage_of_sat(rate, images):
    """4,000 draws each: the percentile bootstrap over images covers in 67% of the first case."""
    rng = np.random.default_rng(0)
    for how in ((0.4, 1), (0, 0.1)):
        low, high = sat_interval(*rng.multinomial(images, cells(rate, *how), size=4000).T)
        truth = math.log(100 * rate)
        assert 0.93 <= ((low <= truth) & (truth <= high)).mean() <= 0.98


def test_the_weight_is_what_bounds_the_coverage():
    """Just below the lower end for one hit, only no hit is left to cover: the smallest coverage, 1 − α/ONE_TAIL."""
    low, _ = mean_rate_interval(1, 0, 99_999)
    assert (1 - float(low)) ** 100_000 == pytest.approx(1 - 0.05 / ONE_TAIL, abs=0.003)
