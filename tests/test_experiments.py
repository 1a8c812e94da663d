"""The numbers in the text of a study's page come from the tables in its folder."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STUDIES = Path(__file__).parents[1] / "experiments"
CHECKED = ["benchmark", "stability", "stability_imagenet"]
NUMBER = re.compile(r"(?<![\w.])[−-]?\d[\d,]*(?:\.\d+)?%?(?![\w.]*\w)")


def text_of(study: str) -> str:
    """The findings of a study, without links and code."""
    page = (STUDIES / study / "README.md").read_text(encoding="utf-8").partition("## Findings")[2]
    return re.sub(r"`[^`]*`|\]\([^)]*\)|95% intervals?", "", page)


def values_of(study: str) -> np.ndarray:
    """All numbers in the tables of a study."""
    tables = [pd.read_csv(path) for path in sorted((STUDIES / study / "tables").glob("*.csv"))]
    assert tables
    found = np.concatenate([table.select_dtypes("number").to_numpy(float).ravel() for table in tables])
    return np.unique(found[np.isfinite(found)])


def stands(number: str, values: np.ndarray) -> bool:
    """Whether one of `values` is written as `number`."""
    bare = number.rstrip("%").replace(",", "").replace("−", "-")
    digits = len(bare.partition(".")[2])
    scaled = values * 100 if number.endswith("%") else values
    return bool((np.abs(scaled - float(bare)) <= 0.5 * 10.0**-digits * (1 + 1e-9)).any())


@pytest.mark.parametrize("study", CHECKED)
def test_every_number_of_the_findings_is_in_a_table(study):
    text, values = text_of(study), values_of(study)
    precise = [number for number in NUMBER.findall(text) if "." in number or "%" in number]
    assert len(precise) >= 10
    assert [number for number in precise if not stands(number, values)] == []


def test_a_number_that_is_in_no_table_is_found():
    values = np.array([0.123, 4.5678])
    assert stands("12.3%", values)
    assert stands("4.57", values)
    assert not stands("12.4%", values)
    assert not stands("4.56", values)
    found = NUMBER.findall("SAT 4.57 (−0.2 to 3.1), 95%, 1,024; v1.2.3 and x5")
    assert found == ["4.57", "−0.2", "3.1", "95%", "1,024"]
