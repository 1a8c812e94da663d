"""Calibration against its definition, computed from probabilities in float64."""

import numpy as np
import pytest
from scipy.special import softmax

from sat_exp.ensembles import contests
from sat_exp.ensembles.members import members_of
from sat_exp.studies.ensemble import calibration


def by_hand(probabilities, labels):
    """Error, confidence, ECE and negative log-likelihood of probabilities [N, classes]."""
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right, bins = predicted == labels, np.minimum((sure * 15).astype(int), 14)
    parts = [(bins == number) for number in range(15)]
    ece = sum(abs(right[part].mean() - sure[part].mean()) * part.mean() for part in parts if part.any())
    return 1 - right.mean(), sure.mean(), ece, -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.fixture
def outputs():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 300)
    logits = rng.normal(0, 1.5, (5, 300, 6)).astype(np.float32)
    logits[:, np.arange(300), labels] += 2
    return logits, labels


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_of_single_models_and_ensembles_against_the_definition(outputs, average):
    logits, labels = outputs
    groups = [np.arange(5)[:, None], members_of(5, 3, np.arange(10))]
    blocks = [(logits[:, part], labels[part]) for part in (slice(0, 128), slice(128, 300))]
    tables = calibration.calibration(blocks, groups, average)
    for group, table in zip(groups, tables, strict=True):
        for row, members in zip(table.itertuples(index=False), group, strict=True):
            wide = logits[members].astype(np.float64)
            probabilities = (
                softmax(wide, axis=-1).mean(axis=0) if average == "probabilities" else softmax(wide.mean(axis=0), -1)
            )
            assert tuple(row) == pytest.approx(by_hand(probabilities, labels), abs=1e-5)


def test_the_error_is_the_one_counted(outputs):
    members = members_of(5, 4, np.arange(5))
    (table,) = calibration.calibration([outputs], [members])
    counted = contests.count_errors(contests.contests([outputs]), members)
    assert (table["error"] * 300).to_numpy() == pytest.approx(counted)


def test_a_probability_of_almost_nothing_has_a_finite_likelihood():
    logits = np.array([[[60, 0]], [[50, 0]]], np.float32)
    (table,) = calibration.calibration([(logits, np.array([1]))], [np.array([[0, 1]])])
    assert table["nll"].item() == pytest.approx(50 - np.log(1 + np.exp(-10)) + np.log(2), rel=1e-6)


def test_the_members_of_a_single_model_are_the_model_itself(outputs):
    (table,) = calibration.calibration([outputs], [np.arange(5)[:, None]])
    row = calibration.summary(table, 1).iloc[0]
    assert (row["size"], row["ensembles"]) == (1, 5)
    assert row["members_nll"] == row["nll"] == pytest.approx(table["nll"].mean())
