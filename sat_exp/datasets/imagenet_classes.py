"""The 1,000 classes of ImageNet-1k. The index of a class is its position in the sorted synsets, for all classifiers."""

from collections import Counter
from functools import cache

from timm.data import ImageNetInfo

CLASSES = 1000


@cache
def synsets() -> dict[str, int]:
    """Synset → class index, in the standard order."""
    return {synset: index for index, synset in enumerate(ImageNetInfo("imagenet-1k").label_names())}


@cache
def class_names() -> tuple[str, ...]:
    """The first name of each class's synset, followed by the class index where two classes share the name."""
    info = ImageNetInfo("imagenet-1k")
    first = [info.index_to_description(index).split(",")[0] for index in range(CLASSES)]
    shared = {name for name, count in Counter(first).items() if count > 1}
    return tuple(f"{name} ({index})" if name in shared else name for index, name in enumerate(first))
