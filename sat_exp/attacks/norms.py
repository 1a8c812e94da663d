"""The norms of a perturbation."""

import numpy as np


def perturbation_norms(clean: np.ndarray, adversarial: np.ndarray) -> dict[str, np.ndarray]:
    """Three numbers per image, [N] each, from uint8 arrays [N, C, H, W].

    `linf` and `l2` are norms in units of 1/255; `changed` is the share of values that differ.
    """
    difference = (adversarial.astype(np.int16) - clean).reshape(len(clean), -1)
    return {
        "linf": np.abs(difference).max(axis=1, initial=0),
        "l2": np.sqrt((difference.astype(np.int64) ** 2).sum(axis=1)),
        "changed": (difference != 0).mean(axis=1),
    }
