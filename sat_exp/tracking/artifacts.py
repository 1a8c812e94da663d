"""W&B artifacts of a run and of its sources, with lineage.

type         name                  content                                             of the run
data         data-<set>-<digest>   the table of images with the hash of each           input
adversarial  adversarial-<label>   where the adversarial images are stored, and the
                                   result of the attack on each model; no pixels       output
predictions  predictions-<label>   predictions.npz                                     output
matrix       matrix-<label>        tables, figures, examples, report and summary       output
study        study-<label>         the same of a study                                 output
results      results-<label>       the same of a run without pairs                     output

Equal files have an equal digest and are one version. A study uses the matrix that it studies: its artifact is built
again from the matrix's folder, and the server finds the version that the measurement logged. W&B's graph shows what one
run makes side by side, so the metadata `made_from` of each artifact names its sources with their digests.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from sat_exp.runs import Run

LONGEST = 128
TIME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
RESULTS = ("tables/", "figures/", "examples/", "report.html", "summary.json")
OF_ATTACK = ["model", "attacked", "fooled", "white_box_success", "mean_linf", "mean_l2", "changed_pixels"]
RECORDED = ("title", "command", "attack", "dataset", "choices")


def lineage(client: wandb.Run, run: Run) -> None:
    """Declare the inputs of the run, then log its outputs, each with its sources."""
    images = filled(named("data", dataset_label(run), run.summary.get("dataset", {})), run, ("tables/images.",))
    studied = [made for made in (matrix_studied(run), *map(results, side_by_side(run))) if made]
    for used in filter(None, (images, *studied)):
        # The public `use_artifact` refuses to do this offline, and online waits for the server without limit.
        client._log_artifact(used, is_user_created=True, use_after_commit=True)
    before = images
    predictions = filled(described("predictions", run), run, ("predictions.npz",))
    for made in filter(None, (adversarial(run), predictions, results(run))):
        made.metadata["made_from"] = {source.name: source.digest for source in filter(None, (before, *studied))}
        client.log_artifact(made)
        before = made


def adversarial(run: Run) -> wandb.Artifact | None:
    """Two tables: the stored adversarial images, and the result of the attack on each model."""
    store, models = run.table("store"), run.table("models")
    if store is None or models is None:
        return None
    stored = store.query("kind == 'adversarial'")
    artifact = described("adversarial", run)
    for name, table in {"store": stored, "models": models[OF_ATTACK]}.items():
        with artifact.new_file(f"{name}.csv") as file:
            table.to_csv(file, index=False)
    return artifact if len(stored) else None


def results(run: Run) -> wandb.Artifact | None:
    """The tables, figures and page of a run."""
    if run.measured or run.summary.get("runs"):
        kind = "study"
    else:
        kind = "matrix" if run.table("pairs") is not None else "results"
    return filled(described(kind, run), run, RESULTS)


def matrix_studied(run: Run) -> wandb.Artifact | None:
    """The results of the run that this one is a study of, or the CSV file of a matrix; None for a measurement, and
    where they are gone."""
    if run.studied is not None:
        return results(run.studied)
    if run.measured is None or not run.measured.is_file():
        return None
    artifact = named("matrix", run.measured.stem, {})
    artifact.add_file(str(run.measured), name=run.measured.name, skip_cache=True)
    return artifact


def side_by_side(run: Run) -> list[Run]:
    """The runs that this one sets side by side, without those whose folder is gone; [] for other runs."""
    folders = [Path(one["folder"]) for one in run.summary.get("runs", [])]
    return [Run.open(folder) for folder in folders if folder.is_dir()]


def label(run: Run) -> str:
    """A name that does not depend on the time: that of the run, where its source replaces a time. For instance
    attack/2026-01-02_03-04-05 becomes attack/fashion_mnist-00ff12ab."""
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
    return named(kind, label(run), {key: run.summary[key] for key in RECORDED if key in run.summary})


def named(kind: str, name: str, metadata: Mapping[str, Any]) -> wandb.Artifact:
    """An empty artifact. A long name is cut at the beginning, because sweeps have a digest at the end."""
    allowed = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return wandb.Artifact(f"{kind}-{allowed[len(kind) + 1 - LONGEST :]}", type=kind, metadata=dict(metadata))


def filled(artifact: wandb.Artifact, run: Run, beginnings: tuple[str, ...]) -> wandb.Artifact | None:
    """The artifact with the run's files whose names have these beginnings; None where there are none."""
    names = [name for name in run.files if name.startswith(beginnings)]
    with run.copied(names) as place:
        for name in names:
            artifact.add_file(str(place / name), name=name, skip_cache=True)
    return artifact if names else None
