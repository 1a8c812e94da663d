"""Models in planted groups: their similarities and predictions."""

import itertools

import numpy as np
import pandas as pd


def blocks(sizes, within=3.5, between=2.0, noise=0.0, seed=0):
    """Similarities of models in groups, and the group of each."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    values = np.where(group[:, None] == group[None, :], within, between)
    values = values + noise * rng.standard_normal(values.shape)
    values = np.triu(values, 1) + np.triu(values, 1).T + np.diag(np.full(len(group), 4.6))
    names = [f"m{index}" for index in range(len(group))]
    return pd.DataFrame(values, index=names, columns=names), pd.Series(group, index=names)


def predicted(groups, images=400, within=0.7, seed=0):
    """Clean and adversarial predictions of models of which those of a group are fooled by the same images."""
    rng = np.random.default_rng(seed)
    names = [f"m{index}" for index in range(len(groups))]
    labels = rng.integers(0, 5, images)
    clean = {name: np.where(rng.random(images) < 0.9, labels, (labels + 1) % 5) for name in names}
    adversarial = {}
    for (source, i), (target, j) in itertools.product(zip(names, groups, strict=True), repeat=2):
        rate = 1.0 if source == target else within if i == j else 0.2
        fooled = rng.random(images) < rate
        adversarial[source, target] = np.where(fooled, (clean[target] + 2) % 5, clean[target])
    return names, labels, clean, adversarial
