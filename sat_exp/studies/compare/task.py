"""task=compare: how well a measured matrix agrees with a published one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from rich.table import Column, Table

from sat_exp import runs
from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases
from sat_exp.settings.types import FileName, FilePath
from sat_exp.studies.compare import comparison
from sat_exp.studies.compare.comparison import Comparison, Matrix
from sat_exp.tasks import composing, printing, results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.report import chosen

ASIDE = "mean = std = 0.5"
"""What the models set aside have in common: an attack that takes every model's normalisation for ImageNet's is weaker
on them, which seems to be how the published matrix was made."""

WORDS = {
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "pearson_ceiling": "Pearson at most, by errors",
    "offset": "{measured} minus {reference}",
    "slope": "slope of {measured} on {reference}",
    "mean_absolute_difference": "mean absolute difference",
    "centred_absolute_difference": "the same, offset removed",
    "same_nearest": "models with the same nearest",
    "nearest_overlap": "overlap of the five nearest",
    "white_box_measured": "white-box success, {measured}",
    "white_box_reference": "white-box success, {reference}",
}


def check(config: DictConfig, *, run: str | None, **_: Any) -> None:
    comparison.read(Path(config.reference), config.reference_images, config.score.floor)
    given(config, run, config.reference_images)


def run(config: DictConfig, *, name: FileName, run: FilePath | None) -> None:
    """Compare, write the run's folder (tables, figure, summary), mirror it to W&B and print what was found."""
    images = config.reference_images
    other_names = aliases(CONF)
    reference = comparison.read(Path(config.reference), images, config.score.floor).renamed(other_names)
    place, studied, measured, cautions = given(config, run, images)
    of_file = studied is None
    measured = measured.renamed(other_names)
    common = [model for model in measured.models if model in set(reference.models)]
    facts = of_models(common)
    aside = [model for model, known in facts.items() if half_normalised(known)]
    stand_ins = [model for model, known in facts.items() if known.get("stand_in")]
    if stand_ins and not of_file:
        cautions.append(f"stand-ins, other networks than the reference's: {', '.join(stand_ins)}")
    if unknown := [model for model in common if model not in facts]:
        cautions.append(f"models without a file, counted as not of {ASIDE}: {len(unknown)}, such as {unknown[0]}")
    found = comparison.compare(
        measured,
        reference,
        set_aside=aside,
        reason=ASIDE,
        resamples=config.score.resamples,
        confidence=config.score.confidence,
        seed=config.score.seed,
    )
    title = f"SAT of {len(common)} models in {measured.name} and in {reference.name}"
    noted = {
        "measured": str(place),
        "reference": str(config.reference),
        "measured_name": measured.name,
        "reference_name": reference.name,
        "aside": ASIDE,
        "models": common,
        "errors": errors_of(measured.name, reference.name, of_file, images),
        "findings": findings(found, measured.name, reference.name),
        "set_aside": aside,
        "only_measured": sorted(set(measured.models) - set(common)),
        "only_reference": sorted(set(reference.models) - set(common)),
        "warnings": cautions,
    }
    with recorded(config, title) as recording:
        tables = {name: getattr(found, name) for name in ("agreement", "disagreements", "pairs_compared")}
        drawn = recording.finish(noted, tables, studied=studied)
    show(found, recording.summary, drawn.page)


def given(config: DictConfig, run: str | None, images: int) -> tuple[Path, runs.Run | None, Matrix, list[str]]:
    """Where the matrix to study is, the finished run that it is of or None for a CSV file, the matrix, and what to know
    before trusting it; `run`: the folder or the file, None for the newest run; `images`: those behind a file."""
    if run is not None and Path(run).suffix == ".csv":
        return Path(run).absolute(), None, comparison.read(Path(run), images, config.score.floor), []
    studied = chosen(config, run)
    return studied.folder.absolute(), studied, *matrix_of(studied)


def matrix_of(run: runs.Run) -> tuple[Matrix, list[str]]:
    """The matrix of a finished run, and what to know before trusting it."""
    pairs, models = run.table("pairs"), run.table("models")
    if pairs is None:
        raise UserError(
            f"{run.folder} holds no table of pairs: give task.run=FOLDER of a finished matrix run, or a CSV file"
        )
    settings = run.summary.get("settings", {})
    cautions = []
    if models is not None:
        untrained = int((~models["pretrained"].astype(bool)).sum())
        cautions += [f"{untrained} models of the run are untrained"] * bool(untrained)
    labels = settings.get("labels", "truth")
    cautions += [f"the run was scored with labels={labels}, not with true labels"] * (labels != "truth")
    confidence = settings.get("score", {}).get("confidence", 0.95)
    return comparison.of_pairs(run.folder.absolute().name, pairs, confidence), cautions


def of_models(names: Sequence[str]) -> dict[str, DictConfig]:
    """The configurations of those models that have a file."""
    files = set(GlobalHydra.instance().config_loader().get_group_options("model"))
    return {name: composing.stated(name) for name in names if name in files}


def half_normalised(model: DictConfig) -> bool:
    """Whether the model subtracts and divides by 0.5; a stand-in says nothing of what it stands for."""
    values = [value for key in ("mean", "std") for value in (model.get("input") or {}).get(key, [])]
    return bool(values) and all(value == 0.5 for value in values) and not model.get("stand_in")


def errors_of(measured: str, reference: str, of_file: bool, images: int) -> str:
    """Where the standard errors of a comparison come from; of_file: whether `measured` is a file as well."""
    if of_file:
        return f"Standard errors are assumed, for {images:,} images a value in both files."
    return (
        f"The standard errors of {measured} are those of its intervals over images, those of {reference} are assumed, "
        f"for {images:,} images a value."
    )


def findings(found: Comparison, measured: str, reference: str) -> list[str]:
    """The agreement of each group of models in a sentence."""
    said = []
    for group, measures in found.agreement.groupby("group", sort=False):
        row = measures.set_index("measure")
        rank, offset, apart = (row.loc[name] for name in ("spearman", "offset", "mean_absolute_difference"))
        value, low, high = (results.number(rank[name], ".3f") for name in ("value", "low", "high"))
        said.append(
            f"Over {rank['pairs']:,} pairs of {rank['models']} models ({group}) SAT in {measured} and in {reference} "
            f"has a rank correlation of {value} ({low} to {high}); {measured} minus {reference} is "
            f"{offset['value']:+.3f} on average, their mean absolute difference {apart['value']:.3f}, where sampling "
            f"error alone would give {apart['expected']:.3f}."
        )
    return said


def show(found: Comparison, summary: dict[str, Any], page: Path) -> None:
    """Print the measures, a column a group, and the pairs that differ most."""
    console = printing.console()
    console.print(summary["title"], soft_wrap=True)
    console.print(summary["errors"], soft_wrap=True)
    names = {role: summary[f"{role}_name"] for role in ("measured", "reference")}
    for group, measures in found.agreement.groupby("group", sort=False):
        count, pairs = measures[["models", "pairs"]].iloc[0]
        output = Table(title=f"{group}: {count} models, {pairs} pairs", title_justify="left")
        output.add_column()
        for heading in ("value", "interval", "expected", "p"):
            output.add_column(heading, justify="right", no_wrap=True)
        for row in measures.itertuples():
            value = results.number(row.value, ".0f" if row.measure == "same_nearest" else ".3f")
            interval = f"{row.low:.3f} to {row.high:.3f}" if pd.notna(row.low) else ""
            expected, p = (format(number, ".3g") if pd.notna(number) else "" for number in (row.expected, row.p))
            output.add_row(WORDS[str(row.measure)].format(**names), value, interval, expected, p)
        console.print(output)
    largest = Table(
        Column("model A", overflow="fold"),
        Column("model B", overflow="fold"),
        title="largest disagreements (s.e.: standard errors of a difference)",
        title_justify="left",
    )
    for heading in (*names.values(), "difference", "in s.e."):
        largest.add_column(heading, justify="right")
    for row in found.disagreements.itertuples():
        numbers = f"{row.measured:.2f}", f"{row.reference:.2f}", f"{row.difference:+.2f}", f"{row.standard_errors:+.1f}"
        largest.add_row(str(row.model_a), str(row.model_b), *numbers)
    console.print(largest)
    for side in ("measured", "reference"):
        if left := summary[f"only_{side}"]:
            console.print(f"only in {summary[side]}: {len(left)} models ({', '.join(left[:3])}, …)", soft_wrap=True)
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
    console.print(f"report: {page}", soft_wrap=True)
