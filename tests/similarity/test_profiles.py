"""The table of one row per model: its means over the other models."""

import numpy as np
import pandas as pd
import pytest

from sat_exp.similarity.profiles import profiles

MODELS = pd.DataFrame({"model": ["a", "b", "c"], "family": ["x", "x", "y"], "parameters": [1, 2, 3]}).assign(
    clean_accuracy=[0.9, 0.8, 0.7], white_box_success=[1.0, 1.0, 0.5]
)
PAIRS = pd.DataFrame(
    [
        ("a", "a", 1.0, 1.0, 4.6),
        ("a", "b", 0.2, 0.4, 3.4),
        ("c", "a", 0.6, np.nan, np.nan),
        ("b", "c", 0.1, 0.3, 3.0),
    ],
    columns=["model_a", "model_b", "transfer_rate_ab", "transfer_rate_ba", "sat"],
)


def test_means_are_over_other_models_in_the_right_direction():
    table = profiles(MODELS, PAIRS).set_index("model")
    assert table["transfer_as_source"].tolist() == pytest.approx([0.2, (0.4 + 0.1) / 2, (0.6 + 0.3) / 2])
    assert table["transfer_as_target"].tolist() == pytest.approx([(0.4 + 0.6) / 2, (0.2 + 0.3) / 2, 0.1])
    assert table["mean_sat"].tolist() == pytest.approx([3.4, 3.2, 3.0])
    assert table["white_box_success"].tolist() == [1.0, 1.0, 0.5]


def test_the_order_in_which_models_are_listed_changes_nothing():
    swapped = PAIRS.rename(
        columns={
            "model_a": "model_b",
            "model_b": "model_a",
            "transfer_rate_ab": "transfer_rate_ba",
            "transfer_rate_ba": "transfer_rate_ab",
        }
    )
    pd.testing.assert_frame_equal(profiles(MODELS, PAIRS), profiles(MODELS, swapped))


def test_without_pairs_only_the_models_are_known():
    table = profiles(MODELS, None)
    assert table["clean_accuracy"].tolist() == [0.9, 0.8, 0.7]
    assert table[["transfer_as_source", "transfer_as_target", "mean_sat"]].isna().all(axis=None)
