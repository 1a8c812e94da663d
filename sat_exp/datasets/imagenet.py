"""Image sets in the label space of ImageNet-1k (Russakovsky et al. 2015), from folders, a download or a package.

Class index i is position i in the standard order of the 1,000 synsets, the order of every ImageNet-1k classifier.
"""

import csv
import importlib.util
import logging
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import platformdirs
import torchvision
from lightning import LightningDataModule
from timm.data import ImageNetInfo

from sat_exp.datasets.canvas import Canvas, file_digest
from sat_exp.datasets.image_set import ImageSet
from sat_exp.errors import UserError, one_line

LABEL_SPACE = "imagenet1k"
CLASSES = 1000
SUFFIXES = {".jpeg", ".jpg", ".png", ".webp", ".bmp"}
EXPECTED = (
    "synset folders (n01440764/, ...), or a val/ folder of them, or a labels.csv with columns path,imagenet_class"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class LabelledFile:
    """An image file: its name within the set, where it lies, and its ImageNet-1k class index."""

    id: str
    path: Path
    label: int


class ImageNet(LightningDataModule):
    """Images of ImageNet-1k, or of any part of it, in a folder of the user's own.

    `root` holds synset folders, or a `val` folder of synset folders, or a `labels.csv` with the columns `path`
    (relative to it) and `imagenet_class` (0 to 999). Images are in the order of their paths.
    """

    def __init__(self, root: str | None, size: int | None, seed: int, resize: int = 256, crop: int = 224) -> None:
        super().__init__()
        if root is None:
            raise UserError(
                f"dataset=imagenet needs a folder: give dataset.root=FOLDER with {EXPECTED}; "
                "or try experiment=quickstart, which brings its own images"
            )
        files = labelled_files(Path(str(root)).expanduser())
        self.images = image_set("imagenet", files, Canvas(resize, crop)).subset(size, seed)


class Imagenette(LightningDataModule):
    """The 3,925 validation images of Imagenette (Howard 2019), ten easy classes of ImageNet-1k, with 1k labels.

    Downloaded once, in the variant with the shorter side at 320 pixels, into `root` (default: the user's cache
    folder).
    """

    def __init__(self, root: str | None, size: int | None, seed: int, resize: int = 256, crop: int = 224) -> None:
        super().__init__()
        cache_folder = platformdirs.user_cache_path("sat_exp", appauthor=False)
        folder = Path(str(root)).expanduser() if root is not None else cache_folder
        files = labelled_files(imagenette_folder(folder))
        self.images = image_set("imagenette", files, Canvas(resize, crop)).subset(size, seed)


class Foolbox20(LightningDataModule):
    """The twenty labelled ImageNet images that come with the package foolbox: a smoke test, not a measurement.

    `root` is a folder with files named imagenet_NUMBER_CLASS.jpg; without it they are read from the installed package,
    which is not imported.
    """

    def __init__(self, root: str | None, size: int | None, seed: int, resize: int = 256, crop: int = 224) -> None:
        super().__init__()
        folder = Path(str(root)).expanduser() if root is not None else foolbox_folder()
        named = ((path, re.fullmatch(r"imagenet_\d+_(\d{1,3})", path.stem)) for path in sorted(folder.glob("*.jpg")))
        files = [LabelledFile(path.name, path, int(match[1])) for path, match in named if match]
        if not files:
            raise UserError(f"no files named imagenet_NUMBER_CLASS.jpg in {folder}: pip install foolbox==3.3.4")
        self.images = image_set("foolbox20", files, Canvas(resize, crop)).subset(size, seed)


@cache
def synsets() -> dict[str, int]:
    """Synset → class index, in the standard order."""
    return {synset: index for index, synset in enumerate(ImageNetInfo("imagenet-1k").label_names())}


@cache
def class_names() -> tuple[str, ...]:
    """The first name of each class's synset; with the class index where two classes share that name."""
    info = ImageNetInfo("imagenet-1k")
    first = [info.index_to_description(index).split(",")[0] for index in range(CLASSES)]
    shared = {name for name, count in Counter(first).items() if count > 1}
    return tuple(f"{name} ({index})" if name in shared else name for index, name in enumerate(first))


def image_set(name: str, files: Sequence[LabelledFile], canvas: Canvas) -> ImageSet:
    return ImageSet(
        name=name,
        label_space=LABEL_SPACE,
        class_names=class_names(),
        ids=tuple(file.id for file in files),
        labels=np.array([file.label for file in files], dtype=np.int64),
        shape=canvas.shape,
        recipe=canvas.recipe,
        read=lambda index: canvas.read(files[index].path),
        contents=lambda index: file_digest(files[index].path),
    )


def labelled_files(root: Path) -> list[LabelledFile]:
    """The images in `root`, sorted by their names within it; UserError where it is not laid out as `EXPECTED`."""
    if not root.is_dir():
        raise UserError(f"dataset.root={root} is no folder: give one with {EXPECTED}")
    if (root / "labels.csv").is_file():
        return listed_files(root / "labels.csv")
    return files_in_synset_folders(root / "val" if (root / "val").is_dir() else root)


def listed_files(table: Path) -> list[LabelledFile]:
    """The images that the CSV file `table` lists, by name."""
    files: dict[str, LabelledFile] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if not {"path", "imagenet_class"} <= set(reader.fieldnames or ()):
                raise UserError(f"{table} lacks the columns path,imagenet_class: add them as its first line")
            for row in reader:
                name, label = row["path"] or "", row["imagenet_class"] or ""
                place = f"line {reader.line_num} of {table}"
                if not (label.isdecimal() and int(label) < CLASSES):
                    raise UserError(f"{place}: imagenet_class is '{label}'; give a class index from 0 to {CLASSES - 1}")
                if name in files:
                    raise UserError(f"{place}: {name} is listed twice; keep one of the lines")
                if not (table.parent / name).is_file():
                    raise UserError(f"{place}: there is no file {table.parent / name}; correct the path")
                files[name] = LabelledFile(name, table.parent / name, int(label))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} cannot be read ({one_line(error)}): save it as CSV in UTF-8") from error
    if not files:
        raise UserError(f"{table} lists no images: add a line for each")
    return sorted(files.values())


def files_in_synset_folders(root: Path) -> list[LabelledFile]:
    """The images in the synset folders of `root`, by name; hidden folders and files of other kinds are passed over."""
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    strangers = [folder.name for folder in folders if folder.name not in synsets()]
    if strangers:
        raise UserError(
            f"the folder {strangers[0]} in {root} is no synset of ImageNet-1k: give a folder with {EXPECTED}"
        )
    files = [
        LabelledFile(f"{folder.name}/{path.name}", path, synsets()[folder.name])
        for folder in folders
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not files:
        raise UserError(f"no images in synset folders in {root}: give a folder with {EXPECTED}")
    return sorted(files)


def imagenette_folder(root: Path) -> Path:
    """The folder `root`/imagenette2-320, downloaded first where it is absent; complete or not there at all."""
    target = root / "imagenette2-320"
    if target.is_dir():
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".imagenette-") as partial:
            log.info("downloading Imagenette into %s (once, about 330 MB)", root)
            torchvision.datasets.Imagenette(partial, split="val", size="320px", download=True)
            if not target.is_dir():
                (Path(partial) / target.name).replace(target)
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        if target.is_dir():  # another process was first
            return target
        raise UserError(
            f"Imagenette could not be downloaded into {root} ({one_line(error)}): connect to the internet, or "
            "give dataset=imagenet dataset.root=FOLDER, or try experiment=quickstart, which needs no download"
        ) from error
    return target


def foolbox_folder() -> Path:
    """Where the installed package foolbox keeps its sample images; the package itself is not imported."""
    spec = importlib.util.find_spec("foolbox")
    if spec is None or spec.origin is None:
        raise UserError("dataset=foolbox20 reads its images from the package foolbox: pip install foolbox==3.3.4")
    return Path(spec.origin).parent / "data"
