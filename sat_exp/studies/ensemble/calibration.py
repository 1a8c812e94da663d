"""Whether an ensemble's confidence is to be believed: calibration error and likelihood, beside its members'."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp
from torchmetrics.functional.classification import binary_calibration_error

from sat_exp.studies.ensemble.ensembles import LOGIT_STEPS, Block, scores

BINS = 15


def calibration(
    blocks: Iterable[Block], groups: Sequence[NDArray[np.integer]], average: str = "probabilities"
) -> list[pd.DataFrame]:
    """Each group of ensembles, int [E, n], a group of single models being [M, 1], as a table of a row each.

    Columns: error; confidence, the mean of what is given to the class that is said; ece, the expected calibration error
    in 15 equal bins of confidence (Naeini, Cooper and Hauskrecht, AAAI 2015), Σ_b n_b/N · |accuracy_b − confidence_b|;
    nll, the mean negative logarithm of what is given to the true class. What is given to a class is the mean of the
    members' probabilities, or the softmax of the mean of their logits. Votes give no such thing.

    The class that is said is the one of `ensembles.scores`; all else is float64.
    """
    if average == "votes":
        raise ValueError("votes have no calibration")
    parts: list[list[tuple[NDArray, ...]]] = [[] for _ in groups]
    for logits, labels in blocks:
        given = scores(logits, average)
        known = log_softmax(logits.astype(np.float64), axis=-1)[:, np.arange(len(labels)), labels]
        for group, found in zip(groups, parts, strict=True):
            sums = [_judged(given[row].sum(axis=0, dtype=np.int32), labels, len(row), average) for row in group]
            right, confidence, surprise = (np.array(part) for part in zip(*sums, strict=True))
            if average == "probabilities":  # from the logarithms, which do not round to nothing
                surprise = np.log(group.shape[1]) - logsumexp(known[group], axis=1)
            found.append((right, confidence.astype(np.float32), surprise))
    return [_summed(*(np.concatenate(part, axis=1) for part in zip(*found, strict=True))) for found in parts]


def summary(table: pd.DataFrame, size: int) -> pd.DataFrame:
    """One row of means of a table of `calibration`: size, ensembles, error, confidence, ece, nll, members_ece and
    members_nll, which of single models are their own; ece_low, ece_high, nll_low and nll_high, 5th and 95th percentile
    of ensembles."""
    row = {"size": size, "ensembles": len(table), **table.mean()}
    for name in ("ece", "nll"):
        row.setdefault(f"members_{name}", row[name])
        row |= {f"{name}_low": table[name].quantile(0.05), f"{name}_high": table[name].quantile(0.95)}
    return pd.DataFrame([row])


def _judged(
    total: NDArray[np.int32], labels: NDArray[np.int64], members: int, average: str
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Whether an ensemble is right, its confidence and −log of what it gives the true class, [B] each, from the sums of
    its members' scores [B, classes]."""
    rows, said = np.arange(len(labels)), total.argmax(axis=1)
    if average == "probabilities":
        return said == labels, total[rows, said] / total.sum(axis=1, dtype=np.int64), np.zeros(len(labels))
    log_given = log_softmax(total / (members * LOGIT_STEPS), axis=1)
    return said == labels, np.exp(log_given[rows, said]), -log_given[rows, labels]


def _summed(right: NDArray[np.bool_], confidence: NDArray[np.float32], surprise: NDArray[np.float64]) -> pd.DataFrame:
    """The rows of `calibration` from what is known of every image, [E, N] each."""
    errors = [
        float(binary_calibration_error(torch.from_numpy(sure), torch.from_numpy(so).long(), n_bins=BINS, norm="l1"))
        for sure, so in zip(confidence, right, strict=True)
    ]
    means = {"error": 1 - right.mean(axis=1), "confidence": confidence.mean(axis=1, dtype=np.float64)}
    return pd.DataFrame(means | {"ece": errors, "nll": surprise.mean(axis=1)})
