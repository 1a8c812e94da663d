"""Image sets in the label space of ImageNet-1k (Russakovsky et al. 2015), from folders, a download or a package."""

import re
from collections.abc import Sequence
from pathlib import Path

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.data_set import ResizedDataSet
from sat_exp.datasets.downloading import Published, downloaded
from sat_exp.datasets.image_set import ImageSet
from sat_exp.datasets.imagenet_layouts import EXPECTED, class_names, imagenet_pictures
from sat_exp.datasets.pictures import Picture, picture_file, picture_set
from sat_exp.errors import UserError
from sat_exp.settings import package_file

LABEL_SPACE = "imagenet1k"
IMAGENETTE_FOLDER = "imagenette2-320"
IMAGENETTE = Published(
    f"https://s3.amazonaws.com/fast-ai-imageclas/{IMAGENETTE_FOLDER}.tgz",
    "5020a9130cea0348272823cb12d2db7e981c6f2afa3dce71ccd5b8013005c55e",
)


class ImageNet(ResizedDataSet):
    """Images of ImageNet-1k, or of any part of it, in the user's own copy.

    `root` is a folder, a tar file or a name at Hugging Face, in one of the layouts of `imagenet_layouts`. Images are in
    the order of their ids, SYNSET/FILE in every layout but labels.csv, so that copies of one set are interchangeable.
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
