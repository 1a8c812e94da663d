"""Compare the time of measures of similarity over all pairs with that of unshared work and of libraries.

    python benchmarks/measures.py [--models 45] [--images 500] [--features 192] [--classes 10] [--pixels 32] [--peak]

A measure prepares each model once and compares the parts of two. "unshared" prepares both models for every pair.
"library" computes the value of every sample of the jackknife with ckatorch, SciPy, scikit-learn or lm-sim; the time is
that of all images times the number of samples. Times are CPU seconds of one thread, medians of eight models, their
pairs and three turns of a library, for outputs of random networks that have something in common. "all pairs" is for
--models models. Each is prepared once, or "passes" times on average where not all parts fit into memory.

--peak measures the memory instead, in one process per measure. All parts are prepared as for all pairs, but only every
hundredth pair is compared. The resident memory before is subtracted.
"""

import argparse
import multiprocessing
import resource
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations, count
from statistics import median
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from sat_exp.names import files_of
from sat_exp.settings import build
from sat_exp.similarity.measures import Measure, Transfers
from sat_exp.similarity.over_images import samples
from sat_exp.similarity.over_pairs import HELD, compared, size

TIMED = 8  # models
PLANES, POINTS, GRADIENTS, COMMON = 25, 225, 100, 32
EVERY = 100  # one pair of so many is compared where memory is measured


@dataclass(frozen=True)
class Outputs:
    """Outputs of random networks; the same in every call."""

    images: int
    features: int
    classes: int
    pixels: int

    def __str__(self) -> str:
        sizes = f"{self.images:,} images, {self.features} features, {self.classes} classes"
        return f"{sizes}, {self.pixels}² pixels"

    @property
    def labels(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, self.classes, self.images)

    def of(self, kind: str, model: int) -> Any:
        """What a measure of a `kind` needs of a model."""
        rng = np.random.default_rng([1, model])
        if kind == "features":
            common = np.random.default_rng(0).standard_normal((self.images, COMMON), np.float32)
            noise = rng.standard_normal((self.images, self.features), np.float32)
            return np.maximum(noise + common @ rng.standard_normal((COMMON, self.features), np.float32), 0)
        if kind == "gradients":
            return rng.standard_normal((GRADIENTS, 3, self.pixels, self.pixels), np.float32).astype(np.float16)
        if kind == "boundaries":
            return rng.integers(0, 3, (PLANES, POINTS), np.int32)
        logits = rng.standard_normal((self.images, self.classes), np.float32)
        logits[np.arange(self.images), self.labels] += rng.gamma(2, 2, self.images)
        predicted = logits.argmax(axis=1)
        if kind == "transfers":
            fooled = (predicted + 1) % self.classes
            return Transfers(predicted, predicted, np.where(rng.random(self.images) < 0.3, fooled, predicted))
        return logits if kind == "logits" else predicted


def libraries(labels: np.ndarray) -> dict[str, tuple[Callable[[Any, Any], Any], int]]:
    """By measure, its value by a library, and the number of values that an interval needs."""
    import torch
    from ckatorch.core import cka_base
    from lmsim.metrics import CAPA
    from scipy.linalg import svdvals
    from scipy.spatial.distance import jensenshannon, pdist
    from scipy.special import softmax
    from scipy.stats import spearmanr
    from sklearn.neighbors import NearestNeighbors

    torch.set_num_threads(1)

    def aligned(a: Any, b: Any, unbiased: bool) -> Any:
        return cka_base(*(torch.from_numpy(each).double() for each in (a, b)), "linear", unbiased, "fro_norm")

    def neighbours(a: Any, b: Any) -> Any:
        search = NearestNeighbors(n_neighbors=10, metric="cosine")
        one, other = (search.fit(each).kneighbors(return_distance=False) for each in (a, b))
        return [len(np.intersect1d(*rows)) for rows in zip(one, other, strict=True)]

    def rotated(a: Any, b: Any) -> Any:
        one, other = (each - each.mean(axis=0, dtype=np.float64) for each in (a, b))
        return svdvals(one.T @ other).sum()

    jackknife = len(samples(len(labels)))
    return {
        "cka": (partial(aligned, unbiased=False), jackknife),
        "debiased_cka": (partial(aligned, unbiased=True), jackknife),
        "procrustes": (rotated, jackknife),
        "knn": (neighbours, jackknife),
        "mutual_knn": (neighbours, jackknife),
        "rsa": (lambda a, b: spearmanr(pdist(a, "correlation"), pdist(b, "correlation")), jackknife),
        "capa": (lambda a, b: CAPA().compute_k([*softmax(a, axis=1)], [*softmax(b, axis=1)], [*labels]), jackknife),
        "jensen_shannon": (lambda a, b: jensenshannon(softmax(a, axis=1), softmax(b, axis=1), axis=1), 1),
    }


def seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def timed(measure: Measure, outputs: Outputs) -> tuple[float, float, float, int]:
    """The seconds of a model, of a pair, and of a pair with the preparation of both models; and the bytes of a part."""
    given = [outputs.of(measure.kind, model) for model in range(TIMED)]
    labels, parts = outputs.labels, [measure.prepare(each) for each in given]
    a_model = median(seconds(partial(measure.prepare, each)) for each in given)
    pairs = [*combinations(range(TIMED), 2)]
    a_pair = median(seconds(partial(measure.compute, parts[a], parts[b], labels, 0.95)) for a, b in pairs)
    unshared = median(seconds(partial(measure.value, given[a], given[b], labels, 0.95)) for a, b in pairs[:TIMED])
    return a_model, a_pair, unshared, max(map(size, parts))


def times(measures: dict[str, Measure], outputs: Outputs, models: int) -> Table:
    theirs, pairs = libraries(outputs.labels), models * (models - 1) / 2
    table = Table("measure", title=f"{outputs}; all pairs of {models} models", title_justify="left")
    for heading in (
        "ms a model",
        "ms a pair",
        "unshared ÷ ours",
        "library ÷ ours",
        "all pairs, s",
        "MB a part",
        "passes",
    ):
        table.add_column(heading, justify="right")
    for name, measure in measures.items():
        a_model, a_pair, unshared, held = timed(measure, outputs)
        prepared = preparations(models, held)
        ours = prepared * a_model + pairs * a_pair
        given = [outputs.of(measure.kind, model) for model in range(2)]
        work, values = theirs.get(name, (None, 0))
        turns = [seconds(partial(work, *given)) for _ in range(3)] if work else [0.0]
        table.add_row(
            name,
            f"{1e3 * a_model:.2f}",
            f"{1e3 * a_pair:.2f}",
            f"{pairs * unshared / ours:,.1f}",
            f"{values * pairs * median(turns) / ours:,.1f}" if work else "",
            f"{ours:.1f}",
            f"{held / 1e6:.2f}",
            f"{prepared / models:.1f}",
        )
    return table


def preparations(models: int, held: int) -> int:
    """How many parts of so many bytes are made for all pairs."""
    made: list[str] = []
    without_memory = np.broadcast_to(np.uint8(0), held)

    def part(model: str) -> np.ndarray:
        made.append(model)
        return without_memory

    deque(compared(every_pair(models), part, lambda *given: None), maxlen=0)
    return len(made)


def every_pair(models: int) -> list[tuple[str, str]]:
    return list(combinations(map(str, range(models)), 2))


def peak(name: str, outputs: Outputs, models: int) -> tuple[int, int]:
    """The bytes of the largest part, and by how many bytes the resident memory of this process grows at most."""
    measure = build(OmegaConf.load(files_of("measure")[name]), "measure", name)
    labels, number, largest = outputs.labels, count(), [0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def part(model: str) -> Any:
        made = measure.prepare(outputs.of(measure.kind, int(model)))
        largest.append(size(made))
        return made

    def value(pair: Any, a: Any, b: Any) -> Any:
        return None if next(number) % EVERY else measure.compute(a, b, labels, 0.95)

    deque(compared(every_pair(models), part, value), maxlen=0)
    return max(largest), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def peaks(names: Iterable[str], outputs: Outputs, models: int) -> Table:
    title = f"{models} models, {outputs}; parts have at most {HELD / 1e6:.0f} MB and those of two models"
    table = Table("measure", "MB a part", "peak, MB", title=title, title_justify="left")
    spawn = multiprocessing.get_context("spawn")
    for name in names:
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            part, grown = pool.submit(peak, name, outputs, models).result()
        table.add_row(name, f"{part / 1e6:.2f}", f"{grown / 1e6:.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("models", 45), ("images", 500), ("features", 192), ("classes", 10), ("pixels", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--measures", nargs="+", default=sorted(files_of("measure")))
    parser.add_argument("--peak", action="store_true", help="measure memory instead of time")
    options = parser.parse_args()
    outputs = Outputs(options.images, options.features, options.classes, options.pixels)
    made = {name: build(OmegaConf.load(files_of("measure")[name]), "measure", name) for name in options.measures}
    if options.peak:
        needing = (name for name, measure in made.items() if measure.needs != "transfers")
        Console(width=140).print(peaks(needing, outputs, options.models))
    else:
        Console(width=140).print(times(made, outputs, options.models))


if __name__ == "__main__":
    main()
