"""task=measures: measures of similarity side by side, their costs, and the rank correlations among them."""

from typing import Any

import pandas as pd
from omegaconf import DictConfig

from sat_exp import cores
from sat_exp.errors import UserError
from sat_exp.settings.types import Draws, FileName, Repeats
from sat_exp.studies.measures import findings, relations
from sat_exp.tasks import composing, measuring, results
from sat_exp.tasks.recording import recorded

FEWEST = 4
"""Models below which an order of pairs says nothing."""

FEWEST_MEASURES = 2


def check(config: DictConfig, **_: Any) -> None:
    if config.pool is None:
        raise UserError("task=measures needs several models: give pool=NAME, or pool=any 'pool.models=[A,B,C,D]'")
    models = composing.models(config)
    if len(models) < FEWEST:
        raise UserError(f"the pool has {len(models)} models: rank correlations of pairs need {FEWEST} or more")
    if len(config.measure) < FEWEST_MEASURES:
        raise UserError(f"measure= chooses {len(config.measure)} measures: give {FEWEST_MEASURES} or more, as [A,B]")
    measuring.check(config, models)


def run(config: DictConfig, *, name: FileName, resamples: Draws, permutations: Repeats, image_resamples: Draws) -> None:
    """Measure the pool by every measure, relate the measures and write the study; see conf/task/measures.yaml."""
    models = composing.models(config)
    measurement = measuring.prepared(config)
    images = measurement.images
    cores.prepare("sat_exp.report.theme")
    title = (
        f"{len(config.measure)} measures of similarity of {len(models)} models on {len(images)} images of {images.name}"
    )
    with recorded(config, title, tags=[images.name]) as recording:
        measured, examples = measuring.with_examples(measurement, models, None)
        tables = measuring.tabulate(measured, measurement, config) | examples.tables
        predictions, drawing = measured.predicted(images.labels), (resamples, permutations, config.seed)
        with measurement.timed("without hubs"):
            added, cautions = relations.without_hubs(tables, predictions, measuring.scoring(config), image_resamples)
        for table, rows in added.items():
            tables[table] = pd.concat([tables[table], rows], ignore_index=True)
        tables["measures_of_pairs"] = relations.of_pairs(tables["measures"])
        with measurement.timed("relations"):
            tables["measure_relations"] = relations.relations(tables["measures_of_pairs"], *drawing)
        facts = measuring.facts(measurement, measured)
        facts |= {"findings": findings.sentences(tables)}
        facts["warnings"] += cautions
        drawn = recording.finish(facts, tables, examples.pictures, predictions)
    results.show(recording.summary | {"warnings": drawn.warnings}, findings.printed(tables), drawn.page)
    measuring.refuse(measured.failures)
