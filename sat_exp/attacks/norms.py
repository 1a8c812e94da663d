"""How large a perturbation is."""

import numpy as np


def perturbation_norms(clean: np.ndarray, adversarial: np.ndarray) -> dict[str, np.ndarray]:
    """Per image of two uint8 arrays [N, C, H, W]: `linf` and `l2` in units of 1/255, and `changed`, the share of values
    that differ."""
    difference = (adversarial.astype(np.int16) - clean).reshape(len(clean), -1)
    return {
        "linf": np.abs(difference).max(axis=1, initial=0),
        "l2": np.sqrt((difference.astype(np.int64) ** 2).sum(axis=1)),
        "changed": (difference != 0).mean(axis=1),
    }
