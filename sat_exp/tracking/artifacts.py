"""What a run is made from and what it made, as W&B artifacts with lineage.

type         name                  holds                                               of the run
data         data-<set>-<digest>   the table of images with the hash of each           input
adversarial  adversarial-<label>   where the adversarial images are stored, and how
                                   the attack went on each model; no pixels            output
predictions  predictions-<label>   predictions.npz                                     output
matrix       matrix-<label>        tables, figures, examples, report and summary       output
study        study-<label>         the same of a study                                 output
results      results-<label>       the same of a run without pairs                     output

Labels come from `label`. A version is a new content: the same files again are the same version. A study uses the
matrix that it is about: that artifact is made again from the folder studied, and equal files have an equal digest, by
which the server knows the version that the measurement logged.

W&B draws artifact → run → artifact. Adversarial images, predictions and matrix are made by one run, so its graph has
them side by side behind data; which of them was made from which is in their metadata, `made_from`: names with digests.
"""

import re
from collections.abc import Mapping
from typing import Any

import wandb

from sat_exp.runs import Run

LONGEST = 128
TIME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
RESULTS = ("tables/", "figures/", "examples/", "report.html", "summary.json")
HOW_IT_WENT = ("model", "attacked", "fooled", "white_box_success", "mean_linf", "mean_l2", "changed_pixels")
RECORDED = ("title", "command", "attack", "dataset", "choices")


def lineage(client: wandb.Run, run: Run) -> None:
    """Declare what the run used, then log what it made, each with what it was made from."""
    images, studied = data(run), matrix_studied(run)
    for used in (images, studied):
        if used is not None:
            use(client, used)
    before = images
    for made in (adversarial(run), predictions(run), results(run)):
        if made is not None:
            made.metadata["made_from"] = {source.name: source.digest for source in (before, studied) if source}
            client.log_artifact(made)
            before = made


def use(client: wandb.Run, artifact: wandb.Artifact) -> None:
    """Send an artifact along as an input of the run. W&B's `use_artifact` refuses to do so offline, and online waits
    for the server however long; what it calls does neither."""
    client._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def data(run: Run) -> wandb.Artifact | None:
    """The images a measurement was made on, by identifier, label and hash of content."""
    artifact = named("data", dataset_label(run), run.summary.get("dataset", {}))
    return filled(artifact, run, ("tables/images.",))


def adversarial(run: Run) -> wandb.Artifact | None:
    """Two tables: what of the store is adversarial images, and how the attack went on each model."""
    store, models = run.table("store"), run.table("models")
    if store is None or models is None:
        return None
    stored = store.query("kind == 'adversarial'")
    known = [column for column in HOW_IT_WENT if column in models]
    artifact = described("adversarial", run)
    for name, table in {"store": stored, "models": models[known]}.items():
        with artifact.new_file(f"{name}.csv") as file:
            table.to_csv(file, index=False)
    return artifact if len(stored) else None


def predictions(run: Run) -> wandb.Artifact | None:
    return filled(described("predictions", run), run, ("predictions.npz",))


def results(run: Run) -> wandb.Artifact | None:
    """A run's tables, figures and page."""
    kind = "study" if run.measured else "matrix" if run.table("pairs") is not None else "results"
    return filled(described(kind, run), run, RESULTS)


def matrix_studied(run: Run) -> wandb.Artifact | None:
    """The results of the run that this one is a study of, or the CSV file of a matrix; None for what is no study, and
    where that is gone."""
    if run.studied is not None:
        return results(run.studied)
    if run.measured is None or not run.measured.is_file():
        return None
    artifact = named("matrix", run.measured.stem, {})
    artifact.add_file(str(run.measured), name=run.measured.name, skip_cache=True)
    return artifact


def label(run: Run) -> str:
    """A name for what a run made that does not change with the time: the run's own, in which a time of day gives way to
    what it was made from. So attack/2026-01-02_03-04-05 is attack/fashion_mnist-00ff12ab."""
    name = str(run.summary.get("name") or run.folder.absolute().name)
    if run.studied is not None:
        source = label(run.studied)
    else:
        source = run.measured.stem if run.measured else dataset_label(run)
    return TIME.sub(lambda _: source, name)


def dataset_label(run: Run) -> str:
    """The data set's name and the beginning of its images' digest."""
    dataset = run.summary.get("dataset", {})
    return "-".join(part for part in (str(dataset.get("name", "")), str(dataset.get("digest", ""))[:8]) if part)


def described(kind: str, run: Run) -> wandb.Artifact:
    kept = {key: run.summary[key] for key in RECORDED if key in run.summary}
    return named(kind, label(run), kept)


def named(kind: str, name: str, metadata: Mapping[str, Any]) -> wandb.Artifact:
    """An empty artifact; of a long name the end is kept, where sweeps have a digest."""
    allowed = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return wandb.Artifact(f"{kind}-{allowed[len(kind) + 1 - LONGEST :]}", type=kind, metadata=dict(metadata))


def filled(artifact: wandb.Artifact, run: Run, beginnings: tuple[str, ...]) -> wandb.Artifact | None:
    """The artifact with those files of the run whose names begin so; None where there are none."""
    names = [name for name in run.files if name.startswith(beginnings)]
    with run.copied(names) as place:
        for name in names:
            artifact.add_file(str(place / name), name=name, skip_cache=True)
    return artifact if names else None
