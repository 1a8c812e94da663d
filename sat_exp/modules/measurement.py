"""The measurement itself: clean outputs, adversarial images and transfer predictions of any models on one image set.

Every piece is computed once and found in the store ever after; a pair, a row and the whole matrix are the same pieces.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning import LightningModule
from omegaconf import DictConfig
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.data import DataLoader

from sat_exp import models
from sat_exp.attacks.norms import perturbation_norms
from sat_exp.datasets import ImageSet
from sat_exp.datasets.canvas import Canvas
from sat_exp.errors import UserError, one_line
from sat_exp.models import Model, preflight
from sat_exp.modules.batches import Ahead, AttackBatches, EvaluationBatches
from sat_exp.modules.evaluation import Evaluation
from sat_exp.modules.generation import Generation
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.writing import ChunkWriter
from sat_exp.store import Damaged, Store, StoredArray, Unwritable

log = logging.getLogger(__name__)

PROTOCOLS = ("canvas", "native")
LABELS = ("truth", "consensus", "own")
PREFLIGHT_IMAGES = 8


Item = TypeVar("Item", DictConfig, "Subject")
Result = TypeVar("Result")

Advance = Callable[[int], None]
Direction = tuple[str, str]


def ignore(images: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class View:
    """The image set on one canvas: the digest that names it in every key, and its pixels uint8 [N, C, H, W]."""

    digest: str
    pixels: StoredArray


@dataclass(frozen=True)
class Subject:
    """A model whose clean outputs are known: logits float32 [N, classes] of the images of `view`; clean, the classes
    int64 [N] where they are largest.

    labelled: whether its classes are those of the image set.
    """

    name: str
    family: str
    pretrained: bool
    parameters: int
    components: dict[str, Any]
    fingerprint: str
    config: DictConfig
    labelled: bool
    view: View
    clean: np.ndarray
    logits: StoredArray


@dataclass(frozen=True)
class Source(Subject):
    """A model that has been attacked. rows: the images attacked, int64 [N']; adversarial: uint8 [N', C, H, W]."""

    rows: np.ndarray
    adversarial: StoredArray


@dataclass(frozen=True)
class Measured:
    """What was measured.

    predictions: for each (source, target) the classes, int64 [N], that the target predicts for the source's adversarial
    images, −1 where the source was not attacked. shown: those it predicts for the source's clean images, which differ
    from its own view's where protocols let views differ. failures: the models that could not be measured, and why.
    """

    models: list[Subject]
    predictions: dict[Direction, np.ndarray]
    shown: dict[Direction, np.ndarray]
    failures: dict[str, str]
    timings: dict[str, float]
    warnings: list[str]

    @property
    def sources(self) -> list[Source]:
        return [model for model in self.models if isinstance(model, Source)]


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
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in (("labels", LABELS), ("protocol", PROTOCOLS)):
            if (chosen := getattr(self, name)) not in allowed:
                raise UserError(f"{name}={chosen}: choose one of {', '.join(allowed)}")
        if self.labels == "truth" and self.images.labels is None:
            raise UserError(
                f"the data set {self.images.name} has no labels: give labels=consensus (images on which two models "
                "agree) or labels=own (all images, each model's own prediction for the label)"
            )

    def run(self, configs: Sequence[DictConfig], directions: Collection[Direction] | None = None) -> Measured:
        """Attack every source of `directions` and show its adversarial images to the target; a damaged file is made
        anew.

        directions: (source, target) names, all pairs of `configs` by default; a source's own predictions are always
        made. A model that fails is left out and named in `failures`; its error is raised where nothing is left.
        """
        names = [config.name for config in configs]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise UserError(
                f"{', '.join(sorted(repeated))} is named twice: give each model once, or another model.name"
            )
        wanted = {(a, b) for a in names for b in names} if directions is None else set(directions)
        wanted |= {(source, source) for source, _ in wanted}
        named: set[str] = set()
        while True:
            try:
                return self.once(configs, wanted)
            except Damaged as damage:
                if str(damage) in named:
                    raise UserError(f"{damage}, again after it was made anew: the disk cannot be trusted") from damage
                named.add(str(damage))
                log.warning("%s: it is computed again", damage)

    def once(self, configs: Sequence[DictConfig], wanted: set[Direction]) -> Measured:
        for record in (self.warnings, self.timings, self.failures):
            record.clear()
        sources = {source for source, _ in wanted}
        with self.timed("images"):
            views = self.decode(configs)
        with self.timed("attack"), self.progress("attack", len(sources) * len(self.images)) as bar:
            subjects = self.share(
                configs,
                lambda config: self.claim(config, configs[0], views[config.name], config.name in sources, bar),
            )
        with self.timed("transfer"):
            jobs = self.jobs(subjects, wanted)
            with self.progress("transfer", sum(len(source.rows) for of in jobs.values() for source in of)) as bar:
                self.share(subjects, lambda target: (
                    self.store.lock("evaluate", target.fingerprint, target.view.digest),
                    lambda: self.evaluate(target, jobs[target.name], bar),
                ))  # fmt: skip
        with self.timed("read back"):
            return self.read_back(subjects, wanted)

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
            raise self.nothing_left()
        return Measured(
            models=left,
            predictions=predictions,
            shown={(a, b): self.seen(by_name[a], by_name[b]) for a, b in predictions},
            failures={name: reason(error) for name, error in self.failures.items()},
            timings=self.timings,
            warnings=self.warnings,
        )

    def nothing_left(self) -> Exception:
        """The error of the one model that failed, or one line for several."""
        if len(self.failures) == 1:
            return next(iter(self.failures.values()))
        return UserError("; ".join(f"{name} failed: {reason(error)}" for name, error in self.failures.items()))

    @cached_property
    def contents(self) -> list[str]:
        """The SHA-256 of every image's content."""
        with ThreadPoolExecutor(self.hardware.workers) as pool:
            return list(pool.map(self.images.contents, range(len(self.images))))

    def digest(self, canvas: Canvas) -> str:
        """SHA-256 over how pixels are made, and every image's content and label, in order."""
        digest = hashlib.sha256(f"{canvas.recipe} {canvas.shape} {self.images.class_names}".encode())
        labels = self.images.labels if self.images.labels is not None else [None] * len(self.images)
        for content, label in zip(self.contents, labels, strict=True):
            digest.update(f"{content} {label}".encode())
        return digest.hexdigest()

    def canvas(self, config: DictConfig) -> Canvas:
        """The canvas on which a model is measured."""
        if self.protocol == "canvas":
            return self.images.canvas
        own = models.preprocessing(config)
        return Canvas.native(own.size, own.crop, own.interpolation, self.images.canvas.mode)

    def decode(self, configs: Sequence[DictConfig]) -> dict[str, View]:
        """The view of the image set that each model has, by its name; the pixels of each canvas are decoded once."""
        canvases: dict[str, Canvas] = {}
        for config in configs:
            with self.attempt(config.name):
                canvases[config.name] = self.canvas(config)
        views = {canvas: self.view(canvas) for canvas in dict.fromkeys(canvases.values())}
        return {name: views[canvas] for name, canvas in canvases.items()}

    def view(self, canvas: Canvas) -> View:
        images, digest = self.images.on(canvas), self.digest(canvas)
        pixels = self.store.open(
            "images",
            {"images": digest},
            shape=(len(images), *images.shape),
            dtype="uint8",
            chunk=self.hardware.batch_size,
            name=images.name,
        )
        pixels.verify()

        def make(chunk: int) -> None:
            span = pixels.span(chunk)
            pixels.write(chunk, np.stack([images.read(index) for index in range(span.start, span.stop)]))

        with self.store.lock("images", digest), ThreadPoolExecutor(self.hardware.workers) as pool:
            missing = pixels.missing()
            with self.progress("decode", len(missing)) as bar:
                for _ in pool.map(make, missing):
                    bar(1)
        return View(digest, pixels)

    def check_labels(self, config: DictConfig, first: DictConfig) -> None:
        """Refuse a model whose classes cannot be compared with the image set's, or with the other models'."""
        if self.labels == "truth" and config.label_space != self.images.label_space:
            raise UserError(
                f"model {config.name} predicts {config.label_space}, the data set {self.images.name} is labelled "
                f"{self.images.label_space}: choose a fitting dataset= or model="
            )
        if self.labels == "consensus" and config.label_space != first.label_space:
            raise UserError(
                f"model {config.name} predicts {config.label_space}, {first.name} {first.label_space}: they can never "
                "agree; give labels=own"
            )

    def claim(
        self, config: DictConfig, first: DictConfig, view: View, attacked: bool, bar: Advance
    ) -> tuple[FileLock, Callable[[], Subject]]:
        self.check_labels(config, first)
        model = models.load(config)
        lock = self.store.lock("attack", model.fingerprint, view.digest, repr(self.attack_facts()))
        return lock, lambda: self.attack_one(model, config, view, bar) if attacked else self.look(model, config, view)

    def attack_facts(self) -> dict[str, Any]:
        """What determines the adversarial images beside the model and the clean images."""
        return {
            "attack": type(self.attack).__name__,
            "version": self.attack.version,
            "numbers": asdict(self.attack),
            "seed": self.seed,
            "protocol": self.protocol,
            "precision": self.hardware.numerics,
        }

    def look(self, model: Model, config: DictConfig, view: View) -> Subject:
        """Clean logits of all images."""
        known = self.images.labels if config.label_space == self.images.label_space else None
        classes = config.classes if known is None else len(self.images.class_names)
        logits = self.store.open(
            "logits",
            {"images": view.digest, "model": model.fingerprint, "precision": self.hardware.numerics},
            shape=(len(self.images), classes),
            dtype="float32",
            chunk=view.pixels.chunk,
            name=model.name,
        )
        with self.store.lock("logits", model.fingerprint, view.digest):
            if logits.missing():
                few = torch.from_numpy(view.pixels.read(0)[:PREFLIGHT_IMAGES])
                logits.note(warnings=preflight.check(model, few, classes))
                batches = EvaluationBatches([(view.pixels, logits)])
                self.predict(Evaluation(model.classifier, logits=True), batches, ignore)
        self.warnings += [f"{model.name}: {warning}" for warning in logits.notes["warnings"]]
        clean = logits.read_all().argmax(axis=1)
        if known is not None:
            preflight.check_accuracy(model, clean, known, classes)
        return Subject(
            name=model.name,
            family=model.family,
            pretrained=model.pretrained,
            parameters=model.parameters,
            components=self.components(model, config),
            fingerprint=model.fingerprint,
            config=config,
            labelled=known is not None,
            view=view,
            clean=clean,
            logits=logits,
        )

    def components(self, model: Model, config: DictConfig) -> dict[str, Any]:
        try:
            return models.components_of(config, model.classifier.network)
        except UserError as error:
            self.warnings.append(f"{model.name}: {error}")
            return {}

    def attack_one(self, model: Model, config: DictConfig, view: View, bar: Advance) -> Source:
        """Adversarial images of everything the model gets right, or of every image where its own prediction counts."""
        subject = self.look(model, config, view)
        clean, pixels = subject.clean, view.pixels
        rows = np.flatnonzero(clean == self.images.labels) if self.labels == "truth" else np.arange(len(clean))
        adversarial = self.store.open(
            "adversarial",
            {
                "images": view.digest,
                "model": model.fingerprint,
                "rows": hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
            }
            | self.attack_facts(),
            shape=(len(rows), *pixels.array.shape[1:]),
            dtype="uint8",
            chunk=self.hardware.batch_size,
            name=f"{model.name} {type(self.attack).__name__}",
        )
        seeds = [(self.seed, int(self.contents[row][:16], 16)) for row in rows]
        work = AttackBatches(pixels, adversarial, rows, clean[rows], seeds)
        adversarial.verify()
        if len(work):
            started = time.perf_counter()
            self.predict(Generation(model.classifier, self.attack), work, bar)
            if work.images() >= adversarial.notes.get("images", 0):
                adversarial.note(seconds=time.perf_counter() - started, images=work.images())
        if len(rows) and "mean_linf" not in adversarial.notes:
            adversarial.note(**norms(pixels, rows, adversarial))
        bar(len(self.images) - work.images())
        return Source(**vars(subject), rows=rows, adversarial=adversarial)

    def output(self, source: Source, target: Subject) -> StoredArray:
        """Where the classes that `target` predicts on the source's adversarial images are kept: int32 [N']."""
        return self.store.open(
            "predictions",
            {
                "adversarial": source.adversarial.path.name,
                "target": target.fingerprint,
                "precision": self.hardware.numerics,
            },
            shape=(len(source.rows),),
            dtype="int32",
            chunk=len(source.rows),
            name=f"{source.name} -> {target.name}",
        )

    def evaluate(self, target: Subject, sources: Sequence[Source], bar: Advance) -> None:
        """Run `target` on all adversarial images that it has not seen, loading it once; and, clean, on other views."""
        jobs = [(source.adversarial, self.output(source, target)) for source in sources]
        views = {source.view.digest: source.view for source in sources if source.view.digest != target.view.digest}
        clean = EvaluationBatches([(view.pixels, self.clean_output(view, target)) for view in views.values()])
        batches = EvaluationBatches(jobs)
        if len(batches) + len(clean):
            module = Evaluation(models.load(target.config).classifier, logits=False)
            self.predict(module, clean, ignore)
            self.predict(module, batches, bar)
        bar(sum(images.rows for images, _ in jobs) - batches.images())

    def clean_output(self, view: View, target: Subject) -> StoredArray:
        """Where the classes that `target` predicts for the clean images of another's view are kept: int32 [N]."""
        return self.store.open(
            "clean",
            {"images": view.digest, "target": target.fingerprint, "precision": self.hardware.numerics},
            shape=(len(self.images),),
            dtype="int32",
            chunk=len(self.images),
            name=f"clean -> {target.name}",
        )

    def seen(self, source: Subject, target: Subject) -> np.ndarray:
        """What `target` predicts for the clean images as `source` sees them."""
        if source.view.digest == target.view.digest:
            return target.clean
        return self.clean_output(source.view, target).read_all().astype(np.int64)

    def predict(self, module: LightningModule, batches: AttackBatches | EvaluationBatches, advance: Advance) -> None:
        """Lightning's predict loop over `batches`, each written to the store as it is done."""
        trainer = self.hardware.trainer(
            callbacks=[ChunkWriter(advance)], inference_mode=False, enable_progress_bar=False
        )
        if self.hardware.channels_last:
            module.to(memory_format=torch.channels_last)
        trainer.predict(module, DataLoader(Ahead(batches), batch_size=None), return_predictions=False)

    def predicted(self, source: Source, target: Subject) -> np.ndarray:
        everywhere = np.full(len(self.images), -1, dtype=np.int64)
        everywhere[source.rows] = self.output(source, target).read_all()
        return everywhere

    def share(
        self, items: Sequence[Item], claim: Callable[[Item], tuple[FileLock, Callable[[], Result]]]
    ) -> list[Result]:
        """The work that `claim` gives for each item, done under its lock: what no other process holds first, the
        largest model first of all; then the rest, waiting for it. In the order of `items`, without those that failed.
        """
        results: dict[int, Result] = {}
        order = sorted(range(len(items)), key=lambda position: -(getattr(items[position], "parameters", None) or 0))
        for patience in (0, -1):
            for position in order:
                item = items[position]
                if position in results or item.name in self.failures:
                    continue
                with self.attempt(item.name):
                    lock, work = claim(item)
                    try:
                        with lock.acquire(timeout=patience):
                            results[position] = work()
                    except Timeout:
                        continue
        return [results[position] for position in sorted(results)]

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Note the failure of one model, so that the others go on; damage and a full disk concern them all."""
        try:
            yield
        except (Damaged, Unwritable):
            raise
        except Exception as error:
            log.error("%s failed: %s", name, reason(error), exc_info=None if isinstance(error, UserError) else error)
            self.failures[name] = error

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.timings[stage] = time.perf_counter() - started

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        counts = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description:<9}"), BarColumn(), *counts) as progress:
            task = progress.add_task(label, total=total)
            yield lambda images: progress.advance(task, images)


def norms(pixels: StoredArray, rows: np.ndarray, adversarial: StoredArray) -> dict[str, float]:
    """Means over the images of the stored bytes' `perturbation_norms`."""
    parts = [
        perturbation_norms(pixels.gather(rows[adversarial.span(chunk)]), adversarial.read(chunk))
        for chunk in range(adversarial.chunks)
    ]
    return {f"mean_{key}": float(np.concatenate([part[key] for part in parts]).mean()) for key in parts[0]}


def reason(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
