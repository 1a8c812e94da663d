"""Image sets as Lightning data modules, each on one pixel canvas."""

from sat_exp.datasets.fashion_mnist import FashionMNIST
from sat_exp.datasets.image_set import ImageSet
from sat_exp.datasets.imagenet import Foolbox20, ImageNet, Imagenette

__all__ = ["FashionMNIST", "Foolbox20", "ImageNet", "ImageSet", "Imagenette"]
