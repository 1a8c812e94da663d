"""Compare the time of counting the errors of all ensembles with summing the scores of every class.

    python benchmarks/ensembles.py [--models 69] [--images 5000] [--classes 1000] [--sizes 2 3 4 5] [--whole]

The first alternative, "every class", sums the members' scores of all classes (int32, as we do) and takes the largest.
It is vectorised over images and classes, with a hundred images at a time so that they stay in the cache, and runs on a
random sample of ensembles. The second, "one by one", uses our contests but sums them for each ensemble separately. The
rest of our gain comes from shared sums and from dropping settled contests. We count all ensembles of a size; without
--whole, for sizes of five or more, 65,536 of every million. The last column is the number of counts in the sample that
differ.

The logits are synthetic. All networks share how far the true class of an image stands out (4.3 plus a gamma variate of
mean 7), eight classes that are confused with it, and noise. Ten groups of networks share more noise, and each network
has its own. 6% of the images look like another class. The 69 networks have accuracies of 79 to 83%, and two of them
agree on 86% of the images. All are right on 54% of the images and none on 2%, about as for ImageNet networks with
80%.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from typing import get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from sat_exp.ensembles import contests, members

BLOCK = 100
CHUNK = 2**16
GROUPS = 10


def blocks(models: int, images: int, classes: int) -> Iterator[contests.Block]:
    """Synthetic logits and labels of one block of images after another; the same in every call."""
    for start in range(0, images, BLOCK):
        rng = np.random.default_rng([0, start])
        count = min(BLOCK, images - start)
        rows, labels, other = np.arange(count), *rng.integers(0, classes, (2, count))
        ahead, odd = 4.3 + rng.gamma(2.2, 3.2, count), np.flatnonzero(rng.random(count) < 0.06)
        shared = rng.standard_normal((count, classes), np.float32)
        for _ in range(8):
            shared[rows, rng.integers(0, classes, count)] += rng.gamma(2, 1.3, count)
        groups = rng.standard_normal((GROUPS, count, classes), np.float32)
        logits = shared + 0.7 * (
            groups[np.arange(models) % GROUPS] + rng.standard_normal((models, count, classes), np.float32)
        )
        logits[:, rows, labels] += ahead + rng.standard_normal((models, count))
        logits[:, odd, other[odd]] += ahead[odd] + 3
        yield (logits * rng.uniform(0.8, 1.1, (models, 1, 1))).astype(np.float32), labels


def adding_up(given: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The number of images of a block that each ensemble misclassifies. given: scores, int32 [M, B, classes]."""
    wrong = np.empty(len(rows), np.int64)
    for at, row in enumerate(rows):
        total = given[row[0]].copy()
        for member in row[1:]:
            total += given[member]
        wrong[at] = (total.argmax(axis=1) != labels).sum()
    return wrong


def one_by_one(found: contests.Contests, rows: np.ndarray) -> np.ndarray:
    """The number of images that each ensemble misclassifies, from all contests."""
    begins = np.flatnonzero(np.r_[True, np.diff(found.image) > 0])
    lost = (found.margins[row].sum(axis=0, dtype=np.int32) < found.tie for row in rows)
    return np.array([len(found.lost) + np.logical_or.reduceat(each, begins).sum() for each in lost])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=69)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 3, 4, 5])
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--average", default="probabilities", choices=get_args(contests.Average))
    parser.add_argument("--whole", action="store_true", help="count all ensembles of five or more members, not a part")
    options = parser.parse_args()
    settings = options.models, options.images, options.classes

    rng = np.random.default_rng(0)
    places = {size: members.ranks(options.models, size) for size in options.sizes}
    samples = {size: rng.choice(at, min(options.sample, len(at)), replace=False) for size, at in places.items()}
    seconds = dict.fromkeys(options.sizes, 0.0)
    expected = {size: np.zeros(len(sample), np.int64) for size, sample in samples.items()}
    for logits, labels in blocks(*settings):
        given = contests.scores(logits, options.average)
        for size, sample in samples.items():
            rows = members.members_of(options.models, size, sample)
            started = time.perf_counter()
            expected[size] += adding_up(given, labels, rows)
            seconds[size] += time.perf_counter() - started
    started = time.perf_counter()
    for _ in blocks(*settings):
        pass
    making = time.perf_counter() - started
    started = time.perf_counter()
    found = contests.contests(blocks(*settings), options.average)
    building = time.perf_counter() - started - making

    title = "{} networks, {:,} images, {:,} classes".format(*settings)
    table = Table("members", title=f"{title}; the last two columns ÷ ours", title_justify="left")
    for heading in ("ensembles", "counted", "s, all", "µs each", "every class", "one by one", "differ"):
        table.add_column(heading, justify="right")
    for size, at in places.items():
        chunks = range(0, len(at), CHUNK)
        if size > 4 and not options.whole:
            chunks = [begin for number, begin in enumerate(chunks) if number % 15 == 0]
        counted, spent, differing = 0, 0.0, 0
        for begin in chunks:
            part = at[begin : begin + CHUNK]
            started = time.perf_counter()
            wrong = contests.count_errors(found, members.members_of(options.models, size, part))
            spent += time.perf_counter() - started
            counted += len(part)
            for place, right in zip(samples[size], expected[size], strict=True):
                if part[0] <= place <= part[-1]:
                    differing += int(wrong[np.searchsorted(part, place)] != right)
        started = time.perf_counter()
        alone = one_by_one(found, members.members_of(options.models, size, samples[size]))
        singly = time.perf_counter() - started
        differing += int((alone != expected[size]).sum())
        each = spent / counted
        ratios = (other / len(samples[size]) / each for other in (seconds[size], singly))
        table.add_row(
            str(size),
            f"{len(at):,}",
            f"{counted:,}",
            f"{each * len(at):.1f}",
            f"{1e6 * each:.1f}",
            *(f"{ratio:,.1f}" for ratio in ratios),
            str(differing),
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console = Console()
    console.print(table)
    console.print(
        f"preparation: {building:.0f} s for {len(found.tie):,} contests on {len(np.unique(found.image)):,} images "
        f"(and {making:.0f} s to make the logits); peak memory {peak:.1f} GB"
    )


if __name__ == "__main__":
    main()
