"""Image sets in a fixed order, each on a pixel canvas."""

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.fashion_mnist import FashionMNIST
from sat_exp.datasets.hugging_face import HuggingFace
from sat_exp.datasets.image_set import ImageSet
from sat_exp.datasets.imagenet import Foolbox20, ImageNet, Imagenette
from sat_exp.datasets.pictures import Folder
from sat_exp.datasets.torchvision_sets import CIFAR10, CIFAR100, Flowers102

__all__ = [
    "CIFAR10", "CIFAR100", "Canvas", "FashionMNIST", "Flowers102", "Folder", "Foolbox20", "HuggingFace", "ImageNet",
    "ImageSet", "Imagenette",
]  # fmt: skip
