"""The findings of the study in words, and on the terminal."""

from collections.abc import Iterator, Mapping

import pandas as pd
from rich.table import Table

from sat_exp.report.headline import doubts, value
from sat_exp.runs import Run
from sat_exp.statistics.resampling import TIE
from sat_exp.studies.benchmark.groups import SAT
from sat_exp.tasks import printing

RECOGNITION = {
    "measure": "",
    "pairs": ",d",
    "auprc": ".2f",
    "from": ".2f",
    "to": ".2f",
    "violations": ".1%",
    "above_SAT": "+.2f",
}
COLUMNS = {"auprc_low": "from", "auprc_high": "to", "violation_rate": "violations", "auprc_above_sat": "above_SAT"}


def sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """For every test the best measure and SAT, and which measures are above or below SAT with certainty."""
    return [
        text
        for test, rows in tables["recognition"].groupby("test", sort=False)
        for text in of_test(str(test), rows.set_index("measure"))
    ]


def of_test(test: str, rows: pd.DataFrame) -> list[str]:
    """The sentences of one test. rows: of the table `recognition`, the best first, by measure."""
    own = rows.loc[SAT]
    best = rows.index[rows["auprc"] >= rows["auprc"].max() - TIE]
    chance = f"chance is {own['chance']:.2f}"
    verb = "recognises" if len(best) == 1 else "recognise"
    names = ", ".join("SAT" if name == SAT else name for name in best)
    texts = [f"{test}: {names} {verb} the groups best, AUPRC {value(rows.loc[best[0]], 'auprc')}; {chance}."]
    if SAT not in best:
        texts[0] = texts[0].replace(f"; {chance}", f"; SAT has {value(own, 'auprc')}; {chance}")
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
    most = rows["pairs"].max()
    if lacking := {name: most - count for name, count in rows["pairs"].items() if count < most}:
        listed = ", ".join(f"{name} ({count})" for name, count in lacking.items())
        texts.append(f"{test}: without a value for some of the {most} pairs, which are left out: {listed}.")
    return texts


def doubtful(runs: Mapping[str, Run]) -> list[str]:
    """What makes the SAT of a run doubtful, one sentence per run that has such: few images, a weak attack, untrained
    networks. Its other measures need no attack."""
    return [
        f"SAT of {label}: {doubt.removeprefix('Read this with care: ').removesuffix('.')}"
        for label, run in runs.items()
        for doubt in doubts(run.table("models"), run.table("pairs"))
    ]


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The measures in each test, the largest AUPRC first."""
    for test, rows in tables["recognition"].groupby("test", sort=False):
        own = rows.set_index("measure").loc[SAT]
        title = f"{test}: {own['models']} models, {own['within']} of {own['pairs']} pairs within a group"
        yield printing.table(title, rows.rename(columns=COLUMNS), RECOGNITION)
