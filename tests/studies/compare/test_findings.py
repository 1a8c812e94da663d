"""The findings of a comparison state what its tables contain, and name the right matrix."""

import numpy as np
import pandas as pd

from sat_exp.similarity import matrices
from sat_exp.similarity.comparison import compare
from sat_exp.similarity.matrices import Matrix
from sat_exp.studies.compare import findings


def matrix(name: str, shift: float = 0.0) -> Matrix:
    rng = np.random.default_rng(0)
    half = np.triu(rng.uniform(1, 3, (8, 8)), 1)
    models = [f"m{number}" for number in range(8)]
    sat = pd.DataFrame(half + half.T + 4.6 * np.eye(8) + shift, index=models, columns=models)
    error = matrices.sampling_error(sat, 500)
    return Matrix(name, sat, error, error)


def test_findings_name_both_matrices_and_agree_with_the_table():
    one, other = matrix("ours", 0.25), matrix("theirs")
    found = compare(one, other, set_aside=["m0"], reason="some", resamples=20)
    order, apart, most = findings.sentences(found, "ours", "theirs")
    assert "SAT in ours and in theirs has a rank correlation of 1.000 (" in order
    assert "over 28 pairs of 8 models" in order
    assert "ours minus theirs is +0.25 on average" in apart
    pair = found["disagreements"].iloc[0]
    assert f"They differ most for {pair['model_a']} and {pair['model_b']}" in most
    assert not any(word in text for text in (order, apart, most) for word in ("measured", "reference"))


def test_an_order_that_may_be_chance_is_uncertain():
    rng = np.random.default_rng(1)
    one, other = matrix("ours"), matrix("theirs")
    half = np.triu(rng.uniform(1, 3, (8, 8)), 1)
    other = Matrix("theirs", other.sat * 0 + half + half.T + 4.6 * np.eye(8), other.error, other.below)
    found = compare(one, other, resamples=200)
    assert findings.sentences(found, "ours", "theirs")[0].startswith("It is uncertain that ours and theirs order")


def test_assumed_errors_are_said_to_be_assumed():
    files, run = (findings.source_of_errors("one", "two", of_file, 1250) for of_file in (True, False))
    assert "assumed, for 1,250 images per value in both files" in files
    assert "Those of one are" not in run
    assert "of one are those of its intervals" in run
    assert "Those of two are assumed, for 1,250 images" in run
