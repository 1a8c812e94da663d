"""The measurement itself: clean outputs, adversarial images and transfer predictions of any models on one image set.

Every piece is computed once and found in the store ever after; a pair, a row and the whole matrix are the same pieces.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning import LightningModule
from omegaconf import DictConfig
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.data import DataLoader, Dataset

from sat_exp import models
from sat_exp.attacks.norms import perturbation_norms
from sat_exp.datasets import ImageSet
from sat_exp.errors import UserError
from sat_exp.models import Model, preflight
from sat_exp.modules.evaluation import Evaluation, EvaluationBatches
from sat_exp.modules.generation import AttackBatches, Generation
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.writing import ChunkWriter
from sat_exp.store import Damaged, Store, StoredArray

log = logging.getLogger(__name__)

PROTOCOL = "canvas"
PREFLIGHT_IMAGES = 8

Item = TypeVar("Item")
Result = TypeVar("Result")

Advance = Callable[[int], None]


def ignore(images: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Source:
    """A model that has been attacked.

    clean: predicted classes int64 [N]. rows: the N' images it gets right, int64 [N']. adversarial: their adversarial
    versions, uint8 [N', C, H, W].
    """

    name: str
    family: str
    pretrained: bool
    parameters: int
    fingerprint: str
    config: DictConfig
    clean: np.ndarray
    rows: np.ndarray
    adversarial: StoredArray


@dataclass(frozen=True)
class Measured:
    """What was measured of some sources: predictions maps (source, target) to predicted classes int64 [N], −1 where the
    source was not attacked."""

    sources: list[Source]
    predictions: dict[tuple[str, str], np.ndarray]
    pixels: StoredArray
    timings: dict[str, float]
    warnings: list[str]


@dataclass
class Measurement:
    """Measures models on `images` under `attack`, with everything random drawn from `seed`."""

    images: ImageSet
    attack: Any
    store: Store
    hardware: Hardware
    seed: int
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def run(self, configs: Sequence[DictConfig]) -> Measured:
        """Attack every model and evaluate every model on every adversarial image; a damaged file is made anew."""
        names = [config.name for config in configs]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise UserError(
                f"{', '.join(sorted(repeated))} is named twice: give each model once, or another model.name"
            )
        for config in configs:
            if config.label_space != self.images.label_space:
                raise UserError(
                    f"model {config.name} predicts {config.label_space}, the data set {self.images.name} is labelled "
                    f"{self.images.label_space}: choose a fitting dataset= or model="
                )
        named: set[str] = set()
        while True:
            try:
                return self.once(configs)
            except Damaged as damage:
                if str(damage) in named:
                    raise UserError(f"{damage}, again after it was made anew: the disk cannot be trusted") from damage
                named.add(str(damage))
                log.warning("%s: it is computed again", damage)

    def once(self, configs: Sequence[DictConfig]) -> Measured:
        self.warnings.clear()
        self.timings.clear()
        with self.timed("images"):
            self.digest = self.hash_images()
            self.pixels = self.decode()
        with self.timed("attack"), self.progress("attack", len(configs) * len(self.images)) as bar:
            sources = self.attack_all(configs, bar)
        with self.timed("transfer"):
            total = sum(len(source.rows) for source in sources) * len(sources)
            with self.progress("transfer", total) as bar:
                share(sources, lambda target: (
                    self.store.lock("evaluate", target.fingerprint, self.digest),
                    lambda: self.evaluate(target, sources, bar),
                ))  # fmt: skip
        with self.timed("read back"):
            return Measured(
                sources=sources,
                predictions={(a.name, b.name): self.predicted(a, b) for a in sources for b in sources},
                pixels=self.pixels,
                timings=self.timings,
                warnings=self.warnings,
            )

    def hash_images(self) -> str:
        """SHA-256 over how pixels are made, and every image's content and label, in order."""
        digest = hashlib.sha256(f"{self.images.recipe} {self.images.shape} {self.images.class_names}".encode())
        with ThreadPoolExecutor(self.hardware.workers) as pool:
            self.contents = list(pool.map(self.images.contents, range(len(self.images))))
        for content, label in zip(self.contents, self.images.labels, strict=True):
            digest.update(f"{content} {label}".encode())
        return digest.hexdigest()

    def decode(self) -> StoredArray:
        """The pixels of the image set, uint8 [N, C, H, W], decoded once."""
        pixels = self.store.open(
            "images",
            {"images": self.digest},
            shape=(len(self.images), *self.images.shape),
            dtype="uint8",
            chunk=self.hardware.batch_size,
            name=self.images.name,
        )
        pixels.verify()

        def make(chunk: int) -> None:
            span = pixels.span(chunk)
            pixels.write(chunk, np.stack([self.images.read(index) for index in range(span.start, span.stop)]))

        with self.store.lock("images", self.digest), ThreadPoolExecutor(self.hardware.workers) as pool:
            missing = pixels.missing()
            with self.progress("decode", len(missing)) as bar:
                for _ in pool.map(make, missing):
                    bar(1)
        return pixels

    def attack_all(self, configs: Sequence[DictConfig], bar: Advance) -> list[Source]:
        """The sources, in the order of `configs`."""

        def claim(config: DictConfig) -> tuple[FileLock, Callable[[], Source]]:
            model = models.load(config)
            lock = self.store.lock("attack", model.fingerprint, self.digest, repr(self.attack_facts()))
            return lock, lambda: self.attack_one(model, config, bar)

        return share(configs, claim)

    def attack_facts(self) -> dict[str, Any]:
        """What determines the adversarial images beside the model and the clean images."""
        return {
            "attack": type(self.attack).__name__,
            "version": self.attack.version,
            "numbers": asdict(self.attack),
            "seed": self.seed,
            "protocol": PROTOCOL,
            "precision": self.hardware.precision,
        }

    def attack_one(self, model: Model, config: DictConfig, bar: Advance) -> Source:
        """Clean logits, then adversarial images of everything the model gets right."""
        classes = len(self.images.class_names)
        logits = self.store.open(
            "logits",
            {"images": self.digest, "model": model.fingerprint, "precision": self.hardware.precision},
            shape=(len(self.images), classes),
            dtype="float32",
            chunk=self.pixels.chunk,
            name=model.name,
        )
        with self.store.lock("logits", model.fingerprint, self.digest):
            if logits.missing():
                few = self.pixels.read(0)[:PREFLIGHT_IMAGES]
                labels = torch.from_numpy(self.images.labels[: len(few)])
                logits.note(warnings=preflight.check(model, torch.from_numpy(few), labels, classes))
                batches = EvaluationBatches([(self.pixels, logits)])
                self.predict(Evaluation(model.classifier, logits=True), batches, ignore)
        self.warnings += logits.notes["warnings"]
        clean = logits.read_all().argmax(axis=1)
        preflight.check_accuracy(model, clean, self.images.labels, classes)
        rows = np.flatnonzero(clean == self.images.labels)
        adversarial = self.store.open(
            "adversarial",
            {
                "images": self.digest,
                "model": model.fingerprint,
                "rows": hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
            }
            | self.attack_facts(),
            shape=(len(rows), *self.images.shape),
            dtype="uint8",
            chunk=self.hardware.batch_size,
            name=f"{model.name} {type(self.attack).__name__}",
        )
        seeds = [(self.seed, int(self.contents[row][:16], 16)) for row in rows]
        work = AttackBatches(self.pixels, adversarial, rows, self.images.labels[rows], seeds)
        adversarial.verify()
        if len(work):
            started = time.perf_counter()
            self.predict(Generation(model.classifier, self.attack), work, bar)
            if work.images() >= adversarial.notes.get("images", 0):
                adversarial.note(seconds=time.perf_counter() - started, images=work.images())
        if len(rows) and "mean_linf" not in adversarial.notes:
            adversarial.note(**self.norms(rows, adversarial))
        bar(len(self.images) - work.images())
        return Source(
            name=model.name,
            family=model.family,
            pretrained=model.pretrained,
            parameters=model.parameters,
            fingerprint=model.fingerprint,
            config=config,
            clean=clean,
            rows=rows,
            adversarial=adversarial,
        )

    def output(self, source: Source, target: Source) -> StoredArray:
        """Where the classes that `target` predicts on the source's adversarial images are kept: int32 [N']."""
        return self.store.open(
            "predictions",
            {
                "adversarial": source.adversarial.path.name,
                "target": target.fingerprint,
                "precision": self.hardware.precision,
            },
            shape=(len(source.rows),),
            dtype="int32",
            chunk=len(source.rows),
            name=f"{source.name} -> {target.name}",
        )

    def evaluate(self, target: Source, sources: Sequence[Source], bar: Advance) -> None:
        """Run `target` on all adversarial images that it has not seen, loading it once."""
        jobs = [(source.adversarial, self.output(source, target)) for source in sources]
        batches = EvaluationBatches(jobs)
        if len(batches):
            model = models.load(target.config)
            self.predict(Evaluation(model.classifier, logits=False), batches, bar)
        bar(sum(images.rows for images, _ in jobs) - batches.images())

    def predict(self, module: LightningModule, batches: Dataset, advance: Advance) -> None:
        """Lightning's predict loop over `batches`, each written to the store as it is done."""
        trainer = self.hardware.trainer(
            callbacks=[ChunkWriter(advance)], inference_mode=False, enable_progress_bar=False
        )
        trainer.predict(module, DataLoader(batches, batch_size=None), return_predictions=False)

    def predicted(self, source: Source, target: Source) -> np.ndarray:
        everywhere = np.full(len(self.images), -1, dtype=np.int64)
        everywhere[source.rows] = self.output(source, target).read_all()
        return everywhere

    def norms(self, rows: np.ndarray, adversarial: StoredArray) -> dict[str, float]:
        """Means over the images of the stored bytes' `perturbation_norms`."""
        parts = [
            perturbation_norms(self.pixels.gather(rows[adversarial.span(chunk)]), adversarial.read(chunk))
            for chunk in range(adversarial.chunks)
        ]
        return {f"mean_{key}": float(np.concatenate([part[key] for part in parts]).mean()) for key in parts[0]}

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


def share(items: Sequence[Item], claim: Callable[[Item], tuple[FileLock, Callable[[], Result]]]) -> list[Result]:
    """The work that `claim` gives for each item, done under its lock: what no other process holds first, then the rest,
    waiting for it."""
    results: dict[int, Result] = {}
    for patience in (0, -1):
        for position, item in enumerate(items):
            if position in results:
                continue
            lock, work = claim(item)
            try:
                with lock.acquire(timeout=patience):
                    results[position] = work()
            except Timeout:
                continue
    return [results[position] for position in range(len(items))]
