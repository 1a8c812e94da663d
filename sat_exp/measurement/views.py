"""Views of the image set: its images on a canvas, decoded once and kept in the store."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from sat_exp.datasets import ImageSet
from sat_exp.datasets.canvas import Canvas
from sat_exp.measurement.scheduling import progress
from sat_exp.models import Candidate
from sat_exp.modules.hardware import Hardware
from sat_exp.store import Store, StoredArray


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
            chunk=self.hardware.batch_size,
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
