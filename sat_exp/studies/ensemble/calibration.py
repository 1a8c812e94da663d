"""The calibration of ensembles and of single models: expected calibration error and likelihood."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp
from torchmetrics.functional.classification import binary_calibration_error

from sat_exp.ensembles.contests import LOGIT_STEPS, Block, scores
from sat_exp.ensembles.members import Array, Ensembles, Members
from sat_exp.ensembles.pool import SIMILARITIES
from sat_exp.progress import waiting
from sat_exp.studies.ensemble.diversity import relation

BINS = 15
CALIBRATED = 1500  # the most ensembles of a size whose calibration is measured, a seeded sample if there are more


def calibrated(
    ensembles: Sequence[Ensembles], blocks: Iterable[Block], average: str, resamples: int, permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables `calibration` and `calibration_relations`."""
    rng = np.random.default_rng(seed)
    samples = [same_size.sample(CALIBRATED, rng) for same_size in ensembles]
    models = np.arange(ensembles[0].models)[:, None]
    with waiting("calibration"):
        single, *tables = calibration(blocks, [models, *(sample.members for sample in samples)], average)
    drawing = {"resamples": resamples, "permutations": permutations, "seed": seed}
    sizes, relations = [summary(single, 1)], []
    for sample, table in zip(samples, tables, strict=True):
        members = {f"members_{name}": single[name].to_numpy()[sample.members].mean(axis=1) for name in ("nll", "ece")}
        table = table.assign(**members)
        sizes.append(summary(table, sample.size))
        sample.table["ece"], sample.table["nll_reduction"] = table["ece"], 1 - table["nll"] / table["members_nll"]
        relations.append(relation(sample, ["nll_reduction", "ece"], SIMILARITIES, **drawing))
    return {"calibration": pd.concat(sizes), "calibration_relations": pd.concat(relations, ignore_index=True)}


def calibration(
    blocks: Iterable[Block], groups: Sequence[Members], average: str = "probabilities"
) -> list[pd.DataFrame]:
    """For each group of ensembles, int [E, n], a table with one row per ensemble: error; confidence, the mean
    probability of the predicted class; ece, the expected calibration error in BINS equal bins of confidence, Σ_b n_b/N
    · |accuracy_b − confidence_b| (Naeini, Cooper and Hauskrecht, AAAI 2015); nll, the mean negative log-likelihood.

    Probabilities are the mean of the members' probabilities, or the softmax of the mean of their logits; votes have
    none. The predicted class is that of `contests.scores`. Single models are a group [M, 1].
    """
    parts: list[list[tuple[NDArray, ...]]] = [[] for _ in groups]
    for logits, labels in blocks:
        added = scores(logits, average)
        log_true = log_softmax(logits.astype(np.float64), axis=-1)[:, np.arange(len(labels)), labels]
        for group, part in zip(groups, parts, strict=True):
            sums = [_predicted(added[row].sum(axis=0, dtype=np.int32), labels, len(row), average) for row in group]
            right, confidence, nll = (np.array(values) for values in zip(*sums, strict=True))
            if average == "probabilities":  # from logarithms, which do not round to 0
                nll = np.log(group.shape[1]) - logsumexp(log_true[group], axis=1)
            part.append((right, confidence.astype(np.float32), nll))
    return [_tabulate(*(np.concatenate(values, axis=1) for values in zip(*part, strict=True))) for part in parts]


def summary(table: pd.DataFrame, size: int) -> pd.DataFrame:
    """The row of the table `calibration`. The members of a single model are the model itself."""
    row = {"size": size, "ensembles": len(table), **table.mean()}
    for name in ("ece", "nll"):
        row.setdefault(f"members_{name}", row[name])
        row[f"{name}_low"], row[f"{name}_high"] = table[name].quantile([0.05, 0.95])
    return pd.DataFrame([row])


def _predicted(
    total: NDArray[np.int32], labels: NDArray[np.int64], members: int, average: str
) -> tuple[NDArray[np.bool_], Array, Array]:
    """Whether an ensemble is right, its confidence and its negative log-likelihood, [B] each, from the sums of its
    members' scores [B, classes]. The likelihood is 0 for the average of probabilities."""
    rows, predicted = np.arange(len(labels)), total.argmax(axis=1)
    if average == "probabilities":
        confidence = total[rows, predicted] / total.sum(axis=1, dtype=np.int64)
        return predicted == labels, confidence, np.zeros(len(labels))
    log_probabilities = log_softmax(total / (members * LOGIT_STEPS), axis=1)
    return predicted == labels, np.exp(log_probabilities[rows, predicted]), -log_probabilities[rows, labels]


def _tabulate(right: NDArray[np.bool_], confidence: NDArray[np.float32], nll: Array) -> pd.DataFrame:
    """The table of `calibration` from the values of every image, [E, N] each."""
    errors = [
        float(binary_calibration_error(torch.from_numpy(sure), torch.from_numpy(hit).long(), n_bins=BINS, norm="l1"))
        for sure, hit in zip(confidence, right, strict=True)
    ]
    means = {"error": 1 - right.mean(axis=1), "confidence": confidence.mean(axis=1, dtype=np.float64)}
    return pd.DataFrame(means | {"ece": errors, "nll": nll.mean(axis=1)})
