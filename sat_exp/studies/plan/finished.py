"""Facts for a plan from a finished run of the same models and data set."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.runs import Run
from sat_exp.studies.plan.planning import LEAST_IMAGES, correlation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """folder: of the run, None without one; the defaults then make the plan an upper bound. attacked: the share of the
    images attacked, by model. correlation: of a pair's two indicators. common: the median share of images in X_AB."""

    folder: Path | None = None
    attacked: dict[str, float] = field(default_factory=dict)
    correlation: float = 1.0
    common: float = 1.0


def latest(config: DictConfig, outputs: Path, names: set[str]) -> Finished:
    """The facts of the newest finished run of all models `names`; a run that cannot be read is named and left out."""
    for folder in Run.newest(outputs, "tables/pairs.parquet"):
        try:
            found = facts(Run.open(folder), config, names)
        except UserError as error:
            log.warning("not used for the plan: %s", error)
            continue
        if found is not None:
            return found
    return Finished()


def facts(run: Run, config: DictConfig, names: set[str]) -> Finished | None:
    """The facts of a run; None where it lacks a model, has another data set or other `labels`, or too few images."""
    single, pairs = run.table("models"), run.table("pairs")
    same_data = run.summary.get("choices", {}).get("dataset") == HydraConfig.get().runtime.choices["dataset"]
    settings = run.summary.get("settings", {})
    if single is None or pairs is None or not same_data or settings.get("labels", "truth") != config.labels:
        return None
    run.require("settings.score.confidence")
    size = int(single["images"].max()) if len(single) else 0
    if size == 0:
        return None
    attacked = (single.set_index("model")["attacked"] / size).loc[lambda share: share > 0]
    common = pairs.loc[pairs["model_a"] != pairs["model_b"], "images"].median()
    rho = correlation(pairs, settings["score"]["confidence"])
    if not names <= set(attacked.index) or not common >= LEAST_IMAGES or rho is None:
        return None
    return Finished(run.folder, attacked.to_dict(), rho, float(common / size))
