"""task=analyze: the structure of a finished matrix, from its tables and predictions alone."""

from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from sat_exp import cores
from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases
from sat_exp.runs import Run
from sat_exp.settings.types import Count, Draws, Existing, FileName, Images, Repeats
from sat_exp.similarity import draws, named_tables
from sat_exp.studies.analyze import findings, images, structure
from sat_exp.studies.analyze.importance import importance
from sat_exp.tasks import results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.studied import Studied, model_files, studied

FEWEST = 8
"""Models below which nothing can be analysed."""

FEWEST_FOR_IMPORTANCE = 10
"""Two models in each of the five folds."""

MOST_COMPONENTS = 100


def check(config: DictConfig, **given: Any) -> None:
    study = studied(config, given["run"], given["reference_images"])
    name, models, clusters = study.matrix.name, len(study.matrix.models), given["clusters"]
    if models < FEWEST:
        raise UserError(f"{name} has {models} models: an analysis needs {FEWEST} or more")
    if clusters is not None and not 2 <= clusters < models:
        raise UserError(f"task.clusters={clusters}: give 2 to {models - 1}, or null")
    components_of(study, given["components"])
    if given["control"] is not None:
        Run.open(Path(given["control"]))


def run(
    config: DictConfig,
    *,
    name: FileName,
    run: Existing | None,
    control: Existing | None,
    components: Existing | None,
    reference_images: Images,
    clusters: Count | None,
    runs: Draws,
    refits: Repeats,
) -> None:
    """Analyse a matrix, write the run's folder, mirror it to W&B and print the findings."""
    cores.prepare("sat_exp.studies.analyze.importance")
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
        drawn, own = images.analysed(finished, pairs, predictions, noise, runs, config.seed)
        changed = "images"
    elif control is not None:
        raise UserError(f"{study.path} has no predictions.npz, which a control needs: give task.run=FOLDER of a matrix")
    else:
        drawn = list(draws.perturbed(matrix.sat, matrix.error, draws=runs, seed=config.seed))
        changed, own = "sampling error", {"pairs": structure.pairs_of(matrix)} if pairs is None else {}
    with recorded(config, f"The {len(matrix.models)} models of {matrix.name}") as recording:
        tables, facts = structure.analysed(matrix.sat, drawn, changed, clusters, config.seed)
        tables |= {} if pairs is None else structure.directed(pairs)
        if not missing and len(matrix.models) >= FEWEST_FOR_IMPORTANCE:
            tables |= importance(matrix.sat, known, refits=refits, seed=config.seed)
        tables |= own | structure.of_groups(matrix.sat, {} if finished is None else finished.summary, config.seed)
        facts |= {"findings": findings.sentences(tables, changed), "warnings": study.cautions}
        facts["measured"] = str(study.path)
        report = recording.finish(facts, tables, studied=finished)
    results.show(recording.summary | {"warnings": report.warnings}, findings.printed(tables), report.page)


def components_of(study: Studied, file: str | None) -> pd.DataFrame:
    """The components of the matrix's models, models × components: of a CSV file, of the run, or of the model files."""
    if file is None:
        stated = None if study.run is None else study.run.table("components")
        if stated is not None:
            return stated.set_index("model")
        files = model_files(study.matrix.models)
        return pd.DataFrame.from_dict({name: dict(model.components) for name, model in files.items()}, orient="index")
    path = Path(file)
    table = named_tables.read(path, "a table of components, one row per model").rename(index=aliases(CONF))
    if table.index.has_duplicates:
        raise UserError(f"{path} has {table.index[table.index.duplicated()][0]} twice: leave one of them out")
    if len(table.columns) > MOST_COMPONENTS:
        raise UserError(f"{path} has {len(table.columns)} columns: give at most {MOST_COMPONENTS} components")
    longest = named_tables.LONGEST
    for component, column in table.items():
        if fault := next((text for text in column if not text.isprintable() or len(text) > longest), None):
            raise UserError(f"{path} has {fault[:40]!r} as {component}: give words of at most {longest} letters")
    return table
