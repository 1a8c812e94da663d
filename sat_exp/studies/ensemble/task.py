"""task=ensemble: what ensembles of a pool gain, how that goes with how alike their members are, and which to build."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import comb
from typing import Annotated, Any, TypeVar

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from pydantic import Field

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.measurement import Measured, Measurement, progress
from sat_exp.models import flops
from sat_exp.settings.types import Count, Draws, FileName, Images, Positive, Repeats, Share
from sat_exp.similarity import Predictions
from sat_exp.statistics import clustering
from sat_exp.studies.ensemble import calibration, diversity, ensembles, selection
from sat_exp.studies.ensemble import findings as ensemble_findings
from sat_exp.studies.ensemble.ensembles import Ensembles
from sat_exp.tasks import composing, measuring
from sat_exp.tasks.recording import recorded

log = logging.getLogger(__name__)

VERSION = 1
"""Goes up when what is counted changes: it is in the key of the stored counts."""

CHUNK = 2**16
KEPT = 100_000
ENDS = 1000
CALIBRATED = 1500
"""Ensembles of a size whose calibration is measured, a seeded sample where there are more."""

EXPLAINING = (*selection.SIMILARITIES, "clusters")

FEWEST = 5
"""Models below which there is next to nothing to compare."""

Drawn = TypeVar("Drawn")

Sizes = Annotated[list[Annotated[int, Field(ge=2, le=ensembles.MOST_MEMBERS)]], Field(min_length=1)]
"""Members of an ensemble."""


@dataclass(frozen=True)
class Pool:
    """The measured models as arrays over the M of them and the N images, names in the pool's order.

    right: bool [M, N]; sat: float64 [M, M]; clusters: int [M]; costs: parameters and flops, a row each.
    """

    measured: Measured
    labels: np.ndarray
    right: np.ndarray
    sat: pd.DataFrame
    clusters: np.ndarray
    costs: pd.DataFrame

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.measured.models]

    @cached_property
    def similarities(self) -> dict[str, np.ndarray]:
        return selection.similarities(self.sat, self.right)

    @property
    def values(self) -> dict[str, diversity.Value]:
        return diversity.values(self.similarities, self.clusters, 1 - self.right.mean(axis=1))

    def blocks(self) -> Iterator[ensembles.Block]:
        """The stored clean logits of all models, of some images at a time."""
        arrays = [model.logits for model in self.measured.models]
        step = max(array.chunk for array in arrays)
        for begin in range(0, len(self.labels), step):
            rows = np.arange(begin, min(begin + step, len(self.labels)))
            yield np.stack([array.gather(rows) for array in arrays]), self.labels[rows]


def check(config: DictConfig, *, sizes: list[int], clusters: int | None, **_: Any) -> None:
    if config.labels != "truth":
        raise UserError(f"labels={config.labels}: an ensemble's error needs true labels; give labels=truth")
    if config.pool is None:
        raise UserError("task=ensemble needs several models: give pool=NAME, or pool=any 'pool.models=[A,B,C]'")
    models = composing.models(config)
    if len(models) < FEWEST:
        raise UserError(f"the pool has {len(models)} models for task.sizes={sizes}: give pool.models= {FEWEST} or more")
    if min(sizes) >= len(models):
        raise UserError(f"task.sizes={sizes}: no ensemble smaller than the pool of {len(models)} models")
    if clusters is not None and not 2 <= clusters <= len(models):
        raise UserError(f"task.clusters={clusters}: give 2 to {len(models)}, or null")
    measuring.check(config, models)


def run(
    config: DictConfig,
    *,
    name: FileName,
    sizes: Sizes,
    average: ensembles.Average,
    most: Images | None,
    clusters: Count | None,
    runs: Repeats,
    splits: Repeats,
    candidates: Count,
    least_accuracy: Share | None,
    most_parameters: Positive | None,
    most_flops: Annotated[float, Field(gt=0)] | None,
    resamples: Draws,
    permutations: Repeats,
) -> None:
    models = composing.models(config)
    most_of = {"parameters": most_parameters, "flops": most_flops}
    limits = selection.Limits(least_accuracy, {cost: value for cost, value in most_of.items() if value is not None})
    measurement = measuring.prepared(config)
    images = measurement.images
    title = f"Ensembles of {len(models)} models on {len(images)} images of {images.name}, averaging {average}"
    with recorded(config, title, tags=[images.name]) as recording:
        measured, examples = measuring.with_examples(measurement, models, None)
        tables = measuring.tabulate(measured, measurement, config) | examples.tables
        known = measured.predicted(images.labels)
        pool, reason = pooled(measured, known, similarity.matrix(tables["pairs"]), config, clusters, runs)
        chosen_from = within(fitting(sizes, pool), pool, limits)
        with measurement.timed("contests"):
            contests = ensembles.contests(pool.blocks(), average)
        with measurement.timed("ensembles"):
            found = [counted(pool, contests, size, average, most, measurement) for size in fitting(sizes, pool)]
        with measurement.timed("relations"):
            tables |= related(found, pool, resamples, permutations, config.seed)
        if average != "votes":
            with measurement.timed("calibration"):
                tables |= calibrated(found, pool, average, resamples, permutations, config.seed)
        with measurement.timed("selection"):
            chosen = selection.halves(len(images), splits, config.seed)
            sat = of_images(known, config, clustering.weighted)(chosen)
            able = [of for of in found if of.size in chosen_from]
            tables |= selected(able, pool, contests, chosen, sat, candidates, limits, measurement)
        noted = measuring.facts(measurement, measured) | {
            "clusters": {"SAT": reason},
            "findings": ensemble_findings.findings(tables),
        }
        noted["warnings"] += ensemble_findings.cautions(sizes, found, chosen_from, pool.right)
        drawn = recording.finish(noted, tables, examples.pictures, known)
    ensemble_findings.show(tables, recording.summary, drawn.page)
    measuring.refuse(measured.failures)


def pooled(
    measured: Measured,
    known: Predictions,
    sat: pd.DataFrame,
    config: DictConfig,
    clusters: int | None,
    runs: int,
) -> tuple[Pool, str]:
    """The pool, and how its number of clusters was chosen."""
    if len(sat) < FEWEST:
        raise UserError(f"{len(sat)} models were measured: ensembles are compared among {FEWEST} or more")
    if clusters is None:
        draws = of_images(known, config, clustering.resampled)(resamples=runs, seed=config.seed)
        stability = clustering.stability(sat, draws, changed="images", seed=config.seed)
        clusters, reason = stability.recommended, stability.reason
    else:
        reason = f"K = {clusters} was given"
    labels = np.asarray(known.labels)
    return Pool(
        measured,
        labels,
        np.array([model.clean == labels for model in measured.models]),
        sat,
        clustering.spectral(sat, clusters, seed=config.seed).to_numpy(),
        pd.DataFrame(
            {
                "parameters": [model.parameters for model in measured.models],
                "flops": [flops(model.config) for model in measured.models],
            }
        ),
    ), reason


def of_images(known: Predictions, config: DictConfig, draw: Callable[..., Drawn]) -> Callable[..., Drawn]:
    """`clustering.weighted` or `resampled` of what was measured."""
    return partial(draw, known, compare=config.labels, floor=config.score.floor)


def fitting(sizes: Sequence[int], pool: Pool) -> list[int]:
    """The sizes that leave a choice among the pool's models."""
    if not (fits := sorted({size for size in sizes if size < len(pool.names)})):
        raise UserError(f"task.sizes={list(sizes)}: no ensemble smaller than the pool of {len(pool.names)} models")
    return fits


def within(sizes: Sequence[int], pool: Pool, limits: selection.Limits) -> list[int]:
    """The sizes of which the limits leave any ensemble."""
    able = [size for size in sizes if limits.leave(size, pool.right.mean(axis=1), pool.costs)]
    if not able:
        raise UserError(
            f"no ensemble of {' or '.join(map(str, sizes))} is within the limits: give another task.least_accuracy, "
            "task.most_parameters or task.most_flops"
        )
    return able


def counted(
    pool: Pool,
    contests: ensembles.Contests,
    size: int,
    average: str,
    most: int | None,
    measurement: Measurement,
) -> Ensembles:
    """The ensembles of `size`; their counts are kept in the store, and what is there is not counted again."""
    models = len(pool.names)
    at = ensembles.ranks(models, size, most, seed=measurement.seed)
    facts = {
        "logits": [model.logits.digest for model in pool.measured.models],
        "average": average,
        "size": size,
        "sampled": None if len(at) == comb(models, size) else [len(at), measurement.seed],
        "version": VERSION,
    }
    array = measurement.store.open(
        "ensembles", facts, shape=(len(at), 2), dtype="int32", chunk=CHUNK, name=f"{models} models by {size}"
    )
    with measurement.store.lock("ensembles", array.key), progress(f"{size} models", len(at)) as bar:
        for damage in array.damaged():
            log.warning("%s: it is counted again", damage)
        missing = set(array.missing())
        for chunk in range(array.chunks):
            if chunk in missing:
                of = ensembles.members(models, size, at[array.span(chunk)])
                both = ensembles.wrong(contests, of), ensembles.all_wrong(pool.right, of)
                array.write(chunk, np.column_stack(both))
            bar(array.length(chunk))
    members = ensembles.members(models, size, at)
    return ensembles.described(members, array.read_all(), pool.right, pool.similarities, pool.clusters)


def related(
    found: Sequence[Ensembles], pool: Pool, resamples: int, permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """What ensembles gain and how that goes with their members' similarity."""
    models = len(pool.names)
    drawing: dict[str, Any] = {"models": models, "resamples": resamples, "seed": seed}
    measures = ["reduction", "all_wrong"]
    return {
        "members": pd.DataFrame(
            {
                "model": pool.names,
                "accuracy": pool.right.mean(axis=1),
                "cluster": pool.clusters,
                **pool.costs,
                "sat_mean": (pool.sat.sum() - np.diag(pool.sat)).to_numpy() / (models - 1),
            }
        ),
        "ensemble_sizes": pd.concat([diversity.summary(of) for of in found], ignore_index=True),
        "ensembles": pd.concat([named(of, pool.names, KEPT // len(found), seed) for of in found], ignore_index=True),
        "ensembles_binned": pd.concat(
            [diversity.binned(of, by) for of in found for by in selection.SIMILARITIES], ignore_index=True
        ),
        "ensemble_relations": pd.concat(
            [
                diversity.relation(
                    of, pool.values, measures, explaining=EXPLAINING, permutations=permutations, **drawing
                )
                for of in found
            ],
            ignore_index=True,
        ),
        "ensembles_matched": pd.concat([diversity.matched(of, **drawing) for of in found], ignore_index=True),
        "ensembles_by_clusters": pd.concat([diversity.by_clusters(of, **drawing) for of in found], ignore_index=True),
    }


def named(found: Ensembles, names: Sequence[str], most: int, seed: int) -> pd.DataFrame:
    """The ensembles with their members' names, most reduction first: all of them, or the first and last ENDS and a
    seeded sample, as `kept` says."""
    table = found.table.sort_values("reduction", ascending=False, kind="stable")
    if len(table) <= most:
        kept = table.assign(kept="all")
    else:
        middle = table.iloc[ENDS:-ENDS]
        drawn = np.sort(np.random.default_rng([seed, found.size]).choice(len(middle), most - 2 * ENDS, replace=False))
        parts = {"most": table.head(ENDS), "sample": middle.iloc[drawn], "least": table.tail(ENDS)}
        kept = pd.concat([part.assign(kept=why) for why, part in parts.items()])
    of = np.array(names, object)[found.members[kept.index]]
    kept.insert(1, "models", [" + ".join(row) for row in of])
    return kept


def calibrated(
    found: Sequence[Ensembles], pool: Pool, average: str, resamples: int, permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """How well calibrated ensembles are, beside their members, and whether that goes with the members' similarity."""
    rng = np.random.default_rng(seed)
    samples = []
    for of in found:
        rows = np.sort(rng.choice(len(of.members), min(CALIBRATED, len(of.members)), replace=False))
        samples.append(Ensembles(of.members[rows], of.table.iloc[rows].reset_index(drop=True), False))
    groups: list[np.ndarray] = [np.arange(len(pool.names))[:, None], *(of.members for of in samples)]
    single, *tables = calibration.calibration(pool.blocks(), groups, average)
    sizes, relations = [calibration.summary(single, 1)], []
    for of, table in zip(samples, tables, strict=True):
        for name in ("nll", "ece"):
            of.table[name] = table[name]
            of.table[f"members_{name}"] = single[name].to_numpy()[of.members].mean(axis=1)
        of.table["nll_reduction"] = 1 - of.table["nll"] / of.table["members_nll"]
        sizes.append(calibration.summary(table.assign(**of.table[["members_nll", "members_ece"]]), of.size))
        relations.append(
            diversity.relation(
                of,
                pool.values,
                ["nll_reduction", "ece"],
                models=len(pool.names),
                explaining=selection.SIMILARITIES,
                resamples=resamples,
                permutations=permutations,
                seed=seed,
            )
        )
    return {"calibration": pd.concat(sizes), "calibration_relations": pd.concat(relations, ignore_index=True)}


def selected(
    found: Sequence[Ensembles],
    pool: Pool,
    contests: ensembles.Contests,
    chosen: np.ndarray,
    sat: np.ndarray,
    candidates: int,
    limits: selection.Limits,
    measurement: Measurement,
) -> dict[str, pd.DataFrame]:
    """How ways to choose an ensemble do on images they have not seen, and what they recommend."""
    rng = np.random.default_rng(measurement.seed)
    few = []
    for of in found:
        rows = np.sort(rng.choice(len(of.members), min(candidates, len(of.members)), replace=False))
        few.append(Ensembles(of.members[rows], of.table.iloc[rows].reset_index(drop=True), of.whole))
    splits = []
    with progress("selection", len(chosen)) as bar:
        for table in selection.held_out(contests, pool.right, few, chosen, sat, pool.costs, limits):
            splits.append(table)
            bar(1)
    compared = selection.compared(splits)
    best = selection.recommended(found, pool.right, pool.similarities, pool.names, pool.costs, limits, compared)
    return {"selection": compared, "recommended": best}
