"""Components of networks that predict their similarity: the paper's importance, and the prediction for other models.

The paper (Hwang et al., ECCV 2024) fits gradient boosting of SAT to one flag per component, 0 where two networks have
the same value and 1 where they differ. A component's importance is the permutation importance of its flag on the pairs
of the fit. It need not hold for unseen networks. Pairs with a common network share its peculiarities, so here whole
models are left out, not single pairs.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from sat_exp.cores import computed
from sat_exp.statistics.boosting import Boosted, boosted
from sat_exp.statistics.hubs import ranks
from sat_exp.statistics.resampling import percentile_interval
from sat_exp.studies.analyze import components
from sat_exp.studies.analyze.components import Array, Codes, Pairs, ratio

SHUFFLES = 5
"""Permutations of a component's values among models for each fitted regressor."""

SHARE = 0.3
"""The share of the columns among which splits choose where the inputs are values."""

Errors = dict[tuple[str, int], Array]
"""Squared errors by kind of fit and position of the subset, [2, P]: of pairs with one new model, and with two."""


def importance(
    sat: pd.DataFrame,
    stated: pd.DataFrame,
    *,
    folds: int = 5,
    repeats: int = 3,
    refits: int = 100,
    resamples: int = 2000,
    permutations: int = 999,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """The tables `importance`, `importance_fits` and `importance_groups` of a symmetric matrix of SAT [M, M].

    stated: the components of its models, and perhaps of others, models × components; values are compared as text. There
    are at least two models per fold. The other arguments are those of the functions that use them.
    """
    pairs = components.pair_up(sat, stated)
    subsets = [*([name] for name in pairs.names), *components.associated(components.association(pairs))]
    fits, unseen = held_out(pairs, subsets, folds=folds, repeats=repeats, resamples=resamples, seed=seed)
    table = flag_importance(pairs, refits=refits, seed=seed)
    table.insert(1, "values", pairs.codes.max(axis=0) + 1)
    effects = components.given_others(pairs, resamples=resamples, permutations=permutations, seed=seed)
    for part in (unseen, components.alone(pairs, permutations=permutations, seed=seed), effects):
        table = table.merge(part, on="component")
    return {
        "importance": table.sort_values("importance", ascending=False, kind="stable", ignore_index=True),
        "importance_fits": fits,
        "importance_groups": unseen[len(pairs.names) :].rename(columns={"component": "components"}),
    }


def flag_importance(pairs: Pairs, *, refits: int = 100, seed: int = 0) -> pd.DataFrame:
    """component, and the paper's importance: the loss of R² on the pairs of the fit when its flag is shuffled there.

    The fit is `boosted` on the flags of all pairs; the loss is the mean of ten shuffles. The interval comes from
    `refits` draws of models with replacement, with a fit for each, in which a pair is weighted by how often its two
    models are drawn. first_share: the share of these draws in which the component has rank 1.
    """
    flags = pairs.flags()

    def importances(weight: Array, state: int) -> Array:
        kept = weight > 0
        data = flags[kept], pairs.sat[kept], weight[kept]
        return shuffled_loss(boosted(*data, seed=state), *data, state)

    weights = pairs.drawn(refits, np.random.default_rng([seed, 0]))
    every = enumerate((np.ones(len(flags)), *weights))
    whole, *others = computed("refits", [partial(importances, weight, seed + draw) for draw, weight in every])
    drawn = np.array(others)
    low, high = percentile_interval(drawn)
    table = pd.DataFrame(
        {"component": pairs.names, "importance": whole, "importance_low": low, "importance_high": high}
    )
    first_share = np.bincount(drawn.argmax(axis=1), minlength=len(whole)) / refits
    return table.assign(rank=ranks(table["importance"]), first_share=first_share)


def shuffled_loss(fitted: Boosted, flags: Array, sat: Array, weight: Array, state: int) -> Array:
    """The loss of R² when a flag is shuffled, the mean of ten shuffles, for each flag [C].

    These are the numbers of scikit-learn's `permutation_importance`. It predicts the pairs again after each shuffle;
    here every combination of flags is predicted once. flags, sat, weight: of the pairs of the fit, [P, C], [P], [P].
    """
    start = np.random.RandomState(state).randint(np.iinfo(np.int32).max + 1)
    rows = [np.packbits(flags.astype(bool), axis=1)]
    for column in range(flags.shape[1]):
        rng, order, moved = np.random.RandomState(start), np.arange(len(flags)), flags.astype(bool)
        for _ in range(10):
            rng.shuffle(order)
            moved[:, column] = moved[order, column]
            rows.append(np.packbits(moved, axis=1))
    packed = np.concatenate(rows)
    _, first, place = np.unique(packed.view(f"S{packed.shape[1]}").ravel(), return_index=True, return_inverse=True)
    different = np.unpackbits(packed[first], axis=1, count=flags.shape[1]).astype(np.float64)
    predicted = fitted.predict(different)[place].reshape(len(rows), -1)
    total = (weight * (sat - np.average(sat, weights=weight)) ** 2).sum()
    score = 1 - (weight * (sat - predicted) ** 2).sum(axis=1) / total if total else np.zeros(len(rows))
    return (score[0] - score[1:]).reshape(flags.shape[1], -1).mean(axis=1)


def held_out(
    pairs: Pairs,
    subsets: Sequence[Sequence[str]],
    folds: int = 5,
    repeats: int = 3,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table `importance_fits`, and how much each subset of the components contributes for pairs with a new model.

    Models are split into `folds`, `repeats` times. A regressor is fitted to the pairs of two models outside the fold,
    and predicts those with one model in it (one new model) and those with both (two new models). The encoding is that
    of `Pairs.flags` or `Pairs.values`. r2 compares with the mean of the pairs in the fit; for new models, errors are
    sums over folds and repeats. With "pairs at random", pairs are left out of the fit but not their models.

    The second table is for values and one new model. component: the names of the subset joined by " + ". shuffled: the
    R² lost when its values are permuted together among all models, after the fit. without: the R² lost in a fit without
    it, where other components may stand in for it. only: the R² of a fit to it alone. Intervals come from `resamples`
    draws of models, weighted as in `flag_importance`, without new fits; there is none for training.
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
    parts = []
    for _ in range(repeats):
        fold_of = rng.permutation(np.arange(len(pairs.codes)) % folds)
        for fold in range(folds):
            new = (fold_of[pairs.first] == fold).astype(int) + (fold_of[pairs.second] == fold)
            others = [replace(pairs, codes=rng.permutation(pairs.codes)).values() for _ in range(SHUFFLES)]
            parts.append((new, others))
    jobs = [
        partial(_predictions, pairs, members, np.flatnonzero(new == 0), np.flatnonzero(new), others, seed)
        for new, others in parts
    ]
    for (new, _), predictions in zip(parts, computed("folds", jobs), strict=True):
        test = np.flatnonzero(new)
        for key, predicted in predictions.items():
            squared = np.mean((pairs.sat[test] - np.array(predicted)) ** 2, axis=0)
            errors[key][new[test] - 1, test] += squared
    return errors


def _predictions(
    pairs: Pairs, members: Sequence[set[int]], train: Codes, test: Codes, others: Sequence[list[Array]], seed: int
) -> dict[tuple[str, int], list[Array]]:
    """The predictions of SAT for the pairs `test`, [T] each, by kind of fit to the pairs `train` and by subset.
    others: the values of the pairs after each permutation of the models."""
    flags, blocks = pairs.flags(), pairs.values()
    inputs = np.hstack(blocks)
    whole = _predictor(inputs[train], pairs.sat[train], seed)
    found = {
        ("mean", 0): [np.full(test.size, pairs.sat[train].mean())],
        ("flags", 0): [boosted(flags[train], pairs.sat[train], seed=seed).predict(flags[test])],
        ("values", 0): [whole(inputs[test])],
    }
    for subset, chosen in enumerate(members):
        mixed = [
            np.hstack([(other if at in chosen else blocks)[at][test] for at in range(len(blocks))]) for other in others
        ]
        found["shuffled", subset] = np.split(whole(np.concatenate(mixed)), len(others))
        for kind, kept in (("without", set(range(len(blocks))) - chosen), ("only", chosen)):
            part = np.hstack([inputs[:, :0], *(blocks[at] for at in sorted(kept))])
            found[kind, subset] = [_predictor(part[train], pairs.sat[train], seed)(part[test])]
    return found


def _predictor(inputs: Array, sat: Array, seed: int) -> Callable[[Array], Array]:
    """A function that predicts SAT, fitted to `inputs` [N, F] and `sat` [N]; without any column it is the mean."""
    if not inputs.shape[1]:
        return lambda others: np.full(len(others), sat.mean())
    return boosted(inputs, sat, seed=seed, share=SHARE).predict


def _fits(pairs: Pairs, errors: Errors, weights: Array, folds: int, seed: int) -> pd.DataFrame:
    """The table `importance_fits`."""
    known = len(pairs.sat)
    rows: list[tuple[str | float, ...]] = []
    for encoding, inputs in (("flags", pairs.flags()), ("values", np.hstack(pairs.values()))):
        share = SHARE if encoding == "values" else None
        base = (pairs.sat - pairs.sat.mean()) ** 2
        fitted = boosted(inputs, pairs.sat, seed=seed, share=share).predict(inputs)
        r2 = _share(base - (pairs.sat - fitted) ** 2, base, weights)[0]
        rows.append((encoding, "training", known, r2, np.nan, np.nan))
        predicted = np.empty(known)
        for train, test in KFold(folds, shuffle=True, random_state=seed).split(inputs):
            predicted[test] = boosted(inputs[train], pairs.sat[train], seed=seed, share=share).predict(inputs[test])
        rows.append((encoding, "pairs at random", known, *_share(base - (pairs.sat - predicted) ** 2, base, weights)))
        for number, validation in enumerate(("one new model", "two new models")):
            error, base = errors[encoding, 0][number], errors["mean", 0][number]
            rows.append((encoding, validation, int((base > 0).sum()), *_share(base - error, base, weights)))
    return pd.DataFrame(rows, columns=["encoding", "validation", "pairs", "r2", "low", "high"])
