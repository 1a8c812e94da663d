"""Tables on the terminal: no word is broken, nothing is cut, whatever fits in the width is on one table."""

import io
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sat_exp.tasks import printing

NAMES = ["fashion_resnet_seed1", "fashion_convnext_seed1", "vit"]


def lines(rows: pd.DataFrame, formats: dict[str, str], width: int = 80) -> list[str]:
    written = io.StringIO()
    Console(file=written, width=width, markup=False).print(printing.table("pairs", rows, formats))
    return written.getvalue().splitlines()


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w.%–]+", text))


def test_a_table_that_fits_is_one_table():
    printed = lines(pd.DataFrame({"model": NAMES, "sat": [4.21, 3.0, None]}), {"model": "", "sat": ".2f"})
    assert sum(line.startswith("┏") for line in printed) == 1
    assert "│ fashion_resnet_seed1   │ 4.21 │" in printed
    assert "│ vit                    │    – │" in printed


def test_columns_that_do_not_fit_follow_in_a_table_with_the_same_names():
    numbers = [f"number_{index}_of_error_consistency" for index in range(9)]
    rows = pd.DataFrame({"model": NAMES, "other": NAMES} | {name: [1.5, 2.5, 3.5] for name in numbers})
    printed = lines(rows, {"model": "", "other": ""} | dict.fromkeys(numbers, ".3f"))
    assert max(map(len, printed)) <= 80
    tables = sum(line.startswith("┏") for line in printed)
    assert 1 < tables < len(numbers)
    text = "\n".join(printed)
    assert text.count("fashion_resnet_seed1") == 2 * tables
    assert text.count("consistency") == len(numbers)
    assert text.count("1.500") == len(numbers)
    assert text.count("pairs") == 1


def test_a_long_text_is_wrapped_between_words():
    reason = "the weights are not in the folder of the package, so that the model could not be loaded at all"
    printed = lines(pd.DataFrame({"model": NAMES[:1], "reason": [reason]}), {"model": "", "reason": ""})
    assert max(map(len, printed)) <= 80
    assert words(reason) | words(NAMES[0]) <= words("\n".join(printed))


@pytest.mark.parametrize("width", [80, 120])
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_no_word_is_broken(width, data):
    name = st.text("abc_", min_size=1, max_size=22)
    texts = data.draw(st.lists(name, min_size=1, max_size=2, unique=True), label="texts")
    numbers = data.draw(st.lists(name.filter(lambda each: each not in texts), max_size=9, unique=True), label="numbers")
    values = {text: data.draw(st.lists(name, min_size=2, max_size=2)) for text in texts}
    values |= {number: data.draw(st.lists(st.floats(-99999, 99999), min_size=2, max_size=2)) for number in numbers}
    formats = dict.fromkeys(texts, "") | dict.fromkeys(numbers, ".2f")
    printed = lines(pd.DataFrame(values), formats, width)
    assert max(map(len, printed)) <= width
    stated = {part for line in printed for part in re.split(r"[│┃\s]+", line)}
    cells = {f"{value:.2f}" if isinstance(value, float) else value for column in values.values() for value in column}
    headings = {part for column in values for part in column.split("_") if part}
    assert cells | headings <= stated
