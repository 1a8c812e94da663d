"""task=analyze: the structure of a finished matrix, from its tables and predictions alone."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.runs import Run
from sat_exp.settings.types import Count, Draws, FileName, FilePath, Images, Repeats
from sat_exp.similarity import draws
from sat_exp.studies.analyze import findings, images, structure
from sat_exp.studies.analyze.components import components as components_of
from sat_exp.tasks import printing
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.studied import studied

FEWEST = 8
"""Models below which neither clusters nor components can be analysed."""


def check(
    config: DictConfig,
    *,
    run: str | None,
    control: str | None,
    components: str | None,
    reference_images: int,
    clusters: int | None,
    **_: Any,
) -> None:
    study = studied(config, run, reference_images)
    name, models = study.matrix.name, len(study.matrix.models)
    if models < FEWEST:
        raise UserError(f"{name} has {models} models: an analysis needs {FEWEST} or more")
    if clusters is not None and not 2 <= clusters < models:
        raise UserError(f"task.clusters={clusters}: give 2 to {models - 1}, or null")
    components_of(study, components)
    if control is not None:
        Run.open(Path(control))


def run(
    config: DictConfig,
    *,
    name: FileName,
    run: FilePath | None,
    control: FilePath | None,
    components: FilePath | None,
    reference_images: Images,
    clusters: Count | None,
    runs: Draws,
    refits: Repeats,
) -> None:
    """Analyse a matrix, write the run's folder, mirror it to W&B and print the findings."""
    study = studied(config, run, reference_images)
    finished, matrix = study.run, study.matrix
    pairs = None if finished is None else finished.table("pairs")
    known = components_of(study, components)
    if missing := [model for model in matrix.models if model not in known.dropna().index]:
        count = f"{len(missing)} of {len(matrix.models)} models"
        study.cautions.append(f"no components of {count}, such as {missing[0]}: give task.components=FILE")
    predictions = None if finished is None else finished.predictions()
    if finished is not None and pairs is not None and predictions is not None:
        noise = None if control is None else Run.open(Path(control))
        by_image = images.analysed(finished, pairs, predictions, noise, runs, config.seed)
        drawn, changed, own = by_image.draws, "images", by_image.tables
    elif control is not None:
        raise UserError(f"{study.path} has no predictions.npz, which a control needs: give task.run=FOLDER of a matrix")
    else:
        drawn = list(draws.perturbed(matrix.sat, matrix.error, draws=runs, seed=config.seed))
        changed, own = "sampling error", {"pairs": structure.pairs_of(matrix)} if pairs is None else {}
    with recorded(config, f"The {len(matrix.models)} models of {matrix.name}") as recording:
        tables, facts = structure.analysed(matrix.sat, drawn, changed, clusters, config.seed)
        tables |= {} if pairs is None else structure.of_directions(pairs)
        tables |= {} if missing else structure.of_components(matrix.sat, known, refits, config.seed)
        tables |= own | structure.of_groups(matrix.sat, {} if finished is None else finished.summary, config.seed)
        facts |= {"findings": findings.sentences(tables, facts), "warnings": study.cautions}
        facts["measured"] = str(study.path)
        report = recording.finish(facts, tables, studied=finished)
    findings.show(tables, recording.summary)
    printing.console().print(f"report: {report.page}", soft_wrap=True)
