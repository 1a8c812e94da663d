"""task=analyze: what a finished matrix says, from its tables and predictions alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich.table import Column, Table
from scipy.special import ndtri

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases
from sat_exp.runs import Predictions, Run, read
from sat_exp.settings.types import Count, Draws, FileName, FilePath, Images, Repeats
from sat_exp.similarity import agreement, matrices
from sat_exp.statistics import clustering, embedding, relations
from sat_exp.studies.analyze import importance, regimes, sampling, structure
from sat_exp.studies.compare import task as compare
from sat_exp.studies.compare.comparison import Matrix
from sat_exp.tasks import printing, results
from sat_exp.tasks.recording import recorded

MOST_COMPONENTS = 100
FEWEST = 8
"""Models below which neither a number of clusters can be chosen nor components be told apart."""


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
    studied, stated = compare.given(config, run, reference_images)[1:3]
    matrix = stated.renamed(aliases(CONF))
    if len(matrix.models) < FEWEST:
        raise UserError(f"{matrix.name} has {len(matrix.models)} models: an analysis needs {FEWEST} or more")
    if clusters is not None and not 2 <= clusters < len(matrix.models):
        raise UserError(f"task.clusters={clusters}: give 2 to {len(matrix.models) - 1}, or null")
    components_of(matrix, components, studied)
    if control is not None:
        read(Path(control))


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
    place, studied, matrix, cautions = compare.given(config, run, reference_images)
    pairs = None if studied is None else studied.checked_table("pairs")
    matrix = matrix.renamed(aliases(CONF))
    known = components_of(matrix, components, studied)
    if lacking := [name for name in matrix.models if name not in known.dropna().index]:
        count = f"{len(lacking)} of {len(matrix.models)} models"
        cautions.append(f"no components of {count}, such as {lacking[0]}: give task.components=FILE to weigh them")
    predictions = None if studied is None else studied.predictions()
    if studied is not None and pairs is not None and predictions is not None:
        studied.require("settings.labels", "settings.score.floor")
        check_predictions(studied, predictions, pairs)
        noise = None if control is None else of_control(read(Path(control)), predictions, studied.summary)
        images = of_images(studied.summary["settings"], pairs, predictions, noise, runs, config.seed)
        draws, changed = images.draws, "images"
    elif control is not None:
        raise UserError(f"{place} has no predictions.npz to set a control beside: give task.run=FOLDER of a matrix run")
    else:
        images = None
        draws = list(clustering.perturbed(matrix.sat, matrix.error, draws=runs, seed=config.seed))
        changed = "sampling error"
    title = f"What {matrix.name} says of its {len(matrix.models)} models"
    with recorded(config, title) as recording:
        tables, found = analysed(
            matrix.sat, draws, changed, pairs, None if lacking else known, clusters, refits, config.seed
        )
        tables |= images.tables if images is not None else {}
        tables |= of_groups(matrix.sat, {} if studied is None else studied.summary, config.seed)
        if pairs is None:
            tables["pairs"] = stated_pairs(matrix)
        found |= {"findings": sentences(tables, found), "warnings": cautions, "measured": str(place)}
        drawn = recording.finish(found, tables, studied=studied)
    show(tables, recording.summary)
    printing.console().print(f"report: {drawn.page}", soft_wrap=True)


def components_of(matrix: Matrix, file: str | None, studied: Run | None) -> pd.DataFrame:
    """The components of the matrix's models, models × components: of a file, of the run, or of the model files."""
    if file is not None:
        return of_file(Path(file))
    of_run = None if studied is None else studied.checked_table("components")
    if of_run is not None:
        return of_run.set_index("model")
    stated = {name: dict(model.components) for name, model in compare.of_models(matrix.models).items()}
    return pd.DataFrame.from_dict(stated, orient="index")


def of_file(file: Path) -> pd.DataFrame:
    """The components that a CSV file states, models × components, both at most as many as can be analysed."""
    table = matrices.read(file, "a table of components, a row a model").rename(index=aliases(CONF))
    if table.index.has_duplicates:
        raise UserError(f"{file} has {table.index[table.index.duplicated()][0]} twice: leave one of them out")
    if len(table.columns) > MOST_COMPONENTS:
        raise UserError(f"{file} has {len(table.columns)} columns: give at most {MOST_COMPONENTS} components")
    for component, column in table.items():
        if fault := next((text for text in column if not text.isprintable() or len(text) > matrices.LONGEST), None):
            raise UserError(
                f"{file} has {fault[:40]!r} as {component}: give words of at most {matrices.LONGEST} letters"
            )
    return table


def check_predictions(run: Run, known: Predictions, pairs: pd.DataFrame) -> None:
    """UserError where predictions are not of the models in `pairs`, or lack what a pair is scored on."""
    place, labels = run.folder / "predictions.npz", run.summary["settings"]["labels"]
    if set(known.names) != {*pairs["model_a"], *pairs["model_b"]}:
        raise UserError(f"{place} is of other models than tables/pairs: run its command again")
    if labels == "truth" and known.labels is None:
        raise UserError(f"{place} has no labels, and settings.labels is truth: run its command again")
    measured = pairs.dropna(subset="sat")
    ways = {*zip(measured["model_a"], measured["model_b"], strict=True)}
    if lacking := sorted((ways | {(b, a) for a, b in ways}) - known.adversarial.keys()):
        raise UserError(f"{place} has no answers of {' to '.join(lacking[0][::-1])}: run its command again")
    for (source, target), answers in known.adversarial.items():
        asked = slice(None) if labels != "truth" else known.clean[source] == known.labels
        if (answers[asked] < 0).any():
            raise UserError(f"{place} lacks answers of {target} to {source}: run its command again")


@dataclass(frozen=True)
class OfImages:
    """What needs the predictions for every image: SAT matrices of other draws of images, and tables."""

    draws: list[pd.DataFrame]
    tables: dict[str, pd.DataFrame]


def of_images(
    settings: dict[str, Any],
    pairs: pd.DataFrame,
    known: Predictions,
    noise: pd.DataFrame | None,
    runs: int,
    seed: int,
) -> OfImages:
    """Other images instead of these, fewer of them, and what the models have in common without a gradient.

    settings: those of the run; noise: the table of `of_control`.
    """
    how = {"compare": settings["labels"], "floor": settings["score"]["floor"]}
    drawn = clustering.resampled(known, **how, resamples=runs, seed=seed)
    draws = [draw.rename(index=aliases(CONF), columns=aliases(CONF)) for draw in drawn]
    tables = {"sample_size": sampling.rank_stability(known, **how, repeats=runs, seed=seed)}
    beside = agreement.agreement(known.names, known.labels, known.clean).drop(columns="images")
    measures = [name for name in agreement.MEASURES if beside[name].notna().any()]
    if noise is not None:
        beside = beside.merge(noise, on=["model_a", "model_b"])
        measures.append("noise_sat")
    given = ["accuracy_mean", "accuracy_gap"] if known.labels is not None else []
    both = pairs[["model_a", "model_b", "images", "sat"]].merge(beside, on=["model_a", "model_b"])
    tables |= {"controls": both, "controls_and_sat": relations.relation(both, measures, given)}
    return OfImages(draws, tables)


def of_control(control: Run, attacked: Predictions, measured: dict[str, Any]) -> pd.DataFrame:
    """model_a, model_b, noise_sat, noise_rate_ab and noise_rate_ba: what `similarity.score` gives for the perturbations
    of another run of the same images, which on one canvas do not depend on the model they were made for.

    UserError where that run lacks a model, or is of other images.
    """
    noisy, summary, place = control.predictions(), control.summary, control.folder
    if noisy is None:
        raise UserError(f"{place} holds no predictions.npz: give task.control=FOLDER of a run with attack=noise")
    control.require("dataset.digest", "attack.name", "attack.epsilon", "settings.labels")
    same_images = len(noisy.clean[noisy.names[0]]) == len(attacked.clean[attacked.names[0]])
    if summary["dataset"]["digest"] != measured["dataset"]["digest"] or not same_images:
        raise UserError(f"{place} is of other images than the matrix: run it with the same dataset settings")
    if summary["attack"]["name"] != "noise":
        raise UserError(f"{place} was made with attack={summary['attack']['name']}: give a run with attack=noise")
    of = {facts["attack"]["epsilon"] for facts in (summary, measured)}
    if len(of) > 1 or summary["settings"]["labels"] != measured["settings"]["labels"]:
        raise UserError(f"{place} has another epsilon or labels= than the matrix: give both runs the same")
    if measured["settings"]["protocol"] != "canvas":
        raise UserError("noise is a control on one canvas only: measure the matrix with protocol=canvas")
    if lacking := [name for name in attacked.names if (name, name) not in noisy.adversarial]:
        raise UserError(f"{place} lacks {lacking[0]}: run it with the matrix's pool=")
    seen = {(a, b): noisy.adversarial[b, b] for a in attacked.names for b in attacked.names}
    scored = similarity.score(
        Predictions(attacked.names, attacked.labels, attacked.clean, seen),
        dict.fromkeys(attacked.names, ""),
        compare=measured["settings"]["labels"],
        floor=measured["settings"]["score"]["floor"],
    )
    columns = {"sat": "noise_sat", "transfer_rate_ab": "noise_rate_ab", "transfer_rate_ba": "noise_rate_ba"}
    return scored.rename(columns=columns)[["model_a", "model_b", *columns.values()]]


def stated_pairs(matrix: Matrix) -> pd.DataFrame:
    """The pairs of a matrix that comes without any: SAT with its interval, the families of models that have a file."""
    known = {name: str(model.family) for name, model in compare.of_models(matrix.models).items()}
    rows, columns = np.triu_indices(len(matrix.models))
    names = np.array(matrix.models, object)
    sat, error = (part.to_numpy()[rows, columns] for part in (matrix.sat, matrix.error))
    table = pd.DataFrame({"model_a": names[rows], "model_b": names[columns]})
    for side in "ab":
        table[f"family_{side}"] = table[f"model_{side}"].map(known).fillna("unknown")
    rates = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]
    missing = dict.fromkeys(["images", "fooled_ab", "fooled_ba", *rates], np.nan)
    half = ndtri(0.975) * error
    return table.assign(**missing, sat=sat, sat_low=sat - half, sat_high=np.minimum(sat + half, np.log(100)))


def of_groups(sat: pd.DataFrame, summary: dict[str, Any], seed: int) -> dict[str, pd.DataFrame]:
    """Pairs of one architecture beside all others, where the run's models declare to which `group` they belong."""
    models = summary.get("models", {})
    stated = models.items() if isinstance(models, dict) else ()
    declared = {name: facts["group"] for name, facts in stated if "group" in facts and name in sat.index}
    if not declared:
        return {}
    groups = pd.DataFrame.from_dict(declared, orient="index").reindex(sat.index)
    found = regimes.regimes(sat, groups, seed=seed)
    return {"regimes": found.averages, "regime_tests": found.tests, "regime_pairs": found.pairs}


def analysed(
    sat: pd.DataFrame,
    draws: Sequence[pd.DataFrame],
    changed: str,
    pairs: pd.DataFrame | None,
    components: pd.DataFrame | None,
    clusters: int | None,
    refits: int,
    seed: int,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The tables of an analysis, and its few numbers and sentences; `draws`: the matrix of other draws of images, or
    with other errors, as `changed` says."""
    left = structure.without_hubs(sat)
    most = max(min(clustering.MOST, len(sat) // 2), clusters or 2)
    plain = clustering.stability(sat, draws, changed=changed, most=most, seed=seed)
    corrected = clustering.stability(
        left.affinity, (structure.without_hubs(draw).affinity for draw in draws), changed=changed, most=most, seed=seed
    )
    chosen, chosen_left = clusters or plain.recommended, clusters or corrected.recommended
    hubs = structure.hubness(sat)
    drawn = {"classical": embedding.classical(sat), "t-SNE": embedding.tsne(sat, seed=seed)}
    tables = {
        "clusters": pd.DataFrame(
            {
                "model": sat.index,
                "cluster": clustering.spectral(sat, chosen, seed=seed).to_numpy(),
                "without_hubs": clustering.spectral(left.affinity, chosen_left, seed=seed),
                "tree": clustering.hierarchy(sat).cut(chosen).to_numpy(),
            }
        ),
        "cluster_stability": pd.concat(
            [plain.by_clusters.assign(matrix="SAT"), corrected.by_clusters.assign(matrix="without hubs")]
        ),
        "consensus": pd.concat(
            [
                together(plain.consensus[chosen]).assign(matrix="SAT"),
                together(corrected.consensus[chosen_left]).assign(matrix="without hubs"),
            ]
        ),
        "embedding": pd.concat([place.points.assign(method=method) for method, place in drawn.items()]),
        "embedding_quality": pd.DataFrame([{"method": method} | place.quality for method, place in drawn.items()]),
        "nearest": structure.nearest(sat),
        "hubs": hubs.models.merge(left.effects, on="model"),
        "pairs_without_hubs": left.pairs,
    }
    if pairs is not None:
        directed = structure.directed(pairs)
        tables |= {"directed": directed.models, "asymmetric": directed.asymmetric}
    if components is not None and len(sat) >= 10:
        weight = importance.importance(sat, components, refits=refits, seed=seed)
        tables |= {
            "importance": weight.components,
            "importance_fits": weight.fits,
            "importance_groups": weight.groups,
        }
    return tables, {
        "clusters": {"SAT": plain.reason, "without hubs": corrected.reason},
        "hubs": {"skewness": hubs.skewness, "expected": hubs.expected, "explained": left.explained},
    }


def together(consensus: pd.DataFrame) -> pd.DataFrame:
    """model_a, model_b, share: the pairs of a consensus matrix."""
    rows, columns = np.triu_indices(len(consensus), 1)
    names = consensus.index.to_numpy()
    shares = consensus.to_numpy()[rows, columns]
    return pd.DataFrame({"model_a": names[rows], "model_b": names[columns], "share": shares})


def sentences(tables: dict[str, pd.DataFrame], found: dict[str, Any]) -> list[str]:
    """What was found, in words."""
    hubs = found["hubs"]
    often = ", ".join(tables["hubs"].sort_values("occurrences", ascending=False)["model"].head(3))
    said = [
        *(f"Clusters of {matrix}: {reason}." for matrix, reason in found["clusters"].items()),
        f"Hubs: {hubs['explained']:.0%} of the variance of SAT is the models' own; how often a model is among others' "
        f"nearest has skewness {hubs['skewness']:.2f} (by chance {hubs['expected']:.2f}); most often {often}.",
    ]
    if "importance" in tables:
        first, second = tables["importance"]["component"].head(2).str.replace("_", " ")
        unseen = tables["importance"].sort_values("shuffled", ascending=False)["component"].iloc[0].replace("_", " ")
        said.append(
            f"Of the components {first} weighs most in the paper's measure, then {second}; for models left out "
            f"{unseen}."
        )
    for test in tables.get("regime_tests", pd.DataFrame()).itertuples():
        said.append(
            f"SAT of pairs of “{test.higher}” exceeds that of “{test.lower}” by {test.difference:.2f}, "
            f"p = {test.p:.2g} ({test.arrangements:,} {'' if test.exact else 'random '}arrangements of the labels)."
        )
    return said


def show(tables: dict[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    console = printing.console()
    console.print(summary["title"], soft_wrap=True)
    for sentence in summary["findings"]:
        console.print(sentence, soft_wrap=True)
    table = Table("cluster", "models", title="clusters of SAT", title_justify="left")
    for number, members in tables["clusters"].groupby("cluster")["model"]:
        table.add_row(str(number), ", ".join(members))
    console.print(table)
    table = Table("model A", "model B", title="more alike than their hubs explain", title_justify="left")
    for heading in ("SAT", "expected", "residual"):
        table.add_column(heading, justify="right")
    for pair in tables["pairs_without_hubs"].head(5).itertuples():
        numbers = f"{pair.sat:.2f}", f"{pair.expected:.2f}", f"{pair.residual:+.2f}"
        table.add_row(str(pair.model_a), str(pair.model_b), *numbers)
    console.print(table)
    if "regimes" in tables:
        table = Table("pairs of", title="architecture, initialisation and recipe", title_justify="left")
        for heading in ("pairs", "mean SAT", "95 %", "least", "most"):
            table.add_column(heading, justify="right")
        for row in tables["regimes"].itertuples():
            interval = f"{results.number(row.low, '.2f')} to {results.number(row.high, '.2f')}"
            table.add_row(
                str(row.kind), str(row.pairs), f"{row.mean:.2f}", interval, f"{row.least:.2f}", f"{row.most:.2f}"
            )
        console.print(table)
    if "controls_and_sat" in tables:
        table = Table("measure", "given", title="SAT and what needs no gradient", title_justify="left")
        for heading in ("rank correlation", "95 %", "p"):
            table.add_column(heading, justify="right")
        for row in tables["controls_and_sat"].itertuples():
            numbers = f"{row.spearman:.2f}", f"{row.low:.2f} to {row.high:.2f}", f"{row.p:.3f}"
            table.add_row(str(row.measure), str(row.given), *numbers)
        console.print(table)
    if "importance" in tables:
        table = Table(Column("component", no_wrap=True), title="components and similarity", title_justify="left")
        for heading in ("importance (paper's)", "models left out", "p alone", "p, others equal"):
            table.add_column(heading, justify="right")
        for row in tables["importance"].itertuples():
            weights = (row.importance, row.shuffled, row.p_alone, row.p_given_others)
            table.add_row(str(row.component), *(f"{weight:.3f}" for weight in weights))
        console.print(table)
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
