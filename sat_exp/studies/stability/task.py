"""task=stability: SAT of a pool under other attacks, budgets, seeds and protocols, and how far it agrees."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pandas as pd
from omegaconf import DictConfig
from pydantic import Field

from sat_exp.errors import UserError
from sat_exp.measurement import Measured, Measurement, Scoring, model_table
from sat_exp.measurement.tables import pair_table
from sat_exp.models import Configured
from sat_exp.settings.types import Draws, FileName, Text
from sat_exp.similarity import Predictions
from sat_exp.studies.stability import agreement, contrast, findings
from sat_exp.studies.stability.agreement import Matrices
from sat_exp.studies.stability.variants import Variant, title, variants
from sat_exp.tasks import composing, measuring, results
from sat_exp.tasks.recording import recorded

Changes = Annotated[list[Text], Field(min_length=1, max_length=100)]
Clusters = Annotated[int, Field(ge=2, le=1000)]


def check(config: DictConfig, *, changes: Sequence[str], **_: Any) -> None:
    models = composing.models(config)
    if config.pool is None or len(models) < 4:
        raise UserError("task=stability compares matrices: give pool=NAME of four models or more")
    for variant in variants(config, changes):
        measuring.check(variant.config, models)


def run(config: DictConfig, *, name: FileName, changes: Changes, clusters: Clusters, resamples: Draws) -> None:
    """Measure all variants, compare them with the first, write the study and print its findings."""
    models = composing.models(config)
    several = variants(config, changes)
    images = measuring.image_set(config)
    heading = f"SAT of {len(models)} models in {len(several)} ways, on {len(images)} images of {images.name}"
    with recorded(config, heading, tags=[images.name]) as recording:
        first, measured = measuring.prepared(config), {}
        for number, variant in enumerate(several, 1):
            print(f"variant {number} of {len(several)}: {variant.name}", flush=True)
            work = first if variant is several[0] else measuring.prepared(variant.config)
            measured[variant.name] = work, work.run([Configured(model) for model in models])
        tables = compared(several, measured, min(clusters, len(models) // 2), resamples, config)
        facts = measuring.facts(first, measured[several[0].name][1])
        failures = {name: why for _, found in measured.values() for name, why in found.failures.items()}
        facts["findings"] = findings.sentences(tables)
        drawn = recording.finish(facts, tables)
    results.show(recording.summary, findings.printed(tables), drawn.page)
    measuring.refuse(failures)


def compared(
    several: Sequence[Variant],
    measured: Mapping[str, tuple[Measurement, Measured]],
    clusters: int,
    resamples: int,
    config: DictConfig,
) -> dict[str, pd.DataFrame]:
    """The tables of the study, over the models that no variant lacks."""
    kept = [model.name for model in measured[several[0].name][1].models]
    kept = [name for name in kept if all(name not in found.failures for _, found in measured.values())]
    if len(kept) < 4:
        raise UserError(f"{len(kept)} models are left that were measured in all variants: four are needed")
    score, labels = config.score, measuring.image_set(config).labels
    scoring = {"compare": config.labels, "floor": score.floor, "seed": score.seed}
    found: dict[str, Matrices] = {}
    described, tables = [], {}
    for variant in several:
        work, result = measured[variant.name]
        predictions = subset(result.predicted(labels), kept)
        found[variant.name] = agreement.matrices(predictions, resamples, **scoring)
        pairs = pair_table(result, labels, Scoring(config.labels, score.floor, score.confidence))
        rates = contrast.rates(pairs, model_table(result, labels, score.confidence))
        stated = {"variant": variant.name, "factor": variant.factor, "attack": title(work.attack)}
        described.append(stated | {"images": len(work.images)} | rates)
        if variant is several[0]:
            tables["variant_images"] = agreement.sample_sizes(
                predictions, resamples, confidence=score.confidence, **scoring
            )
            families = [model.candidate.family for model in result.models if model.name in kept]
            stated_components = [{"model": model.name} | model.components for model in result.models]
    factors = {variant.name: variant.factor for variant in several}
    together = {
        "variant_agreement": agreement.agreement(found, clusters, score.confidence, score.seed),
        "variant_contrast": contrast.contrast(found, families, score.confidence),
    }
    for name, table in together.items():
        if not table.empty:
            table.insert(1, "factor", table["variant"].map(factors))
            tables[name] = table
    return (
        {"variants": pd.DataFrame(described)}
        | tables
        | {
            "variant_components": contrast.components(found, pd.DataFrame(stated_components), kept),
            "variant_correlations": agreement.among_variants(found),
            "variant_pairs": agreement.moved_pairs(kept, found),
        }
    )


def subset(predictions: Predictions, names: Sequence[str]) -> Predictions:
    """The predictions of the models `names`, for their own adversarial images and those of one another."""

    def among(found: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
        return {way: classes for way, classes in found.items() if {*way} <= {*names}}

    return Predictions(
        list(names),
        predictions.labels,
        {name: predictions.clean[name] for name in names},
        among(predictions.adversarial),
        among(predictions.reference),
        {name: goal for name, goal in predictions.goals.items() if name in names},
    )
