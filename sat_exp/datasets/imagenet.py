"""Image sets in the label space of ImageNet-1k (Russakovsky et al. 2015), from folders, a download or a package."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from lightning import LightningDataModule

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.downloading import Published, downloaded
from sat_exp.datasets.image_set import ImageSet, check_choice
from sat_exp.datasets.imagenet_classes import class_names
from sat_exp.datasets.imagenet_layouts import EXPECTED, imagenet_pictures
from sat_exp.datasets.pictures import Picture, picture_file, picture_set
from sat_exp.errors import UserError
from sat_exp.settings.types import FilePath, Images, Seed, Side

LABEL_SPACE = "imagenet1k"
IMAGENETTE_FOLDER = "imagenette2-320"
IMAGENETTE = Published(
    f"https://s3.amazonaws.com/fast-ai-imageclas/{IMAGENETTE_FOLDER}.tgz",
    "5020a9130cea0348272823cb12d2db7e981c6f2afa3dce71ccd5b8013005c55e",
)


class ImageNet(LightningDataModule):
    """Images of ImageNet-1k, or of any part of it, in a copy of the user's own.

    `root` is a folder, a tar file or a name at Hugging Face, in one of the layouts of `imagenet_layouts`. Images are in
    the order of their ids, SYNSET/FILE in every layout but labels.csv, so that copies of the same images are
    interchangeable.
    """

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        resize: Side = 256,
        crop: Side = 224,
    ) -> None:
        super().__init__()
        canvas = Canvas(resize, crop)
        check_choice(size, ids)
        if root is None:
            raise UserError(
                f"dataset=imagenet needs a copy of ImageNet: give dataset.root= {EXPECTED}; "
                "or try experiment=quickstart, which brings its own images"
            )
        pictures = imagenet_pictures(str(root))
        self.images = image_set("imagenet", pictures, canvas).choose(size, seed, ids)


class Imagenette(LightningDataModule):
    """The 3,925 validation images of Imagenette (Howard 2019), ten easy classes of ImageNet-1k, with 1k labels.

    `root` is the folder that holds them, in the variant with the shorter side at 320 pixels; without it they are
    downloaded once into the user's cache folder.
    """

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        resize: Side = 256,
        crop: Side = 224,
    ) -> None:
        super().__init__()
        canvas = Canvas(resize, crop)
        check_choice(size, ids)
        parent = downloaded("Imagenette (330 MB)", root, IMAGENETTE_FOLDER, [IMAGENETTE])
        pictures = imagenet_pictures(str(parent / IMAGENETTE_FOLDER))
        self.images = image_set("imagenette", pictures, canvas).choose(size, seed, ids)


class Foolbox20(LightningDataModule):
    """The twenty labelled ImageNet images that come with the package foolbox: a smoke test, not a measurement.

    `root` is a folder with files named imagenet_NUMBER_CLASS.jpg; without it they are read from the installed package,
    which is not imported.
    """

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        resize: Side = 256,
        crop: Side = 224,
    ) -> None:
        super().__init__()
        canvas = Canvas(resize, crop)
        check_choice(size, ids)
        folder = Path(str(root)).expanduser() if root is not None else foolbox_folder()
        named = ((path, re.fullmatch(r"imagenet_\d+_(\d{1,3})", path.stem)) for path in sorted(folder.glob("*.jpg")))
        pictures = [picture_file(path.name, path, int(match[1])) for path, match in named if match]
        if not pictures:
            raise UserError(f"no files named imagenet_NUMBER_CLASS.jpg in {folder}: pip install foolbox==3.3.4")
        self.images = image_set("foolbox20", pictures, canvas).choose(size, seed, ids)


def image_set(name: str, pictures: Sequence[Picture], canvas: Canvas) -> ImageSet:
    return picture_set(name, LABEL_SPACE, class_names(), pictures, canvas)


def foolbox_folder() -> Path:
    """Where the installed package foolbox keeps its sample images; the package itself is not imported."""
    spec = importlib.util.find_spec("foolbox")
    if spec is None or spec.origin is None:
        raise UserError("dataset=foolbox20 reads its images from the package foolbox: pip install foolbox==3.3.4")
    return Path(spec.origin).parent / "data"
