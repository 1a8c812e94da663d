"""The measurement itself: which models, in which order, by which process, and what to do when one fails."""

import gc
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, get_args

import numpy as np
from filelock import Timeout
from omegaconf import DictConfig

from sat_exp import models
from sat_exp.datasets import ImageSet
from sat_exp.datasets.canvas import Canvas
from sat_exp.errors import UserError
from sat_exp.measurement.progress import progress
from sat_exp.measurement.stages import Stages
from sat_exp.measurement.subjects import Direction, Measured, Source, Subject, reason
from sat_exp.measurement.views import View, Views
from sat_exp.modules.hardware import Hardware
from sat_exp.settings import plain
from sat_exp.settings.configuration import Labels, Protocol
from sat_exp.store import Damaged, Store, Unwritable, key_of

log = logging.getLogger(__name__)

Item = TypeVar("Item", DictConfig, Subject)
Result = TypeVar("Result")


@dataclass
class Measurement:
    """Measures models on `images` under `attack`, with everything random drawn from `seed`.

    labels: which images are attacked, and compared: `truth`, those classified as labelled; `consensus` and `own`, all
    of them. The attack always leads away from the model's own clean prediction, which under `truth` is the label.
    protocol: `canvas`, all models on the image set's canvas; `native`, each on its own resize, crop and input size, its
    adversarial images resized to the target's input size.
    """

    images: ImageSet
    attack: Any
    store: Store
    hardware: Hardware
    seed: int
    labels: str = "truth"
    protocol: str = "canvas"
    timings: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in (("labels", get_args(Labels)), ("protocol", get_args(Protocol))):
            if (chosen := getattr(self, name)) not in allowed:
                raise UserError(f"{name}={chosen}: choose one of {', '.join(allowed)}")
        if self.labels == "truth" and self.images.labels is None:
            raise UserError(
                f"the data set {self.images.name} has no labels: give labels=consensus (images on which two models "
                "agree) or labels=own (all images, each model's own prediction for the label)"
            )

    @cached_property
    def views(self) -> Views:
        return Views(self.images, self.protocol, self.store, self.hardware)

    @cached_property
    def stages(self) -> Stages:
        return Stages(self.views, self.attack, self.store, self.hardware, self.seed, self.labels)

    def run(self, configs: Sequence[DictConfig], directions: Collection[Direction] | None = None) -> Measured:
        """Attack every source of `directions` and show its adversarial images to the target; what is damaged is
        computed again.

        directions: (source, target) names, all pairs of `configs` by default; a source's own predictions are always
        made. A model that fails is left out and named in `failures`; UserError where nothing is left.
        """
        names = [config.name for config in configs]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise UserError(
                f"{', '.join(sorted(repeated))} is named twice: give each model once, or another model.name"
            )
        for config in configs:
            check_labels(config, configs[0], self.images, self.labels)
        wanted = {(a, b) for a in names for b in names} if directions is None else set(directions)
        wanted |= {(source, source) for source, _ in wanted}
        return self.mending(lambda: self.once(configs, wanted))

    def mending(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, done again where it finds stored files damaged: they are then missing, and are made.

        UserError where a file is damaged again.
        """
        named: set[str] = set()
        with self.store.in_use():
            while True:
                try:
                    return work()
                except Damaged as damage:
                    if damage.reason in named:
                        again = "again after it was computed again: the disk cannot be trusted"
                        raise UserError(f"{damage.reason}, {again}") from damage
                    found = {damage.reason, *self.damaged()}
                for reason in sorted(found - named):
                    log.warning("%s: it is computed again", reason)
                named |= found

    def damaged(self) -> list[str]:
        """Check all that was opened so far: one damaged file is seldom alone."""
        return [line for array in self.store.arrays() for line in array.damaged()]

    def once(self, configs: Sequence[DictConfig], wanted: set[Direction]) -> Measured:
        for record in (self.stages.warnings, self.timings, self.failures):
            record.clear()
        sources = {source for source, _ in wanted}
        with self.timed("images"):
            views = self.decode(configs)
        with self.timed("attack"), progress("attack", len(sources) * len(self.images)) as bar:

            def attack(config: DictConfig) -> Subject:
                model, view = models.load(config), views[config.name]
                if config.name not in sources:
                    return self.stages.clean(model, config, view)
                return self.stages.attacked(model, config, view, bar)

            facts = key_of(self.stages.attack_facts() | {"seed": self.seed})
            subjects = self.share(configs, attack, lambda config: ("attack", key_of(plain(config)), facts))
        with self.timed("transfer"):
            jobs = self.jobs(subjects, wanted)
            with progress("transfer", sum(len(source.rows) for of in jobs.values() for source in of)) as bar:
                self.share(
                    subjects,
                    lambda target: self.stages.evaluate(target, jobs[target.name], bar),
                    lambda target: ("evaluate", target.fingerprint, target.view.pixels.key),
                )
        with self.timed("read back"):
            return self.read_back(subjects, wanted)

    def decode(self, configs: Sequence[DictConfig]) -> dict[str, View]:
        """The view of the image set that each model has, by its name; the pixels of each canvas are decoded once."""
        canvases: dict[str, Canvas] = {}
        for config in configs:
            with self.attempt(config.name):
                canvases[config.name] = self.views.canvas(config)
        views = {canvas: self.views.view(canvas) for canvas in dict.fromkeys(canvases.values())}
        return {name: views[canvas] for name, canvas in canvases.items()}

    def jobs(self, subjects: Sequence[Subject], wanted: set[Direction]) -> dict[str, list[Source]]:
        """For each target the sources whose adversarial images it is to be shown."""
        attacked = [subject for subject in subjects if isinstance(subject, Source)]
        return {
            target.name: [source for source in attacked if (source.name, target.name) in wanted] for target in subjects
        }

    def read_back(self, subjects: Sequence[Subject], wanted: set[Direction]) -> Measured:
        left = [subject for subject in subjects if subject.name not in self.failures]
        predictions = {
            (source.name, target.name): self.predicted(source, target)
            for target in left
            for source in self.jobs(left, wanted)[target.name]
        }
        by_name = {subject.name: subject for subject in left}
        between = [source != target for source, target in wanted]
        if self.failures and not any(a != b or not any(between) for a, b in predictions):
            reasons = [f"{name} failed: {reason}" for name, reason in self.failures.items()]
            raise UserError("; ".join(reasons) if len(reasons) > 1 else next(iter(self.failures.values())))
        return Measured(
            models=left,
            predictions=predictions,
            reference={(a, b): self.seen(by_name[a], by_name[b]) for a, b in predictions},
            failures=dict(self.failures),
            timings=self.timings,
            warnings=list(self.stages.warnings),
        )

    def predicted(self, source: Source, target: Subject) -> np.ndarray:
        return source.of_all_images(self.stages.predictions(source, target).read_all())

    def seen(self, source: Subject, target: Subject) -> np.ndarray:
        """What `target` predicts for the clean images as `source` sees them."""
        if source.view.digest == target.view.digest:
            return target.clean
        return self.stages.clean_predictions(source.view, target).read_all().astype(np.int64)

    def share(
        self,
        items: Sequence[Item],
        work: Callable[[Item], Result],
        lock: Callable[[Item], tuple[str, ...]],
    ) -> list[Result]:
        """`work` on each item under its lock: what no other process holds first, the largest model first of all; then
        the rest, waiting for it. In the order of `items`, without those that failed."""
        results: dict[int, Result] = {}
        order = sorted(range(len(items)), key=lambda position: -(getattr(items[position], "parameters", None) or 0))
        for patience in (0, -1):
            for position in order:
                item = items[position]
                if position in results or item.name in self.failures:
                    continue
                try:
                    with self.store.lock(*lock(item), timeout=patience), self.attempt(item.name):
                        results[position] = work(item)
                except Timeout:
                    continue
        return [results[position] for position in sorted(results)]

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Note why one model fails, so that the others go on; damage and a full disk concern them all.

        The error itself is not kept: its traceback holds the model and all that was computed with it.
        """
        try:
            yield
            return
        except (Damaged, Unwritable):
            raise
        except Exception as error:
            log.error("%s failed: %s", name, reason(error), exc_info=None if isinstance(error, UserError) else error)
            self.failures[name] = reason(error)
        gc.collect()  # Lightning's trainer and module refer to each other

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.timings[stage] = time.perf_counter() - started


def check_labels(config: DictConfig, first: DictConfig, images: ImageSet, labels: str) -> None:
    """UserError for a model whose classes cannot be compared with those of the image set, or of the `first` model."""
    if labels == "truth" and config.label_space != images.label_space:
        raise UserError(
            f"model {config.name} predicts {config.label_space}, the data set {images.name} is labelled "
            f"{images.label_space}: choose a fitting dataset= or model="
        )
    if labels == "truth" and config.classes != len(images.class_names):
        raise UserError(
            f"model {config.name} has {config.classes} classes, the data set {images.name} {len(images.class_names)}: "
            "correct model.classes, or choose a fitting dataset="
        )
    if labels == "consensus" and config.label_space != first.label_space:
        raise UserError(
            f"model {config.name} predicts {config.label_space}, {first.name} {first.label_space}: they can never "
            "agree; give labels=own"
        )
