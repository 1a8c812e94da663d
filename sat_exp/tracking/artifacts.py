"""What a run is made from and what it made, as W&B artifacts with lineage.

type         name                  holds                                               of the run
data         data-<set>-<digest>   the table of images with the hash of each           input
adversarial  adversarial-<label>   where the adversarial images are stored, and how
                                   the attack went on each model; no pixels            output
predictions  predictions-<label>   predictions.npz                                     output
matrix       matrix-<label>        tables, figures, examples, report and summary       output
study        study-<label>         the same of a study                                 output
results      results-<label>       the same of a run without pairs                     output

Labels come from `folder.label`. A version is a new content: the same files again are the same version. A study uses the
matrix that it is about: that artifact is made again from the folder studied, and equal files have an equal digest, by
which the server knows the version that the measurement logged.

W&B draws artifact → run → artifact. Adversarial images, predictions and matrix are made by one run, so its graph has
them side by side behind data; which of them was made from which is in their metadata, `made_from`: names with digests.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from sat_exp.tracking.folder import dataset_label, label, measured, read_summary, read_tables

LONGEST = 128
RESULTS = ("tables/*", "figures/*", "examples/**/*", "report.html", "summary.json")
HOW_IT_WENT = ("model", "attacked", "fooled", "white_box_success", "mean_linf", "mean_l2", "changed_pixels")
RECORDED = ("title", "command", "attack", "dataset", "choices")


def lineage(client: wandb.Run, folder: Path) -> None:
    """Declare what the run used, then log what it made, each with what it was made from."""
    place = measured(folder)
    images, studied = data(folder), results(place) if place else None
    for used in (images, studied):
        if used is not None:
            use(client, used)
    before = images
    for made in (adversarial(folder), predictions(folder), results(folder)):
        if made is not None:
            made.metadata["made_from"] = {source.name: source.digest for source in (before, studied) if source}
            client.log_artifact(made)
            before = made


def use(client: wandb.Run, artifact: wandb.Artifact) -> None:
    """Send an artifact along as an input of the run. W&B's `use_artifact` refuses to do so offline, and online waits
    for the server however long; what it calls does neither."""
    client._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def data(folder: Path) -> wandb.Artifact | None:
    """The images a measurement was made on, by identifier, label and hash of content."""
    artifact = named("data", dataset_label(folder), read_summary(folder).get("dataset", {}))
    return filled(artifact, folder, ["tables/images.*"])


def adversarial(folder: Path) -> wandb.Artifact | None:
    """Two tables: what of the store is adversarial images, and how the attack went on each model."""
    tables = read_tables(folder)
    if not {"store", "models"} <= set(tables):
        return None
    stored = tables["store"].query("kind == 'adversarial'")
    known = [column for column in HOW_IT_WENT if column in tables["models"]]
    artifact = described("adversarial", folder)
    for name, table in {"store": stored, "models": tables["models"][known]}.items():
        with artifact.new_file(f"{name}.csv") as file:
            table.to_csv(file, index=False)
    return artifact if len(stored) else None


def predictions(folder: Path) -> wandb.Artifact | None:
    return filled(described("predictions", folder), folder, ["predictions.npz"])


def results(folder: Path) -> wandb.Artifact | None:
    """A run's tables, figures and page; of a CSV file of a matrix, that file."""
    if folder.is_file():
        return filled(named("matrix", label(folder), {}), folder.parent, [folder.name])
    kind = "study" if measured(folder) else "matrix" if list(folder.glob("tables/pairs.*")) else "results"
    return filled(described(kind, folder), folder, RESULTS)


def described(kind: str, folder: Path) -> wandb.Artifact:
    summary = read_summary(folder)
    return named(kind, label(folder), {key: summary[key] for key in RECORDED if key in summary})


def named(kind: str, name: str, metadata: Mapping[str, Any]) -> wandb.Artifact:
    """An empty artifact; of a long name the end is kept, where sweeps have a digest."""
    allowed = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return wandb.Artifact(f"{kind}-{allowed[len(kind) + 1 - LONGEST :]}", type=kind, metadata=dict(metadata))


def filled(artifact: wandb.Artifact, folder: Path, patterns: Sequence[str]) -> wandb.Artifact | None:
    """The artifact with those files of the folder that fit; None where there are none."""
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file()):
        artifact.add_file(str(path), name=path.relative_to(folder).as_posix(), skip_cache=True)
    return artifact if artifact.manifest.entries else None
