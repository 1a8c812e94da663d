"""task=compare: how well a measured matrix agrees with a published one."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sat_exp.names import CONF, aliases
from sat_exp.settings.types import Existing, FileName
from sat_exp.similarity import matrices
from sat_exp.similarity.comparison import compare
from sat_exp.similarity.matrices import Matrix
from sat_exp.studies.compare import findings
from sat_exp.tasks import results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.studied import model_files, studied

ASIDE = "mean = std = 0.5"
"""What the models set aside have in common. An attack that uses ImageNet's normalisation for every model is weaker on
them, which seems to be how the published matrix was made."""


def check(config: DictConfig, *, run: str | None, **_: Any) -> None:
    matrices.read(Path(config.reference), config.reference_images, config.score.floor)
    studied(config, run, config.reference_images)


def run(config: DictConfig, *, name: FileName, run: Existing | None) -> None:
    """Compare, write the run's folder, mirror it to W&B and print the findings."""
    images = config.reference_images
    reference = matrices.read(Path(config.reference), images, config.score.floor).renamed(aliases(CONF))
    study = studied(config, run, images)
    measured = study.matrix
    common = [model for model in measured.models if model in set(reference.models)]
    files = model_files(common)
    aside = [model for model, file in files.items() if half_normalised(file)]
    score = config.score
    resampling = {"resamples": score.resamples, "confidence": score.confidence, "seed": score.seed}
    tables = compare(measured, reference, set_aside=aside, reason=ASIDE, **resampling)
    title = f"SAT of {len(common)} models in {measured.name} and in {reference.name}"
    facts = {
        "measured": str(study.path),
        "reference": str(config.reference),
        "measured_name": measured.name,
        "reference_name": reference.name,
        "aside": ASIDE,
        "models": common,
        "errors": findings.source_of_errors(measured.name, reference.name, study.run is None, images),
        "findings": findings.sentences(tables, measured.name, reference.name),
        "set_aside": aside,
        "only_measured": sorted(set(measured.models) - set(common)),
        "only_reference": sorted(set(reference.models) - set(common)),
        "warnings": study.cautions + cautions(common, files, study.run is None) + missing(measured, reference),
    }
    with recorded(config, title) as recording:
        drawn = recording.finish(facts, tables, studied=study.run)
    results.show(recording.summary, findings.printed(tables, recording.summary), drawn.page)


def missing(measured: Matrix, reference: Matrix) -> list[str]:
    """How many models only one of the two matrices has."""
    texts = []
    for one, other in ((measured, reference), (reference, measured)):
        if rest := sorted(set(one.models) - set(other.models)):
            texts.append(f"only in {one.name}: {len(rest)} models ({', '.join(rest[:3])}{', …' * (len(rest) > 3)})")
    return texts


def half_normalised(model: DictConfig) -> bool:
    """Whether the model's mean and standard deviation are 0.5; False for a stand-in, whose original may differ."""
    values = [value for key in ("mean", "std") for value in (model.get("input") or {}).get(key, [])]
    return bool(values) and all(value == 0.5 for value in values) and not model.get("stand_in")


def cautions(common: list[str], files: dict[str, DictConfig], of_file: bool) -> list[str]:
    """Cautions about the common models; of_file: whether the measured matrix is a CSV file."""
    texts = []
    stand_ins = [model for model, file in files.items() if file.get("stand_in")]
    if stand_ins and not of_file:
        texts.append(f"stand-ins, other networks than the reference's: {', '.join(stand_ins)}")
    if unknown := [model for model in common if model not in files]:
        texts.append(f"models without a file, counted as not of {ASIDE}: {len(unknown)}, such as {unknown[0]}")
    return texts
