"""The findings of the study in words, and on the terminal."""

from collections.abc import Iterator, Mapping

import pandas as pd
from rich.table import Table

from sat_exp.report.headline import value
from sat_exp.studies.benchmark.groups import SAT
from sat_exp.tasks import printing

RECOGNITION = {"measure": "", "auprc": ".2f", "from": ".2f", "to": ".2f", "violations": ".1%", "above_SAT": "+.2f"}
RECOGNITION |= {"above_from": "+.2f", "above_to": "+.2f"}
COLUMNS = {"auprc_low": "from", "auprc_high": "to", "violation_rate": "violations", "auprc_above_sat": "above_SAT"}
COLUMNS |= {"auprc_above_sat_low": "above_from", "auprc_above_sat_high": "above_to"}


def sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """For every test the best measure and SAT, and which measures are above or below SAT with certainty."""
    return [
        text
        for test, rows in tables["recognition"].groupby("test", sort=False)
        for text in of_test(str(test), rows.set_index("measure"))
    ]


def of_test(test: str, rows: pd.DataFrame) -> list[str]:
    best, own = rows.iloc[0], rows.loc[SAT]
    chance = f"chance is {own['chance']:.2f}"
    if best.name == SAT:
        texts = [f"{test}: SAT recognises the groups best, AUPRC {value(own, 'auprc')}; {chance}."]
    else:
        texts = [
            f"{test}: {best.name} recognises the groups best, AUPRC {value(best, 'auprc')}; SAT has "
            f"{value(own, 'auprc')}; {chance}."
        ]
    if not own["auprc_low"] > own["chance"]:
        texts.append(f"{test}: it is uncertain that SAT recognises the groups at all, its interval includes chance.")
    others = rows.drop(index=SAT)
    above = others.index[others["auprc_above_sat_low"] > 0].tolist()
    below = others.index[others["auprc_above_sat_high"] < 0].tolist()
    rest = len(others) - len(above) - len(below)
    parts = [f"above SAT are {', '.join(above)}"] * bool(above) + [f"below SAT are {', '.join(below)}"] * bool(below)
    parts += [f"{rest} of {len(others)} do not differ from it with certainty"] * bool(rest and parts)
    if parts:
        texts.append(f"{test}: by intervals, {'; '.join(parts)}.")
    elif rest:
        texts.append(f"{test}: no measure differs from SAT with certainty.")
    return texts


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The measures in each test, the largest AUPRC first."""
    for test, rows in tables["recognition"].groupby("test", sort=False):
        first = rows.iloc[0]
        title = f"{test}: {first['models']} models, {first['within']} of {first['pairs']} pairs within a group"
        yield printing.table(title, rows.rename(columns=COLUMNS), RECOGNITION)
