"""Compare the speed and size of the store with zarr, compressed and uncompressed, and with a memory-mapped file.

    python benchmarks/store.py [--images FOLDER] [--rows 128]

The images are the files of FOLDER on the 224×224 canvas; without FOLDER they are the bundled Fashion-MNIST. Each layout
is written and read in the same chunks, in turn, in new folders. The fastest turn counts, because other work on the
machine only makes a turn slower. Files are read from the page cache. The last table compares the speed of reading with
the speed at which one thread of a small, fast target classifies images.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from rich.console import Console
from rich.table import Table
from zarr.codecs import BloscCodec, Crc32cCodec

from sat_exp.datasets import FashionMNIST
from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.pictures import decode, read_bytes
from sat_exp.store import Store

EPSILON = 8
TARGETS = ("mobilenetv3_small_100", "mobilenetv3_large_100", "regnety_008")
SUFFIXES = {".jpg", ".jpeg", ".png"}


class Ours:
    """The project's own store."""

    def __init__(self, folder: Path, values: np.ndarray, chunk: int) -> None:
        store = Store.at(folder)
        self.array = store.open("images", {}, shape=values.shape, dtype="uint8", chunk=chunk)

    def write(self, chunk: int, values: np.ndarray) -> None:
        self.array.write(chunk, values)

    def read(self, chunk: int) -> np.ndarray:
        return self.array.read(chunk)


class Uncompressed:
    """zarr without compression and without checksums."""

    codecs: Any = None

    def __init__(self, folder: Path, values: np.ndarray, chunk: int) -> None:
        self.chunk = chunk
        self.array = zarr.create_array(
            folder, shape=values.shape, chunks=(chunk, *values.shape[1:]), dtype="uint8", compressors=self.codecs
        )

    def span(self, chunk: int) -> slice:
        return slice(chunk * self.chunk, (chunk + 1) * self.chunk)

    def write(self, chunk: int, values: np.ndarray) -> None:
        self.array[self.span(chunk)] = values

    def read(self, chunk: int) -> np.ndarray:
        return np.asarray(self.array[self.span(chunk)])


class Compressed(Uncompressed):
    """zarr with LZ4 after bit shuffling, and checksums."""

    codecs = (BloscCodec(cname="lz4", clevel=3, shuffle="bitshuffle", typesize=1), Crc32cCodec())


class Mapped:
    """One .npy file, mapped into memory."""

    def __init__(self, folder: Path, values: np.ndarray, chunk: int) -> None:
        self.chunk = chunk
        folder.mkdir()
        self.array = np.lib.format.open_memmap(folder / "a.npy", mode="w+", dtype=np.uint8, shape=values.shape)

    def write(self, chunk: int, values: np.ndarray) -> None:
        self.array[chunk * self.chunk : (chunk + 1) * self.chunk] = values

    def read(self, chunk: int) -> np.ndarray:
        return np.array(self.array[chunk * self.chunk : (chunk + 1) * self.chunk])


LAYOUTS: dict[str, Callable[[Path, np.ndarray, int], Any]] = {
    "the store": Ours,
    "zarr, LZ4": Compressed,
    "zarr, bare": Uncompressed,
    "mapped .npy": Mapped,
}


def pictures(folder: Path | None, rows: int) -> np.ndarray:
    """Real images, uint8 [rows, C, H, W]."""
    if folder is None:
        images = FashionMNIST(root=None, size=None, seed=0).images
        return np.stack([images.read(index) for index in range(min(rows, len(images)))])
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:rows]
    return np.stack([Canvas().paint(decode(read_bytes(path), str(path))) for path in files])


def perturbed(images: np.ndarray) -> np.ndarray:
    """Images with a perturbation of ±EPSILON on every value, as hard to compress as the worst adversarial images."""
    signs = np.random.default_rng(0).choice([-EPSILON, EPSILON], images.shape)
    return (images + signs).clip(0, 255).astype(np.uint8)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def turns(values: np.ndarray, chunk: int, repeats: int) -> Iterator[tuple[str, float, float, int]]:
    """Layout, seconds to write, seconds to read, bytes on disk; layouts in turn, `repeats` times."""
    chunks = range(len(values) // chunk)
    for _ in range(repeats):
        for name, layout in LAYOUTS.items():
            folder = Path(tempfile.mkdtemp(prefix="store-"))
            array = layout(folder / "a", values, chunk)
            write = timed(lambda: [array.write(n, values[n * chunk : (n + 1) * chunk]) for n in chunks])  # noqa: B023
            read = timed(lambda: [array.read(n) for n in chunks])  # noqa: B023
            assert all(np.array_equal(array.read(n), values[n * chunk : (n + 1) * chunk]) for n in chunks)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            shutil.rmtree(folder)
            yield name, write, read, size


def fastest(values: np.ndarray, chunk: int, repeats: int) -> dict[str, list[float]]:
    """For each layout, the least seconds to write and to read, and the least bytes on disk."""
    results = list(turns(values, chunk, repeats))
    return {
        name: [min(column) for column in zip(*(row[1:] for row in results if row[0] == name), strict=True)]
        for name in LAYOUTS
    }


def canvas_sized(images: np.ndarray) -> np.ndarray:
    """Up to 128 images as 3×224×224; smaller ones are enlarged by repeating pixels."""
    factor = 224 // images.shape[-1]
    return np.broadcast_to(images[:128].repeat(factor, 2).repeat(factor, 3), (min(128, len(images)), 3, 224, 224))


def forward_speed(name: str, repeats: int, batch: int = 16) -> float:
    """Images of 224×224 pixels per second that a network classifies on one thread."""
    import timm

    network = timm.create_model(name, pretrained=False).eval().requires_grad_(False)
    images = torch.rand(batch, 3, 224, 224)
    with torch.inference_mode():
        network(images)
        return batch / min(timed(lambda: network(images)) for _ in range(repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--rows", type=int, help="number of images; by default 128 of a folder, 2,048 of Fashion-MNIST")
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    clean = pictures(options.images, options.rows or (128 if options.images else 2048))
    clean = clean[: len(clean) // options.chunk * options.chunk]
    for kind, values in (("clean", clean), (f"perturbed by ±{EPSILON}", perturbed(clean))):
        megabytes = values.nbytes / 1e6
        shape = "×".join(map(str, values.shape[1:]))
        table = Table(
            "layout", title=f"{len(values)} {kind} images of {shape}, {megabytes:.0f} MB", title_justify="left"
        )
        for heading in ("write MB/s", "read MB/s", "size", "write ratio", "read ratio"):
            table.add_column(heading, justify="right")
        best = fastest(values, options.chunk, options.repeats)
        plain = best["mapped .npy"]
        for name, (write, read, size) in best.items():
            table.add_row(
                name, f"{megabytes / write:.0f}", f"{megabytes / read:.0f}", f"{size / values.nbytes:.2f}",
                f"{plain[0] / write:.2f}", f"{plain[1] / read:.2f}",
            )  # fmt: skip
        console.print(table)
    large = perturbed(canvas_sized(clean))
    seconds = fastest(large, options.chunk, options.repeats)["the store"][1]
    table = Table(
        "target", title="reading perturbed 3×224×224 images, against one thread of a target", title_justify="left"
    )
    for heading in ("store images/s", "forward images/s", "ratio"):
        table.add_column(heading, justify="right")
    for target in TARGETS:
        reading, forward = len(large) / seconds, forward_speed(target, options.repeats)
        table.add_row(target, f"{reading:.0f}", f"{forward:.1f}", f"{reading / forward:.0f}×")
    console.print(table)


if __name__ == "__main__":
    main()
