"""The results of a run as its page shows them, and the square matrices that figures are drawn from."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sat_exp.errors import UserError
from sat_exp.report.theme import FamilyStyle, family_styles
from sat_exp.runs import Run, registry
from sat_exp.statistics import clustering

LOG_100 = float(np.log(100))


@dataclass(frozen=True)
class Results:
    """The results of a run.

    own: the run's tables by name. tables: these and, for a study, those of the run that it studied. examples: the
    folder with the files of the table `examples`. studied: the summary of the run studied, empty for a measurement.
    """

    own: dict[str, pd.DataFrame]
    tables: dict[str, pd.DataFrame]
    summary: dict[str, Any]
    examples: Path
    class_names: list[str]
    studied: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, folder: Path) -> "Results":
        """The results of `run` and of the run that it is a study of; files of examples are copied into `folder`.

        UserError where there is no table, where a file is damaged, and where a table that is drawn in the colours of
        families or clusters names a model that has none.
        """
        own = run.tables()
        if not own:
            raise UserError(f"no tables/*.parquet in {run.folder}: give the folder of a finished run")
        studied = run.studied
        before, summary = ({}, {}) if studied is None else (studied.tables(), studied.summary)
        tables = before | own
        if "examples" in tables:
            pictured = run if "examples" in own or studied is None else studied
            pictured.copy(sorted({*tables["examples"]["clean"], *tables["examples"]["adversarial"]}), folder)
        class_names = (run.summary | summary).get("class_names", [])
        results = cls(own, tables, run.summary, folder, class_names, summary)
        coloured = [table[column] for name, table in tables.items() for column in registry.table(name).coloured]
        known = set(results.families)
        if "cluster_stability" in own:
            known &= set(own["clusters"]["model"])
        if strangers := sorted(set().union(*coloured) - known):
            raise UserError(f"{run.folder} names a model that it does not have: {strangers[0]}")
        return results

    @property
    def models(self) -> pd.DataFrame | None:
        return self.tables.get("models")

    @property
    def pairs(self) -> pd.DataFrame | None:
        return self.tables.get("pairs")

    @cached_property
    def families(self) -> dict[str, str]:
        """The family of every model in the tables."""
        named = {} if self.pairs is None else model_families(self.pairs)
        return named | ({} if self.models is None else dict(self.models[["model", "family"]].to_numpy()))

    @cached_property
    def styles(self) -> dict[str, FamilyStyle]:
        """The colour and the marker of every family."""
        return family_styles(self.families.values())


def model_families(pairs: pd.DataFrame) -> dict[str, str]:
    """The family of every model in a table of pairs, models in the order of the table."""
    first = dict(zip(pairs["model_a"], pairs["family_a"], strict=True))
    return first | {b: family for b, family in zip(pairs["model_b"], pairs["family_b"], strict=True) if b not in first}


def tree(sat: pd.DataFrame) -> clustering.Hierarchy:
    """The average-linkage tree of a symmetric matrix of SAT [M, M]; a missing pair counts as an average one."""
    distance = (LOG_100 - sat.to_numpy(dtype=float)).clip(min=0)
    known = distance[np.triu(np.isfinite(distance), 1)]
    return clustering.hierarchy(sat.fillna(LOG_100 - (known.mean() if known.size else 1.0)))


def leaf_order(sat: pd.DataFrame) -> list[str]:
    """The models along that tree: similar ones next to each other."""
    return tree(sat).leaves
