"""The SAT matrix that a study reads: of a finished run, or of a CSV file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases
from sat_exp.runs import Run
from sat_exp.similarity import matrices
from sat_exp.similarity.matrices import Matrix
from sat_exp.tasks import composing
from sat_exp.tasks.finished import chosen


@dataclass(frozen=True)
class Studied:
    """path: the folder or the file, absolute. run: the finished run, None for a CSV file. matrix: with the names of
    model files in place of their aliases. cautions: sentences for the reader."""

    path: Path
    run: Run | None
    matrix: Matrix
    cautions: list[str]


def studied(config: DictConfig, run: str | None, images: int) -> Studied:
    """The matrix to study; UserError where there is none. run: the folder or the CSV file, None for the newest run with
    pairs. images: how many each value of a file is based on."""
    if run is not None and Path(run).suffix == ".csv":
        matrix = matrices.read(Path(run), images, config.score.floor)
        return Studied(Path(run).absolute(), None, matrix.renamed(aliases(CONF)), [])
    finished = chosen(config, run)
    pairs, models = finished.table("pairs"), finished.table("models")
    if pairs is None:
        raise UserError(f"{finished.folder} has no pairs: give task.run=FOLDER of a finished matrix, or a CSV file")
    settings = finished.summary.get("settings", {})
    cautions = []
    if models is not None and (untrained := int((~models["pretrained"].astype(bool)).sum())):
        cautions.append(f"{untrained} models of the run are untrained")
    if (labels := settings.get("labels", "truth")) != "truth":
        cautions.append(f"the run was scored with labels={labels}, not with true labels")
    path = finished.folder.absolute()
    matrix = matrices.from_pairs(path.name, pairs, settings.get("score", {}).get("confidence", 0.95))
    return Studied(path, finished, matrix.renamed(aliases(CONF)), cautions)


def model_files(names: Sequence[str]) -> dict[str, DictConfig]:
    """The configurations of those models that have a file, by name."""
    files = set(GlobalHydra.instance().config_loader().get_group_options("model"))
    return {name: composing.stated(name) for name in names if name in files}
