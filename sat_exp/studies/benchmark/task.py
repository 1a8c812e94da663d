"""task=benchmark: which measures recognise models that are alike by construction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig
from pydantic import Field

from sat_exp.errors import UserError
from sat_exp.progress import progress
from sat_exp.runs import Run
from sat_exp.settings.types import Existing, FileName
from sat_exp.studies.benchmark import findings
from sat_exp.studies.benchmark.groups import read_groups, strata
from sat_exp.studies.benchmark.judging import tables
from sat_exp.tasks import results
from sat_exp.tasks.finished import existing
from sat_exp.tasks.recording import recorded


def check(config: DictConfig, *, runs: Sequence[str], groups: str, **_: Any) -> None:
    """UserError for a wrong file of groups, and where the runs do not have the models of every stratum."""
    strata(read_groups(Path(groups)), opened(runs))


def run(
    config: DictConfig, *, name: FileName, runs: Annotated[list[Existing], Field(min_length=1)], groups: Existing
) -> None:
    """Judge, write the run's folder, mirror it to W&B and print the findings."""
    finished = opened(runs)
    found, cautions = strata(read_groups(Path(groups)), finished)
    score = config.score
    resampling = {"resamples": score.resamples, "confidence": score.confidence, "seed": score.seed}
    tests = list(dict.fromkeys(stratum.test for stratum in found))
    with recorded(config, f"Measures judged by {len(tests)} tests of known likeness") as recording:
        with progress("judge", len(found)) as advance:
            made = tables(found, **resampling, advance=advance)
        facts = {
            "runs": [
                {"run": label, "folder": str(one.folder.absolute()), "digest": one.digest}
                for label, one in finished.items()
            ],
            "groups": str(Path(groups).absolute()),
            "findings": findings.sentences(made),
            "warnings": cautions + findings.doubtful(finished),
        }
        drawn = recording.finish(facts, made)
    results.show(recording.summary, findings.printed(made), drawn.page)


def opened(folders: Sequence[str]) -> dict[str, Run]:
    """The finished runs by the name of their folder; UserError where there is none, and where two have one name."""
    found: dict[str, Run] = {}
    for folder in folders:
        one = Run.open(existing(folder, "a finished matrix").absolute())
        if one.folder.name in found:
            raise UserError(f"task.runs has two folders called {one.folder.name}: give each run once, or rename one")
        found[one.folder.name] = one
    return found
