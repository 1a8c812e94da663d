"""Prediction of SAT for pairs with models that were not in the fit."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, cross_val_predict

from sat_exp.statistics.resampling import percentile_interval
from sat_exp.studies.analyze.importance.pairs import Array, Codes, Pairs, ratio, regressor

SHUFFLES = 5
"""Permutations of a component's values among models for each fitted regressor."""

Errors = dict[tuple[str, int], Array]
"""Squared errors by kind of fit and position of the subset, [2, P]: of pairs with one new model, and with two."""


def held_out(
    pairs: Pairs,
    subsets: Sequence[Sequence[str]],
    *,
    folds: int = 5,
    repeats: int = 3,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How well pairs with unseen models are predicted, and how much each subset of the components contributes.

    Models are split into `folds`, `repeats` times. A regressor is fitted to the pairs of two models outside the fold,
    and predicts those with one model in it (one new model) and those with both (two new models).

    First, the table `importance_fits`. encoding: flags, or values, see `Pairs.values`. validation: training; pairs at
    random, where pairs are left out of the fit but not their models; one new model; two new models. r2: 1 − squared
    error / squared error of the mean of the pairs in the fit; for new models both are sums over folds and repeats.

    Second, for values and one new model: component, the names of the subset joined by " + "; the R² lost when

    - shuffled: its values are permuted together among all models, after the fit;
    - without: the regressor is fitted without it, so other components may stand in for it;

    and only, the R² of a fit to the subset alone; each with _low and _high. Intervals: percentiles of `resamples` draws
    of models with replacement, in which a pair is weighted by how often its two models are drawn, without new fits.
    NaN for training.
    """
    rng = np.random.default_rng([seed, 1])
    members = [{pairs.names.index(name) for name in subset} for subset in subsets]
    errors = _errors(pairs, members, folds, repeats, seed, rng)
    weights = pairs.drawn(resamples, rng)
    base, full = errors["mean", 0][0], errors["values", 0][0]
    lines = []
    for subset, names in enumerate(subsets):
        line: dict[str, str | float] = {"component": " + ".join(names)}
        for kind in ("shuffled", "without", "only"):
            error = errors[kind, subset][0]
            lost = base - error if kind == "only" else error - full
            line |= dict(zip((kind, f"{kind}_low", f"{kind}_high"), _share(lost, base, weights), strict=True))
        lines.append(line)
    return _fits(pairs, errors, weights, folds, seed), pd.DataFrame(lines)


def _share(part: Array, base: Array, weights: Array) -> tuple[float, float, float]:
    """The sum of `part` [P] over that of `base` [P], with its interval from weights of pairs [R, P]."""
    low, high = percentile_interval(ratio(weights @ part, weights @ base))
    return float(ratio(part.sum(), base.sum())), float(low), float(high)


def _errors(
    pairs: Pairs, members: Sequence[set[int]], folds: int, repeats: int, seed: int, rng: np.random.Generator
) -> Errors:
    """The squared errors of all fits, summed over folds and repeats; members: the components of each subset."""
    errors: Errors = defaultdict(lambda: np.zeros((2, len(pairs.sat))))
    for _ in range(repeats):
        fold_of = rng.permutation(np.arange(len(pairs.codes)) % folds)
        for fold in range(folds):
            new = (fold_of[pairs.first] == fold).astype(int) + (fold_of[pairs.second] == fold)
            train, test = np.flatnonzero(new == 0), np.flatnonzero(new)
            for key, predicted in _predictions(pairs, members, train, test, seed, rng):
                squared = np.mean((pairs.sat[test] - np.array(predicted)) ** 2, axis=0)
                errors[key][new[test] - 1, test] += squared
    return errors


def _predictions(
    pairs: Pairs, members: Sequence[set[int]], train: Codes, test: Codes, seed: int, rng: np.random.Generator
) -> Iterator[tuple[tuple[str, int], list[Array]]]:
    """The predictions of SAT for the pairs `test`, [T] each, by kind of fit to the pairs `train` and by subset."""
    flags, blocks = pairs.flags(), pairs.values()
    yield ("mean", 0), [np.full(test.size, pairs.sat[train].mean())]
    yield ("flags", 0), [regressor(seed).fit(flags[train], pairs.sat[train]).predict(flags[test])]
    whole = _predictor(blocks, pairs.sat, train, seed)
    yield ("values", 0), [whole(blocks, test)]
    others = [replace(pairs, codes=rng.permutation(pairs.codes)).values() for _ in range(SHUFFLES)]
    for subset, chosen in enumerate(members):
        mixed = [[(other if at in chosen else blocks)[at] for at in range(len(blocks))] for other in others]
        yield ("shuffled", subset), [whole(parts, test) for parts in mixed]
        for kind, kept in (("without", set(range(len(blocks))) - chosen), ("only", chosen)):
            parts = [blocks[at] for at in sorted(kept)]
            yield (kind, subset), [_predictor(parts, pairs.sat, train, seed)(parts, test)]


def _predictor(parts: list[Array], sat: Array, train: Codes, seed: int) -> Callable[[list[Array], Codes], Array]:
    """A regressor fitted to the rows `train` of `parts`, which predicts rows of others; without any part, the mean."""
    if not parts:
        mean = float(sat[train].mean())
        return lambda parts, test: np.full(test.size, mean)
    fitted = regressor(seed, sampled=True).fit(np.hstack(parts)[train], sat[train])
    return lambda parts, test: fitted.predict(np.hstack(parts)[test])


def _fits(pairs: Pairs, errors: Errors, weights: Array, folds: int, seed: int) -> pd.DataFrame:
    """The table `importance_fits`."""
    known = len(pairs.sat)
    rows: list[tuple[str | float, ...]] = []
    for encoding, inputs in (("flags", pairs.flags()), ("values", np.hstack(pairs.values()))):
        model = regressor(seed, sampled=encoding == "values")
        base = (pairs.sat - pairs.sat.mean()) ** 2
        fitted = model.fit(inputs, pairs.sat).predict(inputs)
        r2 = _share(base - (pairs.sat - fitted) ** 2, base, weights)[0]
        rows.append((encoding, "training", known, r2, np.nan, np.nan))
        split = KFold(folds, shuffle=True, random_state=seed)
        predicted = cross_val_predict(model, inputs, pairs.sat, cv=split)
        rows.append((encoding, "pairs at random", known, *_share(base - (pairs.sat - predicted) ** 2, base, weights)))
        for number, validation in enumerate(("one new model", "two new models")):
            error, base = errors[encoding, 0][number], errors["mean", 0][number]
            rows.append((encoding, validation, int((base > 0).sum()), *_share(base - error, base, weights)))
    return pd.DataFrame(rows, columns=["encoding", "validation", "pairs", "r2", "low", "high"])
