"""A copy of Fashion-MNIST with few images, in the files that the data set is published in."""

import gzip
from pathlib import Path

import numpy as np

from sat_exp.datasets.fashion_mnist import BUNDLED, read_idx


def write(root: Path, train: int, test: int) -> Path:
    """The four files in a folder, with the first bundled images to train on and the next ones to test on."""
    for what in ("images-idx3", "labels-idx1"):
        values = read_idx(BUNDLED / f"t10k-{what}-ubyte.gz")
        for part, chosen in (("train", values[:train]), ("t10k", values[train : train + test])):
            header = bytes([0, 0, 8, chosen.ndim]) + np.array(chosen.shape, ">u4").tobytes()
            (root / f"{part}-{what}-ubyte.gz").write_bytes(gzip.compress(header + chosen.tobytes()))
    return root
