"""The test images of labelled sets that torchvision reads: Flowers-102, CIFAR-10 and CIFAR-100."""

from pathlib import Path
from typing import Any

import numpy as np

from sat_exp import pickles
from sat_exp.datasets.data_set import DataSet, ResizedDataSet
from sat_exp.datasets.downloading import Published, downloaded
from sat_exp.datasets.image_set import ImageSet, of_pixels
from sat_exp.datasets.pictures import picture_file, picture_set
from sat_exp.errors import explained

FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
FLOWERS_FOLDER = "flowers-102"
FLOWERS_FILES = tuple(
    Published(f"{FLOWERS}/{name}", sha256, FLOWERS_FOLDER)
    for name, sha256 in {
        "102flowers.tgz": "2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
        "imagelabels.mat": "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
        "setid.mat": "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
    }.items()
)
CIFAR_SHA256 = {
    "cifar10": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar100": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
}
SIDE = 32
AGAIN = "remove it, to download it again"


class Flowers102(ResizedDataSet):
    """The 6,149 test images of Flowers-102 (Nilsback & Zisserman 2008), 102 kinds of flowers, 20 to 238 images each.

    `root` is the folder with the set; without it the set is downloaded once into the user's cache folder.
    """

    def read(self, root: str | None) -> ImageSet:
        parent = downloaded("Flowers-102 (350 MB)", root, FLOWERS_FOLDER, FLOWERS_FILES)
        with explained(f"{parent / FLOWERS_FOLDER} is not the published set", AGAIN):
            published = published_set("Flowers102")
            flowers = published(str(parent), split="test", loader=Path)
        files = [flowers[index] for index in range(len(flowers))]
        pictures = [picture_file(path.name, path, label) for path, label in files]
        names = tuple(published.classes)
        return picture_set("flowers102", "flowers102", names, pictures, self.canvas)


class CIFAR10(DataSet):
    """The 10,000 test images of CIFAR-10 (Krizhevsky 2009), 32×32 pixels. `root` is as in `Flowers102`."""

    published = "CIFAR10"

    def read(self, root: str | None) -> ImageSet:
        name, published = self.published.lower(), published_set(self.published)
        folder, archive = published.base_folder, Published(published.url, CIFAR_SHA256[name])
        place = downloaded(f"{name} (170 MB)", root, folder, [archive]) / folder
        with explained(f"{place} is not the published set", AGAIN):
            pixels, labels, class_names = read_cifar(place, published)
        return of_pixels(name, class_names, "test", pixels, labels)


class CIFAR100(CIFAR10):
    """The 10,000 test images of CIFAR-100 (Krizhevsky 2009); else as `CIFAR10`."""

    published = "CIFAR100"


def published_set(name: str) -> Any:
    """The class of torchvision that reads a set and states its address and files."""
    import torchvision

    return getattr(torchvision.datasets, name)


def check_integrity(path: str, md5: str) -> bool:
    """Whether a file is there and has this MD5."""
    from torchvision.datasets.utils import check_integrity

    return check_integrity(path, md5)


def read_cifar(place: Path, published: Any) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Pixels uint8 [N, 32, 32, 3], labels int64 [N] and class names, from pickles that are read as data."""
    ((file, md5),) = published.test_list
    for each, known in ((file, md5), (published.meta["filename"], published.meta["md5"])):
        if not check_integrity(str(place / each), known):
            raise ValueError(f"{each} is absent or damaged")
    test = pickles.read((place / file).read_bytes())
    names = pickles.read((place / published.meta["filename"]).read_bytes())[published.meta["key"]]
    pixels = test["data"].values.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), np.array(test.get("labels", test.get("fine_labels")), np.int64), tuple(names)
