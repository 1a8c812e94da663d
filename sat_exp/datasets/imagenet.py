"""Image sets in the label space of ImageNet-1k (Russakovsky et al. 2015), from a copy, a download or a package.

The layouts of copies are recognised by the files in them. The index of a class is its position in the sorted synsets,
for all classifiers.
"""

import csv
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from sat_exp import files
from sat_exp.datasets import hugging_face, matlab
from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.data_set import ResizedDataSet
from sat_exp.datasets.downloading import Published, downloaded
from sat_exp.datasets.image_set import ImageSet
from sat_exp.datasets.pictures import MOST_BYTES, SUFFIXES, Picture, files_below, picture_file, picture_set, visible
from sat_exp.errors import UserError, explained
from sat_exp.settings import package_file

LABEL_SPACE = "imagenet1k"
IMAGENETTE_FOLDER = "imagenette2-320"
IMAGENETTE = Published(
    f"https://s3.amazonaws.com/fast-ai-imageclas/{IMAGENETTE_FOLDER}.tgz",
    "5020a9130cea0348272823cb12d2db7e981c6f2afa3dce71ccd5b8013005c55e",
)
EXPECTED = (
    "a folder or .tar of synset folders (n01440764/, ...), or of ILSVRC2012_val_*.JPEG with the devkit or "
    "LOC_val_solution.csv next to it, a folder with labels.csv (path,imagenet_class), or a Hugging Face copy (its "
    "folder, or hfds/ILSVRC/imagenet-1k)"
)
CLASSES = 1000
VALIDATION = re.compile(r"ILSVRC2012_val_\d{8}")
KAGGLE = Path("ILSVRC/Data/CLS-LOC/val")
IN_TARS = (".jpeg", ".jpg", ".png")  # suffixes of pictures in a tar
TARS = ("ILSVRC2012_img_val.tar", "val.tar")
DEVKIT = "ILSVRC2012_devkit_t12"
META, TRUTH, SOLUTION = "meta.mat", "ILSVRC2012_validation_ground_truth.txt", "LOC_val_solution.csv"
MOST_DEVKIT = 1 << 26  # bytes of the devkit, unpacked
DAMAGED = (
    OSError, EOFError, LookupError, ValueError, TypeError, OverflowError, RecursionError, zlib.error, tarfile.TarError,
    csv.Error,
)  # fmt: skip


class ImageNet(ResizedDataSet):
    """Images of ImageNet-1k, or of any part of it, in the user's own copy.

    `root` is a folder, a tar file or a name at Hugging Face, in a layout of `imagenet_pictures`. Images have the order
    of their ids, SYNSET/FILE in every layout but labels.csv, so that copies of one set are interchangeable.
    """

    def read(self, root: str | None) -> ImageSet:
        if root is None:
            advice = f"give dataset.root= {EXPECTED}; or try experiment=quickstart, which brings its own images"
            raise UserError(f"dataset=imagenet needs a copy of ImageNet: {advice}")
        return image_set("imagenet", imagenet_pictures(str(root)), self.canvas)


class Imagenette(ResizedDataSet):
    """The 3,925 validation images of Imagenette (Howard 2019), ten easy classes of ImageNet-1k, with 1k labels.

    `root` is the folder of the variant with 320 pixels on the shorter side; without it, that is downloaded once.
    """

    def read(self, root: str | None) -> ImageSet:
        parent = downloaded("Imagenette (330 MB)", root, IMAGENETTE_FOLDER, [IMAGENETTE])
        return image_set("imagenette", imagenet_pictures(str(parent / IMAGENETTE_FOLDER)), self.canvas)


class Foolbox20(ResizedDataSet):
    """The twenty labelled ImageNet images of the package foolbox: a smoke test, not a measurement.

    `root` is a folder with files named imagenet_NUMBER_CLASS.jpg; without it, that of the installed package.
    """

    def read(self, root: str | None) -> ImageSet:
        folder = Path(root or package_file("foolbox", "data")).expanduser()
        named = ((path, re.fullmatch(r"imagenet_\d+_(\d{1,3})", path.stem)) for path in sorted(folder.glob("*.jpg")))
        pictures = [picture_file(path.name, path, int(match[1])) for path, match in named if match]
        if not pictures:
            raise UserError(f"no files named imagenet_NUMBER_CLASS.jpg in {folder}: pip install foolbox==3.3.4")
        return image_set("foolbox20", pictures, self.canvas)


def image_set(name: str, pictures: Sequence[Picture], canvas: Canvas) -> ImageSet:
    return picture_set(name, LABEL_SPACE, class_names(), pictures, canvas)


@cache
def synsets() -> dict[str, int]:
    """Synset → class index, in the standard order."""
    from timm.data import ImageNetInfo

    return {synset: index for index, synset in enumerate(ImageNetInfo("imagenet-1k").label_names())}


@cache
def class_names() -> tuple[str, ...]:
    """The first name of each class's synset, followed by the class index where two classes share the name."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    first = [info.index_to_description(index).split(",")[0] for index in range(CLASSES)]
    counts = Counter(first)
    return tuple(f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(first))


def imagenet_pictures(root: str) -> list[Picture]:
    """The labelled pictures in `root`; UserError where its layout is none of `EXPECTED`."""
    if root.startswith("hfds/"):
        name = root.removeprefix("hfds/")
        return in_rows(hugging_face.downloaded(name, "data/validation-*"))
    path = Path(root).expanduser()
    if path.is_file() and path.suffix == ".tar":
        return in_tar(path)
    if not path.is_dir():
        raise UserError(f"dataset.root={root} is neither a folder nor a .tar file: give {EXPECTED}")
    if (path / "labels.csv").is_file():
        return listed(path / "labels.csv")
    if hugging_face.is_copy(path):
        return in_rows(path)
    for inner in (path / KAGGLE, path / "val"):
        if inner.is_dir():
            return in_folder(inner, (inner.parent, path))
    for tar in TARS:
        if (path / tar).is_file():
            return in_tar(path / tar)
    return in_folder(path, (path, path.parent))


def in_folder(folder: Path, label_folders: Sequence[Path]) -> list[Picture]:
    """The pictures in synset folders of `folder`, or flat in it with a file of labels there or in `label_folders`."""
    names = files_below(folder)
    labels = labelled(names, folder, (folder, *label_folders))
    return [picture_file(id, folder / name, label) for name, (id, label) in zip(names, labels, strict=True)]


def in_tar(tar: Path) -> list[Picture]:
    """The pictures in a tar file, in synset folders, or flat with a file of labels next to the tar."""
    with explained(f"{tar} is not a readable tar of images", f"give {EXPECTED}", *DAMAGED):
        found = dict(members(tarfile.open(tar, "r:")))  # noqa: SIM115, as its members are read later
    lock = Lock()  # all members are read through one open file

    def read(opened: Callable[[], Any]) -> bytes:
        with lock, explained(f"{tar} cannot be read", "fetch it again", OSError, EOFError, tarfile.TarError):
            return opened().read()

    labels = labelled(list(found), tar, (tar.parent,))
    return [
        Picture(id, f"{name} in {tar}", label, partial(read, opened))
        for (name, opened), (id, label) in zip(found.items(), labels, strict=True)
    ]


def members(archive: tarfile.TarFile, inner: bool = False) -> Iterator[tuple[PurePosixPath, Callable[[], Any]]]:
    """The name of each picture in a tar, or in a tar in it, and the function that opens it.

    ValueError for a picture that is too large and for a tar in a tar in a tar; TarError where the file is cut.
    """
    for member in archive:
        path = PurePosixPath(member.name)
        suffix = path.suffix.lower() if member.isreg() else ""
        if suffix in SUFFIXES and member.size > MOST_BYTES:
            raise ValueError(f"{member.name} is larger than {MOST_BYTES:,} bytes")
        if suffix == ".tar" and inner:
            raise ValueError(f"{member.name} is a tar in a tar in a tar")
        if suffix == ".tar":
            yield from members(tarfile.open(fileobj=archive.extractfile(member), mode="r:"), inner=True)  # noqa: SIM115
        elif suffix in IN_TARS and visible(path):
            yield path, partial(archive.extractfile, member)


def labelled(names: Sequence[PurePosixPath], root: Path, label_folders: Sequence[Path]) -> list[tuple[str, int]]:
    """The id, SYNSET/FILE, and the class index of each of the pictures `names` in `root`."""
    if not names:
        raise UserError(f"no images in {root}: give {EXPECTED}")
    flat = any(VALIDATION.fullmatch(name.stem) for name in names if name.parent.name not in synsets())
    truth = validation_synsets(root, label_folders) if flat else {}
    found = []
    for name in names:
        synset = truth.get(name.stem, "") if name.parent.name not in synsets() else name.parent.name
        if synset not in synsets():
            if truth:
                raise UserError(f"{name} in {root} is not in the file of labels: take it out, or complete that file")
            if name.parent.name:
                raise UserError(f"the folder {name.parent.name} in {root} is no synset of ImageNet-1k: give {EXPECTED}")
            raise UserError(f"{name} in {root} is in no synset folder: give {EXPECTED}")
        found.append((f"{synset}/{name.name}", synsets()[synset]))
    return found


def validation_synsets(root: Path, label_folders: Sequence[Path]) -> dict[str, str]:
    """Name without suffix → synset for each ILSVRC2012 validation image, from the first file of labels found."""
    for place in label_folders:
        for file, read in (
            (place / f"{DEVKIT}.tar.gz", packed_devkit),
            (place / DEVKIT / "data" / TRUTH, unpacked_devkit),
            (place / "data" / TRUTH, unpacked_devkit),
            (place / TRUTH, unpacked_devkit),
            (place / SOLUTION, solution),
        ):
            if file.is_file():
                with explained(f"{file} cannot be read", "fetch it again", *DAMAGED):
                    if labels := read(file):
                        return labels
                    raise ValueError("it is empty")
    advice = f"put {DEVKIT}.tar.gz, or the folder that it unpacks to, or Kaggle's {SOLUTION} next to it"
    raise UserError(f"{root} has ILSVRC2012_val_*.JPEG without their labels: {advice}")


def packed_devkit(archive: Path) -> dict[str, str]:
    with tarfile.open(fileobj=BytesIO(files.unzipped(archive, MOST_DEVKIT))) as members:
        meta, truth = (members.extractfile(f"{DEVKIT}/data/{name}") for name in (META, TRUTH))
        if meta is None or truth is None:
            raise KeyError(f"{META} is no file")
        return devkit(meta.read(MOST_DEVKIT), truth.read(MOST_DEVKIT))


def unpacked_devkit(truth: Path) -> dict[str, str]:
    meta = truth.with_name(META)
    if not meta.is_file():
        raise UserError(f"{truth} needs the devkit, whose {META} is not next to it: put {DEVKIT}.tar.gz there")
    return devkit(files.contents(meta, MOST_DEVKIT), files.contents(truth, MOST_DEVKIT))


def devkit(meta: bytes, truth: bytes) -> dict[str, str]:
    """Image → synset. Line i of `truth` is the ILSVRC2012_ID of validation image i (from 1). `meta`, a Matlab file,
    maps these numbers to synsets. They are not the indices of the sorted synsets."""
    table = matlab.structures(meta, "synsets", ("ILSVRC2012_ID", "WNID"), MOST_DEVKIT)
    synset = {int(number): str(name) for number, name in table}
    return {f"ILSVRC2012_val_{line:08d}": synset[int(number)] for line, number in enumerate(truth.split(), start=1)}


def solution(table: Path) -> dict[str, str]:
    """Image → synset from Kaggle's table of ImageId and PredictionString, which begins with the synset."""
    with table.open(newline="", encoding="utf-8") as lines:
        return {row["ImageId"]: (row["PredictionString"] or "").split()[0] for row in csv.DictReader(lines)}


def listed(table: Path) -> list[Picture]:
    """The pictures in a CSV file with the columns path and imagenet_class."""
    pictures: dict[str, Picture] = {}
    readable = explained(f"{table} cannot be read", "save it as CSV in UTF-8", OSError, UnicodeDecodeError, csv.Error)
    with readable, table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        if not {"path", "imagenet_class"} <= set(reader.fieldnames or ()):
            raise UserError(f"{table} lacks the columns path,imagenet_class: add them as its first line")
        for row in reader:
            name, label = row["path"] or "", row["imagenet_class"] or ""
            place = f"line {reader.line_num} of {table}"
            if not (label.isdecimal() and len(label) <= len(str(CLASSES)) and int(label) < CLASSES):
                raise UserError(f"{place}: imagenet_class is '{label[:9]}'; give a class index, 0 to {CLASSES - 1}")
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise UserError(f"{place}: {name} leads out of {table.parent}; give a path below it")
            if name in pictures:
                raise UserError(f"{place}: {name} is listed twice; keep one of the lines")
            if not (table.parent / name).is_file():
                raise UserError(f"{place}: there is no file {table.parent / name}; correct the path")
            pictures[name] = picture_file(name, table.parent / name, int(label))
    if not pictures:
        raise UserError(f"{table} lists no images: add a line for each")
    return list(pictures.values())


def in_rows(folder: Path) -> list[Picture]:
    """The pictures in a Hugging Face copy, named by the row's file, or by its number where it has none."""
    rows = hugging_face.Rows(str(folder), folder, "validation")
    if rows.labels is None:
        raise UserError(f"{folder} has no labels: give a labelled copy of ImageNet-1k, or dataset=hf")
    names = list(synsets())
    if rows.class_names and set(rows.class_names) <= set(names):
        labels = [synsets()[rows.class_names[label]] for label in rows.labels]
    elif len(rows.class_names) == CLASSES:
        labels = rows.labels
    else:
        classes = f"{len(rows.class_names)} classes that are no synsets"
        raise UserError(f"{rows.name} has {classes}: give a copy of ImageNet-1k, or use dataset=hf")
    ids = [f"{names[label]}/{name}" for label, name in zip(labels, rows.files(), strict=True)]
    return rows.pictures(ids, labels)
