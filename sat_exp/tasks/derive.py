"""task=derive: networks derived from trained ones, whose lineage is known."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from sat_exp import models
from sat_exp.errors import UserError
from sat_exp.files import write_atomic
from sat_exp.models import Classifier
from sat_exp.models.weights import read_state
from sat_exp.modules import derivation
from sat_exp.modules.derivation import Finish, HeadTraining, Masking, Way
from sat_exp.modules.distillation import Distillation
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.training_images import Source, TrainingImages, check_source
from sat_exp.names import choose, files_of
from sat_exp.report.headline import spread
from sat_exp.settings import build, checked, plain
from sat_exp.settings.types import FileName, FilePath, FolderPath
from sat_exp.store import Store, key_of
from sat_exp.tasks import composing, measuring, pools, printing, results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.training import ACCURACY, SECONDS, Job, Lesson, Setup, Trainings, by_labels, fingerprints_of

POOL = "derived"
GROUPS = "groups.csv"
TEST = "lineage"
INHERITED = (
    "mirror", "shift", "transform", "mixup", "cutmix", "label_smoothing", "label_noise", "shortcut"
)  # fmt: skip
"""Settings of the images that a network learns from; those of the parent count."""

SHOWN = {
    "network": "", "parent": "", "way": "", ACCURACY: ".2%", "parent's_accuracy": ".2%", "zero_weights": ".1%",
    "seconds": ",d",
}  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Derived:
    """A network to derive. label: the name of its way."""

    parent: DictConfig
    label: str
    way: Way

    @property
    def name(self) -> str:
        return f"{self.parent.name}_{self.label}"

    @property
    def group(self) -> dict[str, Any]:
        """That of the network's file: architecture and seed of the parent, and the recipe with the way added to it."""
        stated, training = (plain(self.parent).get(part) or {} for part in ("group", "training"))
        return {
            "architecture": stated.get("architecture", self.parent.name),
            "seed": stated.get("seed", training.get("seed", 0)),
            "recipe": "_".join(filter(None, (stated.get("recipe"), self.label))),
            "parent": self.parent.name,
        }


@dataclass(frozen=True)
class Derivation:
    """The setup of a training that begins with the weights of `parent`, or of a student that it teaches. store: of a
    teacher's logits."""

    parent: DictConfig
    way: Way
    store: Store
    hardware: Hardware

    def __call__(self, job: Job, classifier: Classifier, images: TrainingImages) -> Setup:
        way, network = self.way, classifier.network
        if way.student:
            distillation = Distillation(way.hard, way.weight, way.temperature)
            setup = Lesson(self.parent, distillation, self.store, self.hardware)(job, classifier, images)
            return Setup(setup.begin, setup.batches, finish=Finish(way, {}, {}))
        setup = by_labels(job, classifier, images)
        begin = setup.begin
        state = models.load(self.parent).classifier.network.state_dict()
        network.load_state_dict(state)
        if way.new_head:
            derivation.renew_head(network, way.seed)
            begin = partial(HeadTraining, classifier, job.model.classes, way)
        masks = derivation.prune_smallest(network, way.prune) if way.prune else {}
        return Setup(begin, setup.batches, [Masking(masks)] if masks else [], Finish(way, state, masks))


def check(
    config: DictConfig,
    *,
    training_root: str | None,
    ways: dict[str, dict[str, Any]],
    only: list[str] | None,
    **rest: Any,
) -> None:
    """UserError if the settings do not fit together, and at last if there are no training images."""
    parents = parents_of(config)
    settings = {name: value for name, value in rest.items() if name not in ("name", "directory")}
    checked(Way, settings, "task")
    every = derived(parents, settings, ways, only)
    names = [one.name for one in every] + [parent.name for parent in parents]
    if repeated := sorted(name for name in names if names.count(name) > 1):
        raise UserError(f"two networks are called {repeated[0]}: give the way another name")
    measuring.check(config, parents, images=False)
    check_source(config.dataset, training_root, [one.way.transform for one in every])


def run(
    config: DictConfig,
    *,
    name: FileName,
    directory: FolderPath,
    training_root: FilePath | None,
    ways: Annotated[dict[FileName, dict[str, Any]], Field(min_length=1)],
    only: Annotated[list[FileName], Field(min_length=1)] | None,
    **settings: Annotated[Any, Way],
) -> None:
    """Derive from every model the networks that `directory` lacks; a second process takes the next free one.
    conf/task/derive.yaml explains the settings; `settings` are those of a `Way`, which an entry of `ways` overrides."""
    folder = Path(directory)
    parents = parents_of(config)
    chosen = derived(parents, settings, ways, only)
    source = Source(plain(config.dataset), training_root, config.hardware.workers)
    trainings = Trainings(folder, source, build(config.hardware, "hardware"))
    images, engine, store = trainings.images, build(config.engine, "engine"), Store.at(config.store)
    with recorded(config, f"Derivation of {len(chosen)} networks") as recording:
        fingerprints, failures = fingerprints_of(parents)
        jobs = {
            one.name: job(one, fingerprints[one.parent.name], images.digest, store, trainings.hardware)
            for one in chosen
            if one.parent.name in fingerprints
        }
        failures |= trainings.train(list(jobs.values()), engine, recording.tracked)
        done = [one for one in chosen if one.name in jobs and one.name not in failures]
        if done:
            groups = write_files(folder, done, [written(trainings, one, jobs[one.name]) for one in done])
            table = compared(trainings, done, jobs, fingerprints)
    if done:
        show(table, groups, folder, Path(config.output_dir))
    measuring.refuse(failures, "not derived")


def parents_of(config: DictConfig) -> list[DictConfig]:
    """The chosen models, without those that were derived themselves, such as by an earlier run into the same folder.
    UserError where none is left, and for an untrained one."""
    chosen = composing.models(config)
    parents = [model for model in chosen if "parent" not in (plain(model).get("group") or {})]
    if not parents:
        raise UserError(f"{chosen[0].name} is a derived network: choose the networks to derive from by pool.models=")
    if left := len(chosen) - len(parents):
        log.info("%d derived networks among the chosen models are left out", left)
    for model in parents:
        if not model.pretrained:
            raise UserError(f"model {model.name} is untrained: nothing can be derived from it, give trained weights")
        if model.name in files_of("model") and plain(model) != plain(composing.stated(model.name)):
            raise UserError(f"model {model.name} differs from its file: give it another name, by model.name=")
    return parents


def derived(
    parents: Sequence[DictConfig],
    settings: Mapping[str, Any],
    ways: Mapping[str, Mapping[str, Any]],
    only: Sequence[str] | None,
) -> list[Derived]:
    """Every parent in every way, or in those of the ways that `only` names. The section `training` of a parent's file
    overrides `settings` where they are `INHERITED`, a way overrides both. Each network has a seed of its own, made from
    the stated one and the names of parent and way: with one seed, students of all parents would begin alike."""
    if unknown := [label for label in only or () if label not in ways]:
        raise UserError(f"task.only: there is no way {unknown[0]}: give {choose(unknown[0], ways)}")
    every = []
    for parent in parents:
        stated = plain(parent).get("training") or {}
        known = dict(settings) | {name: stated[name] for name in INHERITED if name in stated}
        for label, changes in ways.items():
            if only is not None and label not in only:
                continue
            own = known | dict(changes)
            seed = int(key_of({"seed": own["seed"], "parent": parent.name, "way": label})[:8], 16)
            way = Way.of(own | {"seed": seed}, f"task.ways.{label}")
            pools.check_name(f"{parent.name}_{label}")
            every.append(Derived(parent, label, way))
    return every


def job(one: Derived, fingerprint: str, images: str, store: Store, hardware: Hardware) -> Job:
    """The training of a derived network. fingerprint: of its parent. images: the digest of the training images."""
    facts = {
        "network": plain(one.parent.network),
        "recipe": one.way.facts(),
        "images": images,
        "parent": {"name": one.parent.name, "fingerprint": fingerprint},
        "way": one.label,
    }
    setup = Derivation(one.parent, one.way, store, hardware)
    return Job(one.name, one.name, one.parent, one.way, facts, setup)


def written(trainings: Trainings, one: Derived, done: Job) -> DictConfig:
    """The configuration of a derived network; its section `training` is that of the parent."""
    training = plain(one.parent).get("training") or {}
    return composing.changed(trainings.trained(done, one.group), training=training)


def write_files(folder: Path, done: Sequence[Derived], files: Sequence[DictConfig]) -> pd.DataFrame:
    """Write the files of the derived networks and of parents from elsewhere, the pool of all lineages there, and
    the groups for task=benchmark, which are returned: of architectures with two parents or more."""
    parents = {one.parent.name: one.parent for one in done}
    known = {*files_of("model"), *(path.stem for path in (folder / "model").glob("*.yaml"))}
    pools.write_models(folder, [*files, *(parent for name, parent in parents.items() if name not in known)])
    table = lineages(folder)
    pools.write_pool(folder, POOL, table["model"].tolist())
    groups = table[table.groupby("stratum")["group"].transform("nunique") > 1]
    if len(groups):
        write_atomic(folder / GROUPS, groups.to_csv(index=False).encode())
    return groups


def lineages(folder: Path) -> pd.DataFrame:
    """The networks in a folder that are derived, after their parents: test, stratum, model, group, as task=benchmark
    takes them. The stratum is the architecture, the group is the parent."""
    rows: list[tuple[str, str, str, str]] = []
    for path in (folder / "model").glob("*.yaml"):
        model: Any = OmegaConf.load(path)
        group = model.get("group") or {}
        if "parent" in group:
            rows += [(TEST, group["architecture"], name, group["parent"]) for name in (group["parent"], path.stem)]
    table = pd.DataFrame(rows, columns=["test", "stratum", "model", "group"]).drop_duplicates()
    return table.sort_values(["stratum", "group", "model"], ignore_index=True)


def compared(
    trainings: Trainings, done: Sequence[Derived], jobs: Mapping[str, Job], fingerprints: Mapping[str, str]
) -> pd.DataFrame:
    """One row per derived network, with the columns `SHOWN`."""
    parents = {one.parent.name: one.parent for one in done}
    accuracies = {name: trainings.tested(parent, fingerprints[name]) for name, parent in parents.items()}
    rows = []
    for one in done:
        record = trainings.record(jobs[one.name])
        zeros = derivation.zero_share(read_state(trainings.weights(jobs[one.name])))
        parent = accuracies[one.parent.name]
        rows.append((one.name, one.parent.name, one.label, record[ACCURACY], parent, zeros, record[SECONDS]))
    return pd.DataFrame(rows, columns=list(SHOWN))


def show(table: pd.DataFrame, groups: pd.DataFrame, folder: Path, outputs: Path) -> None:
    """Print the accuracies of the derived networks and of their parents, and the commands that come next. groups: those
    written for task=benchmark. outputs: the folder of all runs."""
    accuracies = table.groupby("parent")["parent's_accuracy"].first()
    rates = spread(table[ACCURACY])
    changes = (table[ACCURACY] - table["parent's_accuracy"]).groupby(table["way"], sort=False).mean()
    furthest = changes.abs().idxmax()
    findings = [
        f"{len(table)} networks are derived from {len(accuracies)} trained ones.",
        f"They classify {rates} of the test images correctly, their parents {spread(accuracies)}.",
        f"The accuracy changes most by {furthest}: {100 * changes[furthest]:+.1f} percentage points.",
    ]
    results.show({"findings": findings}, [printing.table(f"derived, in {folder}", table, SHOWN)])
    run = "lineage"
    matrix = f"python -m sat_exp -cd {folder} task=matrix pool={POOL} name={run}"
    console = printing.console()
    console.print(f"their similarity: {matrix}", soft_wrap=True)
    if groups.empty:
        console.print("for task=benchmark, derive from two networks of one architecture or more", soft_wrap=True)
        return
    benchmark = f"python -m sat_exp task=benchmark 'task.runs=[{outputs / run}]' task.groups={folder / GROUPS}"
    console.print(f"which measure recognises the lineages: {benchmark}", soft_wrap=True)
