"""The settings that data sets share, and the choice of images by them."""

from abc import ABC, abstractmethod
from pathlib import Path

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.image_set import ImageSet
from sat_exp.errors import UserError
from sat_exp.settings.types import FilePath, Images, Seed, Side


class DataSet(ABC):
    """Images to attack. A class that can be trained on adds `train_dataloader` and `val_dataloader`. It is no Lightning
    data module, because the import of Lightning takes seconds.

    root: where the images are. size: of a balanced subset, drawn by `seed`; all images where it is None. ids: a CSV
    file that lists the images instead. The signature of a class is the schema of its settings.
    """

    images: ImageSet

    def __init__(self, root: FilePath | None, size: Images | None, seed: Seed, ids: FilePath | None = None) -> None:
        if ids is not None and size is not None:
            raise UserError(f"dataset.ids and dataset.size={size} both choose images: give dataset.size=null with ids")
        every = self.read(root)
        self.images = every.subset(size, seed) if ids is None else every.listed(Path(ids).expanduser())

    @abstractmethod
    def read(self, root: str | None) -> ImageSet:
        """All images at `root`; UserError where there are none."""


class ResizedDataSet(DataSet):
    """Images of any size, resized to `resize` pixels on the shorter side and cropped to `crop`."""

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        resize: Side = 256,
        crop: Side = 224,
    ) -> None:
        self.canvas = Canvas(resize, crop)
        super().__init__(root, size, seed, ids)
