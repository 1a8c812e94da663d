"""A permutation test of labels of models, over all arrangements of the labels or random ones."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, product

import numpy as np
from more_itertools import chunked
from numpy.typing import NDArray

from sat_exp.statistics.resampling import permutation_p

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

CHUNK = 1000
"""Arrangements whose differences are computed at once."""


def label_test(
    first: Labels, second: Labels, values: Array, labels: Labels, strata: Labels, most: int, rng: np.random.Generator
) -> tuple[float, int, bool]:
    """The p value of a larger mean for pairs with one label; the number of arrangements; whether they are all.

    first, second, values: the models and the value of each pair, [P]; both models are of one stratum. labels, strata:
    of each model, [M]. Labels are permuted within strata. The p value is exact where at most `most` arrangements
    differ; else `most` − 1 random ones and the observed one are used.
    """
    inside = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    sizes = [sorted(np.unique(labels[part], return_counts=True)[1].tolist(), reverse=True) for part in inside]
    exact = math.prod(partition_count(part) for part in sizes) <= most
    arranged = _all(labels.size, inside, sizes) if exact else _random(labels, inside, most - 1, rng)
    parts = (_differences(first, second, values, np.array(part)) for part in chunked(arranged, CHUNK))
    permuted = np.concatenate([*parts, np.empty(0)])
    observed = float(_differences(first, second, values, labels[None])[0])
    return permutation_p(observed, permuted, exact=exact), permuted.size + (not exact), exact


def partition_count(sizes: Sequence[int]) -> int:
    """The number of partitions of models into groups of these sizes."""
    ordered = math.factorial(sum(sizes)) // math.prod(math.factorial(size) for size in sizes)
    return ordered // math.prod(math.factorial(sizes.count(size)) for size in set(sizes))


def partitions(models: Sequence[int], sizes: Sequence[int], after: int = -1) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every partition of models into groups of these sizes, once, without its groups of one model.

    sizes: from large to small. after: a model that the first member of the next group must follow.
    """
    if not sizes or sizes[0] == 1:
        yield ()
        return
    for group in combinations(models, sizes[0]):
        if group[0] > after:
            rest = [model for model in models if model not in group]
            for others in partitions(rest, sizes[1:], group[0] if sizes[1:2] == sizes[:1] else -1):
                yield (group, *others)


def _all(models: int, inside: Sequence[Labels], sizes: Sequence[Sequence[int]]) -> Iterator[Labels]:
    """Every arrangement of labels, [M], once; inside: the models of each stratum; sizes: of the groups in it."""
    strata = (list(partitions(part.tolist(), size)) for part, size in zip(inside, sizes, strict=True))
    for groups in product(*strata):
        arranged = np.arange(models)
        for group in chain.from_iterable(groups):
            arranged[list(group)] = group[0]
        yield arranged


def _random(labels: Labels, inside: Sequence[Labels], times: int, rng: np.random.Generator) -> Iterator[Labels]:
    """`times` random arrangements of the labels within strata, [M] each."""
    for _ in range(times):
        arranged = labels.copy()
        for part in inside:
            arranged[part] = rng.permutation(labels[part])
        yield arranged


def _differences(first: Labels, second: Labels, values: Array, arranged: Labels) -> Array:
    """The mean of the pairs with one label minus that of the others, [A], for arrangements [A, M]; −∞ where one of the
    two has no pair."""
    same = (arranged[:, first] == arranged[:, second]).astype(np.float64)
    count, total = same.sum(axis=1), same @ values
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = total / count - (values.sum() - total) / (values.size - count)
    return np.where((count > 0) & (count < values.size), difference, -np.inf)
