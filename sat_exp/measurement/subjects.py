"""Views of the image set, the models that have been measured on them, and the result of a measurement."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sat_exp.datasets import ImageSet
from sat_exp.datasets.canvas import Canvas
from sat_exp.models import Candidate
from sat_exp.modules.clock import Seconds
from sat_exp.modules.hardware import Hardware
from sat_exp.progress import progress
from sat_exp.similarity import Predictions
from sat_exp.similarity.measures import Outputs
from sat_exp.store import Store, StoredArray

Direction = tuple[str, str]  # the names of a source and a target


@dataclass(frozen=True)
class Facts:
    """The facts about images that need no pixels. Fields as in `ImageSet`; contents: the SHA-256, in hex, of each."""

    label_space: str | None
    class_names: tuple[str, ...]
    labels: np.ndarray | None
    contents: list[str]


@dataclass(frozen=True)
class View:
    """The image set on one canvas. pixels: uint8 [N, C, H, W]; digest: the SHA-256 of those."""

    pixels: StoredArray

    @cached_property
    def digest(self) -> str:
        return self.pixels.digest


@dataclass
class Views:
    """Views of `images` under a protocol: `canvas`, the image set's own for all models; `native`, each model's own."""

    images: ImageSet
    protocol: str
    store: Store
    hardware: Hardware

    @cached_property
    def contents(self) -> list[str]:
        """The SHA-256, in hex, of every image's content."""
        with ThreadPoolExecutor(self.hardware.workers) as pool:
            return list(pool.map(self.images.contents, range(len(self.images))))

    @property
    def facts(self) -> Facts:
        return Facts(self.images.label_space, self.images.class_names, self.images.labels, self.contents)

    @property
    def digest(self) -> str:
        """SHA-256 over the set's canvas and classes, and every image's content and label, in order."""
        canvas, images = self.images.canvas, self.images
        digest = hashlib.sha256(f"{canvas.recipe} {canvas.shape} {images.class_names}".encode())
        labels = images.labels if images.labels is not None else [None] * len(images)
        for content, label in zip(self.contents, labels, strict=True):
            digest.update(f"{content} {label}".encode())
        return digest.hexdigest()

    def canvas(self, candidate: Candidate) -> Canvas:
        """The canvas on which a model is measured."""
        if self.protocol == "canvas":
            return self.images.canvas
        own = candidate.preprocessing
        return Canvas.native(own.size, own.crop, own.interpolation, self.images.canvas.mode)

    def view(self, canvas: Canvas) -> View:
        """The images on `canvas`, decoded where they are not stored yet."""
        images = self.images.on(canvas)
        pixels = self.store.open(
            "images",
            {"canvas": asdict(canvas), "contents": hashlib.sha256("".join(self.contents).encode()).hexdigest()},
            shape=(len(images), *images.shape),
            dtype="uint8",
            chunk=self.hardware.chunk,
            name=images.name,
        )

        def make(chunk: int) -> int:
            span = pixels.span(chunk)
            pixels.write(chunk, np.stack([images.read(index) for index in range(span.start, span.stop)]))
            return pixels.length(chunk)

        with self.store.lock("images", pixels.key), ThreadPoolExecutor(self.hardware.workers) as pool:
            missing = pixels.missing()
            if missing:
                pixels.note_versions(self.hardware.versions)
            with progress("decode", len(images)) as advance:
                advance(len(images) - sum(pixels.length(chunk) for chunk in missing))
                for done in pool.map(make, missing):
                    advance(done)
        return View(pixels)


@dataclass(frozen=True)
class Techniques:
    """The techniques with which a model computes, by name, and what was measured of all; none for exact numerics. See
    `sat_exp.numerics`."""

    attack: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A model with its clean logits, float32 [N, classes], for the images of `view`. clean: the classes with the
    largest logits, int64 [N]. labelled: whether its classes are those of the image set. image_seconds: the time of one
    image in a forward pass, 0 where it was not measured."""

    candidate: Candidate
    parameters: int
    components: dict[str, Any]
    fingerprint: str
    labelled: bool
    view: View
    clean: np.ndarray
    logits: StoredArray
    image_seconds: float
    techniques: Techniques
    warnings: list[str]

    @property
    def name(self) -> str:
        return self.candidate.name


@dataclass(frozen=True)
class Source(Subject):
    """A model that has been attacked on the images `rows`, int64 [N']. adversarial: uint8 [N', C, H, W]. goals: the
    classes that a targeted attack leads them to, int64 [N'], or None."""

    rows: np.ndarray
    adversarial: StoredArray
    goals: np.ndarray | None

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the adversarial images."""
        return self.adversarial.digest

    def of_all_images(self, classes: np.ndarray) -> np.ndarray:
        """Classes of the attacked images, int [N'], as those of all images, int64 [N]: −1 where none was attacked."""
        everywhere = np.full(len(self.clean), -1, dtype=np.int64)
        everywhere[self.rows] = classes
        return everywhere


@dataclass(frozen=True)
class Measured:
    """The result of a measurement.

    predictions: by (source, target), the classes that the target predicts for the source's adversarial images, int64
    [N], −1 where the source was not attacked. reference: those that it predicts for the same images before the attack,
    in the source's view. failures: the reason for each model that could not be measured. timings: seconds by stage.
    seconds: by model and activity, see `clock`. outputs: what was computed for measures alone, by model and kind.
    """

    models: list[Subject]
    predictions: dict[Direction, np.ndarray]
    reference: dict[Direction, np.ndarray]
    failures: dict[str, str]
    timings: dict[str, float]
    seconds: Seconds
    warnings: list[str]
    outputs: dict[tuple[str, Outputs], StoredArray] = field(default_factory=dict)

    @property
    def sources(self) -> list[Source]:
        return [model for model in self.models if isinstance(model, Source)]

    def predicted(self, labels: np.ndarray | None) -> Predictions:
        """All predicted classes, for scores; `labels`: the true classes, int64 [N], None where they are unknown."""
        clean = {model.name: model.clean for model in self.models}
        goals = {model.name: model.of_all_images(model.goals) for model in self.sources if model.goals is not None}
        return Predictions(list(clean), labels, clean, self.predictions, self.reference, goals)
