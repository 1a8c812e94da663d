"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 28×28 grey images of ten kinds of clothing."""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from sat_exp import files
from sat_exp.datasets.data_set import DataSet
from sat_exp.datasets.image_set import ImageSet, of_pixels
from sat_exp.datasets.marks import marked
from sat_exp.errors import UserError, explained
from sat_exp.settings.types import Count, FilePath, Images, Seed

CLASS_NAMES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
BUNDLED = Path(__file__).parent / "fashion_mnist"
BORDER = 2
SIDE = 28
MOST_BYTES = 16 + 60_000 * SIDE**2  # bytes of the largest file of the set, the training images, unpacked


class FashionMNIST(DataSet):
    """Fashion-MNIST on a canvas of 1×32×32: the 28×28 pixels as they are, with a border of two black pixels.

    `root` is a folder with the four gzipped idx files. Without it the images are the first 4,000 test images, which
    come with the package, and there are none for training. training_size: of a balanced subset of the training images,
    drawn by `seed`; all where it is None. marks: whether the images to attack carry the marks of their classes, see
    `sat_exp.datasets.marks`; the images of the two loaders never do.
    """

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        training_size: Images | None = None,
        batch_size: Count = 128,
        marks: bool = False,
    ) -> None:
        self.root = Path(root) if root is not None else BUNDLED
        self.training_size, self.seed, self.batch_size = training_size, seed, batch_size
        self.marks = marks
        super().__init__(root, size, seed, ids)

    def read(self, root: str | None) -> ImageSet:
        return self.split("t10k", marks=self.marks)

    def split(self, part: str, *, marks: bool = False) -> ImageSet:
        pixels = read_idx(self.root / f"{part}-images-idx3-ubyte.gz")
        labels = read_idx(self.root / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
        if pixels.shape != (len(labels), SIDE, SIDE) or labels.ndim != 1 or (labels >= len(CLASS_NAMES)).any():
            raise UserError(f"the {part} files in {self.root} are not those of Fashion-MNIST: fetch them again")
        border = BORDER
        if marks:
            padded = F.pad(torch.tensor(pixels)[:, None], (BORDER,) * 4)
            pixels = marked(padded, torch.from_numpy(labels), len(CLASS_NAMES))[:, 0].numpy()
            border = 0
        return of_pixels("fashion_mnist", CLASS_NAMES, part, pixels, labels, border)

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.split("train").subset(self.training_size, self.seed), shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.split("t10k"), shuffle=False)

    def loader(self, images: ImageSet, *, shuffle: bool) -> DataLoader:
        pixels = torch.from_numpy(np.stack([images.read(index) for index in range(len(images))]))
        tensors = TensorDataset(pixels, torch.from_numpy(images.labels))
        return DataLoader(tensors, batch_size=self.batch_size, shuffle=shuffle, drop_last=shuffle)


def read_idx(path: Path) -> np.ndarray:
    """The unsigned bytes of a gzipped idx file, in its own shape; UserError when it is absent or damaged."""
    if not path.is_file():
        what = "the four Fashion-MNIST files (the bundled subset has test images only)"
        raise UserError(f"no {path.name} in {path.parent}: give dataset.root=FOLDER with {what}")
    with explained(f"{path} is damaged", "fetch it again", OSError, EOFError, IndexError, ValueError, zlib.error):
        raw = files.unzipped(path, MOST_BYTES)
        if raw[:3] != b"\0\0\x08":
            raise ValueError("no idx header of unsigned bytes")
        shape = np.frombuffer(raw, dtype=">u4", count=raw[3], offset=4)
        return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
