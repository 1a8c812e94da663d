"""The findings in words, from tables made by hand."""

import pandas as pd

from sat_exp.studies.stability import findings

NAMES = ["reference", "attack=noise", "attack=mi", "seed=1"]
AGREEMENT = pd.DataFrame(
    {
        "variant": NAMES,
        "factor": ["reference", "attack", "attack", "seed"],
        "spearman": [1.0, 0.31, 0.9, 0.97],
        "rand": [1.0, 0.1, 0.8, 0.9],
        "rand_low": [0.7, 0.0, 0.5, 0.6],
    }
)
IMAGES = pd.DataFrame({"images": [50, 25], "spearman": [0.88, 0.7]})
CONTRAST = pd.DataFrame(
    {
        "variant": NAMES,
        "gap": [1.0, 0.1, 1.5, 1.0],
        "gap_low": [0.9, 0.0, 1.4, 0.9],
        "gap_high": [1.1, 0.2, 1.6, 1.1],
        "sharpness": [10.0, 1.0, 15.0, 10.0],
        "relatives_saturated": [0.2, 0.0, 0.5, 0.2],
    }
)
COMPONENTS = pd.DataFrame(
    {
        "variant": [name for name in NAMES for _ in range(2)],
        "component": ["base_architecture", "stem"] * 4,
        "rank": [1, 2, 2, 1, 1, 2, 1, 2],
    }
)


def test_three_sentences():
    tables = {"variant_agreement": AGREEMENT, "variant_images": IMAGES, "variant_contrast": CONTRAST}
    first, second, third = findings.sentences(tables | {"variant_components": COMPONENTS})
    assert "attack 0.31 to 0.90; seed 0.97; between 50 images and 50 others it is 0.88." in first
    assert "best by attack=mi: their mean SAT differs by 1.50 (1.40 to 1.60), 15 standard errors" in second
    assert "with the run's own settings 10" in second
    assert second.endswith("saturated under attack=mi.")
    assert "under attack=noise; SAT follows base architecture most under 3 of 4 variants." in third


def test_nothing_is_said_of_what_is_unknown():
    equal = AGREEMENT.assign(rand=1.0)
    tables = {"variant_agreement": equal, "variant_images": IMAGES[:0], "variant_components": COMPONENTS[:0]}
    first, second = findings.sentences(tables)
    assert "others it is" not in first
    assert second == "No change moves the clusters by more than other images do."
