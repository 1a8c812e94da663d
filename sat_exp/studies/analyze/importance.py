"""Which components of two networks go with their similarity: the paper's importance, and its checks.

The paper's: gradient boosting of SAT on one flag a component, 0 where two networks have the same value and 1 where they
differ, and the permutation importance of the flags on the very pairs it was fitted to (Hwang et al., ECCV 2024). That
says little of networks not seen: two pairs with a network in common share its peculiarities, so that a pair left out
alone is not unseen. Here models are left out, p values come from exchanging models, and intervals from drawing them.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold, cross_val_predict

from sat_exp.errors import UserError, nearest
from sat_exp.statistics.relations import exchanged

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

ASSOCIATED = 0.5
"""Components whose mean Cramér's V is at least this form a group."""

SHUFFLES = 5
"""Exchanges of a component's values among models for each fitted regressor."""

ONE_NEW, TWO_NEW = "one new model", "two new models"


@dataclass(frozen=True)
class Importance:
    """fits: encoding, validation, pairs, r2, low, high; see `held_out`.
    components: a row for each component, the columns of `flag_importance`, `held_out`, `alone` and `given_others`.
    groups: a row for each group of associated components, the columns of `held_out`.
    association: Cramér's V between components over models, [C, C]; see `association`.
    """

    fits: pd.DataFrame
    components: pd.DataFrame
    groups: pd.DataFrame
    association: pd.DataFrame


@dataclass(frozen=True)
class Pairs:
    """The pairs of distinct models whose SAT is known: first, second int [P] index models; sat float64 [P]; codes int
    [M, C], the value of each component of each model by number; names of the components."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    sat: Array
    codes: Codes
    names: list[str]

    @property
    def models(self) -> int:
        return len(self.codes)

    def flags(self) -> Array:
        """1 where the two models differ in the component, else 0; [P, C]."""
        return (self.codes[self.first] != self.codes[self.second]).astype(np.float64)

    def values(self) -> list[Array]:
        """Of each component which two values meet, [P, 1 + V]: the flag, and for each of its V values how many of the
        two models, 0 to 2, have it. These counts are one to one with the unordered pair of values."""
        flags = self.flags()
        blocks = []
        for place, column in enumerate(self.codes.T):
            has = np.eye(column.max() + 1)[column]
            blocks.append(np.hstack([flags[:, [place]], has[self.first] + has[self.second]]))
        return blocks

    def relabelled(self, order: NDArray[np.int64]) -> "Pairs":
        """The same SAT where every model has the components of another."""
        return Pairs(self.first, self.second, self.sat, self.codes[order], self.names)


def importance(
    sat: pd.DataFrame,
    components: pd.DataFrame,
    *,
    folds: int = 5,
    repeats: int = 3,
    refits: int = 100,
    resamples: int = 2000,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> Importance:
    """All of it, of a symmetric matrix of SAT [M, M] and a table of components, models × components.

    The table may have other models too; its values are compared as text. Numbers as in the functions below.
    UserError for a model without components and for fewer than two models or pairs a fold.
    """
    pairs = pair_up(sat, components)
    if pairs.models < 2 * folds:
        raise UserError(f"{pairs.models} models in {folds} folds: leaving models out needs at least {2 * folds}")
    if len(pairs.sat) < 2 * folds:
        raise UserError(f"{len(pairs.sat)} pairs are known, where {2 * folds} are needed: measure more")
    related = association(pairs)
    groups = associated(related)
    fits, unseen = held_out(
        pairs,
        [*[[name] for name in pairs.names], *groups],
        folds=folds,
        repeats=repeats,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    table = flag_importance(pairs, refits=refits, confidence=confidence, seed=seed)
    table.insert(1, "values", pairs.codes.max(axis=0) + 1)
    alike = given_others(pairs, resamples=resamples, permutations=permutations, confidence=confidence, seed=seed)
    for part in (unseen, alone(pairs, permutations=permutations, seed=seed), alike):
        table = table.merge(part, on="component")
    return Importance(
        fits=fits,
        components=table.sort_values("importance", ascending=False, kind="stable", ignore_index=True),
        groups=unseen[len(pairs.names) :].rename(columns={"component": "components"}).reset_index(drop=True),
        association=related,
    )


def pair_up(sat: pd.DataFrame, components: pd.DataFrame) -> Pairs:
    """The known pairs with their components."""
    if repeated := list(components.index[components.index.duplicated()]):
        raise UserError(f"the components of {repeated[0]} are given twice: leave one of them out")
    if lacking := [model for model in sat.index if model not in components.index]:
        near = nearest(lacking[0], components.index, most=1)
        hint = f"; did you mean {near[0]}?" if near else ": add them to the table"
        raise UserError(f"no components of {lacking[0]}{hint}")
    table = components.loc[list(sat.index)]
    for model, component in np.argwhere(table.isna().to_numpy()):
        raise UserError(f"no {table.columns[component]} of {table.index[model]}: give its value")
    codes = np.column_stack([pd.factorize(table[name].astype(str))[0] for name in table])
    first, second = np.triu_indices(len(sat), 1)
    values = sat.to_numpy(np.float64)[first, second]
    known = np.isfinite(values)
    return Pairs(first[known], second[known], values[known], codes.astype(np.int64), [str(name) for name in table])


def flag_importance(pairs: Pairs, *, refits: int = 100, confidence: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """The paper's importance of each component: 100 trees of depth 3 on the flags, fitted to all pairs; the loss of R²
    on these pairs when a flag is shuffled among them, mean of ten times.

    Columns: component; importance; importance_low and importance_high, percentiles of `refits` draws of models with
    replacement, a pair weighted by how often its two distinct models are drawn together; rank, 1 for the largest;
    first_share, the share of these draws in which the component has rank 1.
    """
    flags = pairs.flags()

    def importances(weight: Array, state: int) -> Array:
        drawn = weight > 0
        fitted = _regressor(state).fit(flags[drawn], pairs.sat[drawn], weight[drawn])
        found = permutation_importance(
            fitted,
            flags[drawn],
            pairs.sat[drawn],
            n_repeats=10,
            random_state=state,
            sample_weight=weight[drawn],
        )
        return found["importances_mean"]

    found = importances(np.ones(len(flags)), seed)
    weights = _drawn(pairs, refits, np.random.default_rng([seed, 0]))
    drawn = np.array([importances(weight, seed + 1 + draw) for draw, weight in enumerate(weights)])
    low, high = _ends(drawn, confidence)
    table = pd.DataFrame(
        {"component": pairs.names, "importance": found, "importance_low": low, "importance_high": high}
    )
    table["rank"] = table["importance"].rank(ascending=False, method="min").astype(int)
    return table.assign(first_share=np.bincount(drawn.argmax(axis=1), minlength=len(found)) / refits)


def held_out(
    pairs: Pairs,
    subsets: Sequence[Sequence[str]],
    *,
    folds: int = 5,
    repeats: int = 3,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How well pairs with unseen models are predicted, and what each subset of the components has to do with it.

    Models are dealt into `folds`, `repeats` times. A regressor is fitted to the pairs of two models outside the fold,
    and predicts those with one model in it (one new model) and those with both (two new models).

    First table: encoding (flags; values, see `Pairs.values`), validation, pairs, r2, low, high. validation: training;
    pairs at random, folds of pairs, of which both models are seen; one new model; two new models. R² there is 1 −
    squared error / squared error of the mean of the pairs fitted to, both summed over folds and repeats.

    Second table, of values and one new model: component, the names of the subset joined by " + "; the R² lost when

    - shuffled: its values are exchanged among all models, together, once the regressor is fitted;
    - without: the regressor is fitted without it, which leaves what others can stand in for;

    and the R² reached when it alone is fitted, only; each with _low and _high. Intervals: percentiles of `resamples`
    draws of models with replacement, a pair weighted by how often its two models are drawn together; regressors are not
    fitted anew. NaN for training.
    """
    rng = np.random.default_rng([seed, 1])
    flags, blocks, known = pairs.flags(), pairs.values(), len(pairs.sat)
    members = [{pairs.names.index(name) for name in subset} for subset in subsets]
    errors: dict[tuple[str, int], Array] = {}
    for _ in range(repeats):
        dealt = rng.permutation(np.arange(pairs.models) % folds)
        for fold in range(folds):
            new = (dealt[pairs.first] == fold).astype(int) + (dealt[pairs.second] == fold)
            train, test = np.flatnonzero(new == 0), np.flatnonzero(new)
            if not (train.size and test.size):
                continue

            def note(what: str, subset: int, *predicted: Array, test: Codes = test, new: Codes = new) -> None:
                squared = np.mean((pairs.sat[test] - np.array(predicted)) ** 2, axis=0)
                errors.setdefault((what, subset), np.zeros((2, known)))[new[test] - 1, test] += squared

            def fit(parts: list[Array], train: Codes = train) -> _Fitted:
                return _Fitted(parts, pairs.sat, train, seed)

            note("mean", 0, np.full(test.size, pairs.sat[train].mean()))
            note("flags", 0, _regressor(seed).fit(flags[train], pairs.sat[train]).predict(flags[test]))
            whole = fit(blocks)
            note("values", 0, whole.predict(blocks, test))
            others = [pairs.relabelled(rng.permutation(pairs.models)).values() for _ in range(SHUFFLES)]
            for subset, chosen in enumerate(members):
                mixed = [[(other if at in chosen else blocks)[at] for at in range(len(blocks))] for other in others]
                note("shuffled", subset, *(whole.predict(parts, test) for parts in mixed))
                kept = [block for at, block in enumerate(blocks) if at not in chosen]
                note("without", subset, fit(kept).predict(kept, test))
                alone = [blocks[at] for at in sorted(chosen)]
                note("only", subset, fit(alone).predict(alone, test))

    weights = _drawn(pairs, resamples, rng)

    def share(part: Array, base: Array) -> tuple[float, float, float]:
        """The sum of `part` over that of `base`, with its interval."""
        low, high = _ends(_ratio(weights @ part, weights @ base), confidence)
        return float(_ratio(part.sum(), base.sum())), float(low), float(high)

    rows: list[tuple[str | int | float, ...]] = []
    for encoding, inputs in (("flags", flags), ("values", np.hstack(blocks))):
        regressor = _regressor(seed, sampled=encoding == "values")
        base = (pairs.sat - pairs.sat.mean()) ** 2
        fitted = regressor.fit(inputs, pairs.sat).predict(inputs)
        rows.append((encoding, "training", known, share(base - (pairs.sat - fitted) ** 2, base)[0], np.nan, np.nan))
        split = KFold(folds, shuffle=True, random_state=seed)
        predicted = cross_val_predict(regressor, inputs, pairs.sat, cv=split)
        rows.append((encoding, "pairs at random", known, *share(base - (pairs.sat - predicted) ** 2, base)))
        for kind, validation in enumerate((ONE_NEW, TWO_NEW)):
            error, base = errors[encoding, 0][kind], errors["mean", 0][kind]
            rows.append((encoding, validation, int((base > 0).sum()), *share(base - error, base)))
    fits = pd.DataFrame(rows, columns=["encoding", "validation", "pairs", "r2", "low", "high"])

    base, full = errors["mean", 0][0], errors["values", 0][0]
    lines = []
    for subset, names in enumerate(subsets):
        line: dict[str, str | float] = {"component": " + ".join(names)}
        for what in ("shuffled", "without", "only"):
            error = errors[what, subset][0]
            lost = base - error if what == "only" else error - full
            line |= dict(zip((what, f"{what}_low", f"{what}_high"), share(lost, base), strict=True))
        lines.append(line)
    return fits, pd.DataFrame(lines)


def alone(pairs: Pairs, *, permutations: int = 999, seed: int = 0) -> pd.DataFrame:
    """What one component's unordered pair of values explains of SAT, and whether that is more than chance.

    Columns: component; explained, the share of the variance between pairs of values (η², in the pairs themselves);
    chance, the mean of that share over `permutations` exchanges of the component's values among models; p_alone, the
    share of these, the identity counted, that explain as much (Mantel, Cancer Research 27, 1967). Not corrected for
    the number of components.
    """
    rng = np.random.default_rng([seed, 2])
    centred = pairs.sat - pairs.sat.mean()
    cells = []
    for column in pairs.codes.T:
        one, other = np.triu_indices(column.max() + 1)
        cell = np.zeros((column.max() + 1,) * 2, dtype=np.int64)
        cell[one, other] = cell[other, one] = np.arange(one.size)
        cells.append(cell)

    def explained(codes: Codes) -> Array:
        shares = []
        for column, cell in zip(codes.T, cells, strict=True):
            at = cell[column[pairs.first], column[pairs.second]]
            sums, counts = np.bincount(at, centred), np.bincount(at)
            shares.append((sums[counts > 0] ** 2 / counts[counts > 0]).sum())
        return _ratio(shares, centred @ centred)

    found = explained(pairs.codes)
    by_chance = np.array([explained(pairs.codes[rng.permutation(pairs.models)]) for _ in range(permutations)])
    return pd.DataFrame(
        {
            "component": pairs.names,
            "explained": found,
            "chance": by_chance.mean(axis=0),
            "p_alone": (1 + (by_chance >= found - 1e-9).sum(axis=0)) / (1 + permutations),
        }
    )


def given_others(
    pairs: Pairs, *, resamples: int = 2000, permutations: int = 999, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """What sharing one component adds to SAT among pairs alike in all others: least squares of SAT on the flags.

    Columns: component; effect, effect_low, effect_high, the SAT that pairs with the same value have over those with
    different ones, and its percentile interval of `resamples` draws of models with replacement; p_given_others, of two
    sides, see `relations.exchanged`. Not corrected for the number of components. NaN where the other flags determine
    the flag.
    """
    rng = np.random.default_rng([seed, 3])
    design = np.column_stack([np.ones(len(pairs.sat)), 1 - pairs.flags()])
    effects = _least_squares(design, pairs.sat, np.ones((1, len(design))))[0, 1:]
    low, high = _ends(_least_squares(design, pairs.sat, _drawn(pairs, resamples, rng))[:, 1:], confidence)
    p = [
        exchanged(
            pairs.first,
            pairs.second,
            design[:, place],
            pairs.sat,
            np.delete(design, [0, place], axis=1),
            permutations,
            rng,
        )
        for place in range(1, design.shape[1])
    ]
    columns = ["effect", "effect_low", "effect_high", "p_given_others"]
    table = pd.DataFrame(np.column_stack([effects, low, high, p]), columns=columns)
    table.insert(0, "component", pairs.names)
    return table


def association(pairs: Pairs) -> pd.DataFrame:
    """How far one component tells another over the models: Cramér's V, [C, C], from 0 to 1; 0 for a component of one
    value. Corrected for the V that independent components of many values have in few models (Bergsma, Journal of the
    Korean Statistical Society 42, 2013)."""
    models = pairs.models
    found = np.eye(len(pairs.names))
    for one, other in zip(*np.triu_indices(len(found), 1), strict=True):
        table = np.zeros(pairs.codes[:, [one, other]].max(axis=0) + 1)
        np.add.at(table, (pairs.codes[:, one], pairs.codes[:, other]), 1)
        rows, columns = (size - (size - 1) ** 2 / (models - 1) for size in table.shape)
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / models
        squared = ((table - expected) ** 2 / expected).sum() / models
        excess = max(0.0, squared - (table.shape[0] - 1) * (table.shape[1] - 1) / (models - 1))
        least = min(rows, columns) - 1
        found[one, other] = found[other, one] = min(1.0, np.sqrt(excess / least)) if least > 0 else 0
    return pd.DataFrame(found, index=pairs.names, columns=pairs.names)


def associated(association: pd.DataFrame, least: float = ASSOCIATED) -> list[list[str]]:
    """The groups of two or more components whose mean V is at least `least`: average linkage."""
    if len(association) < 2:
        return []
    tree = linkage(squareform(1 - association.to_numpy(), checks=False), method="average")
    found = fcluster(tree, 1 - least + 1e-9, criterion="distance")
    groups = [list(association.index[found == group]) for group in dict.fromkeys(found)]
    return [group for group in groups if len(group) > 1]


class _Fitted:
    """The regressor of the values fitted to the rows `train`; without any components, their mean."""

    def __init__(self, parts: list[Array], sat: Array, train: Codes, seed: int) -> None:
        self.mean = float(sat[train].mean())
        self.regressor = _regressor(seed, sampled=True).fit(np.hstack(parts)[train], sat[train]) if parts else None

    def predict(self, parts: list[Array], test: Codes) -> Array:
        if self.regressor is None:
            return np.full(test.size, self.mean)
        return self.regressor.predict(np.hstack(parts)[test])


def _regressor(seed: int, *, sampled: bool = False) -> GradientBoostingRegressor:
    """100 trees of depth 3; `sampled`: each split chooses among three tenths of the columns, which is as good where
    there are many of them, and faster."""
    return GradientBoostingRegressor(
        n_estimators=100, max_depth=3, max_features=0.3 if sampled else None, random_state=seed
    )


def _drawn(pairs: Pairs, times: int, rng: np.random.Generator) -> Array:
    """How often each pair comes up when the models are drawn with replacement, [times, P]."""
    drawn = rng.multinomial(pairs.models, np.full(pairs.models, 1 / pairs.models), size=times).astype(np.float64)
    return drawn[:, pairs.first] * drawn[:, pairs.second]


def _least_squares(design: Array, values: Array, weights: Array) -> Array:
    """Coefficients [R, F] of weighted least squares for each row of weights [R, P]; NaN where not determined."""
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    square = (weights @ products).reshape(len(weights), design.shape[1], -1)
    inverse = np.linalg.pinv(square, rcond=1e-10, hermitian=True)
    found = (inverse @ (weights @ (design * values[:, None]))[:, :, None])[:, :, 0]
    determined = np.diagonal(inverse @ square, axis1=1, axis2=2) > 1 - 1e-6
    return np.where(determined, found, np.nan)


def _ratio(above: ArrayLike, below: ArrayLike) -> Array:
    """above/below, NaN where nothing is below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(below) > 0, np.divide(above, below), np.nan)


def _ends(drawn: Array, confidence: float) -> tuple[Array, Array]:
    """Percentile interval over the first axis, NaN left out."""
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return low, high
