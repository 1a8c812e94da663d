"""Image sets in the formats of Hugging Face's library `datasets`, local or from the hub."""

import os
import re
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import huggingface_hub
import numpy as np
from pyarrow.compute import struct_field

from sat_exp.datasets.canvas import Canvas, Mode
from sat_exp.datasets.data_set import DataSet
from sat_exp.datasets.image_set import ImageSet
from sat_exp.datasets.pictures import Picture, picture_set, read_bytes
from sat_exp.errors import UserError, explained
from sat_exp.settings.types import FilePath, Images, Seed, Side, Text

LABELS = ("label", "labels")  # names of columns of classes whose type is another
FORMATS = ("parquet", "arrow", "imagefolder", "webdataset")
MOST_CLASSES = 1_000_000
SAVED = ("dataset_dict.json", "state.json")  # written by save_to_disk
LOGIN = "connect to the internet, log in with `hf auth login` if the set needs it, or give the folder of a local copy"
ROOT = "a set's name at Hugging Face (OWNER/NAME), or a folder of parquet files, of images, or by save_to_disk"


class HuggingFace(DataSet):
    """The images of one split of any Hugging Face set, in its own order.

    `root` is the set's name at the hub, downloaded once, or a folder that `datasets` can load or has saved. Images and
    labels are the first columns of images and of classes; else labels are a column called label or labels. A set with
    neither, or with hidden (negative) labels, is unlabelled. `label_space` defaults to the name.
    """

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        split: Text = "test",
        label_space: Text | None = None,
        resize: Side = 256,
        crop: Side = 224,
        mode: Mode = "RGB",
    ) -> None:
        self.canvas, self.split, self.label_space = Canvas(resize, crop, mode=mode), split, label_space
        super().__init__(root, size, seed, ids)

    def read(self, root: str | None) -> ImageSet:
        if root is None:
            raise UserError(f"dataset=hf needs a data set: give dataset.root= {ROOT}")
        folder = downloaded(str(root))
        name = folder.name if folder == Path(str(root)).expanduser() else str(root)
        rows = Rows(name, folder, self.split)
        ids = [f"{self.split}-{index:08d}" for index in range(len(rows.dataset))]
        space = None if rows.labels is None else self.label_space or name
        return picture_set(name, space, rows.class_names, rows.pictures(ids, rows.labels), self.canvas)


class Rows:
    """The rows of one split of the set in `folder`, called `name` in errors; UserError without a column of images."""

    def __init__(self, name: str, folder: Path, split: str) -> None:
        datasets = library()
        rows = load(folder, split).with_format(None)
        image = next((key for key, kind in rows.features.items() if isinstance(kind, datasets.Image)), None)
        if image is None:
            raise UserError(f"{name} has no column of images, but {', '.join(rows.features)}: give another set")
        self.name, self.folder, self.image = name, folder, image
        self.dataset = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        self.class_names, self.labels = classes(rows)

    def pictures(self, ids: Sequence[str], labels: Sequence[int] | None) -> list[Picture]:
        """The picture in each row."""
        rows = enumerate(zip(ids, [None] * len(ids) if labels is None else labels, strict=True))
        return [Picture(id, self.place(index), label, partial(self.read, index)) for index, (id, label) in rows]

    def place(self, index: int) -> str:
        """The name of row `index` in errors."""
        return f"row {index} of {self.name}"

    def read(self, index: int) -> bytes:
        """The encoded picture in row `index`; UserError where the set has none."""
        cell = self.dataset[index][self.image] or {"bytes": None, "path": None}
        if cell["bytes"] is not None:
            return cell["bytes"]
        if cell["path"] and inside(cell["path"], (self.folder, Path(library().config.HF_DATASETS_CACHE))):
            return read_bytes(Path(cell["path"]))
        raise UserError(f"{self.place(index)} has no picture in {self.folder}: take it out")

    def files(self) -> list[str]:
        """The file name of each row, as in ILSVRC; row numbers instead, unless every row has a name of its own."""
        paths = struct_field(self.dataset.with_format("arrow")[:][self.image], "path").to_pylist()
        names = [re.sub(r"_n\d{8}(?=\.)", "", PurePosixPath(path or "").name) for path in paths]
        return names if all(names) and len(set(names)) == len(names) else [f"{row:08d}" for row in range(len(paths))]


def classes(dataset: Any) -> tuple[tuple[str, ...], list[int] | None]:
    """Class names, and the class index of each row; () and None where there are no labels."""
    features, kind = dataset.features, library().ClassLabel
    columns = [
        *(key for key in features if isinstance(features[key], kind)),
        *(key for key in LABELS if key in features),
    ]
    if not columns:
        return (), None
    column = columns[0]
    values = dataset.select_columns([column])[:][column]
    names = getattr(features[column], "names", None)
    if all(isinstance(value, str) for value in values):
        names = sorted(set(values))
        places = {name: index for index, name in enumerate(names)}
        values = [places[value] for value in values]
    labels = np.asarray(values)
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise UserError(f"the column {column} holds no class indices or names: give a set with one class an image")
    if (labels < 0).any():
        return (), None
    if labels.max(initial=0) >= (MOST_CLASSES if names is None else len(names)):
        raise UserError(f"the column {column} holds {labels.max()}, which is no class: correct it")
    return tuple(names or map(str, range(labels.max(initial=-1) + 1))), labels.tolist()


def saved(folder: Path) -> bool:
    """Whether `datasets` has saved a set in `folder`."""
    return any((folder / name).is_file() for name in SAVED)


def is_copy(folder: Path) -> bool:
    """Whether `folder` was saved by `datasets` or has its parquet files."""
    return saved(folder) or any(folder.glob("*.parquet")) or any(folder.glob("data/*.parquet"))


def load(folder: Path, split: str) -> Any:
    """The `datasets.Dataset` of `split` in `folder`; all of a set that was saved without splits. No code of the folder
    is run, nothing is written, and only files of the folder are read, in formats of images."""
    datasets = library()
    for path in folder.rglob("*"):
        if not (path.is_file() or path.is_dir()):  # reading a pipe would not end
            raise UserError(f"{path} is no file: take it out")
    with explained(f"{folder} cannot be loaded", f"give dataset.root= {ROOT}"):
        if saved(folder):
            found = datasets.load_from_disk(str(folder))
            if isinstance(found, dict):
                check_split(folder, split, list(found))
                found = found[split]
            check_inside([file["filename"] for file in found.cache_files], folder)
            return found
        builder = datasets.load_dataset_builder(str(folder))
        kind, files = type(builder).__module__.split(".")[-1], builder.config.data_files or {}
        if kind not in FORMATS:
            raise ValueError(f"it is read as {kind}, not as {', '.join(FORMATS)}")
        check_inside(chain.from_iterable(files.values()), folder)
        check_split(folder, split, list(files))
        return datasets.load_dataset(str(folder), split=split)


def check_inside(files: Iterable[object], folder: Path) -> None:
    """ValueError for a file of a set that is not in its `folder`."""
    for file in files:
        if not inside(str(file), (folder,)):
            raise ValueError(f"it describes {file}, which is not in it")


def inside(path: str, folders: Sequence[Path]) -> bool:
    """Whether `path` is in one of `folders`, by its text: links count as what they are in, `..` is resolved."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100, as Path.resolve would follow links
    return any(absolute.is_relative_to(os.path.abspath(folder)) for folder in folders)  # noqa: PTH100


def check_split(folder: Path, split: str, known: Sequence[str]) -> None:
    if split not in known:
        raise UserError(f"no split {split} in {folder}: choose dataset.split= one of {', '.join(map(str, known))}")


def downloaded(name: str, pattern: str | None = None) -> Path:
    """The folder with the files of the set `name` that match `pattern`, downloaded once; `name` if it is a folder."""
    library()
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    with explained(f"{name} could not be downloaded from Hugging Face", LOGIN):
        return Path(huggingface_hub.snapshot_download(name, repo_type="dataset", allow_patterns=pattern))


def library() -> ModuleType:
    """The library `datasets`, an optional extra."""
    try:
        import datasets
    except ImportError as error:
        raise UserError("Hugging Face sets need the library datasets: pip install 'sat_exp[hf]'") from error
    return datasets
