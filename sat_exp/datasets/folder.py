"""A data set of any folder of pictures."""

from pathlib import Path

from timm.utils import natural_key

from sat_exp.datasets.canvas import Canvas, Mode
from sat_exp.datasets.data_set import DataSet
from sat_exp.datasets.image_set import ImageSet
from sat_exp.datasets.pictures import SUFFIXES, files_below, picture_file, picture_set
from sat_exp.errors import UserError
from sat_exp.settings.types import FilePath, Images, Seed, Side, Text


class Folder(DataSet):
    """The pictures in `root`, at any depth, in the order of their paths.

    The label of a picture is the name of its folder. Classes are in natural order (2 before 10, by timm). No picture is
    labelled where `root` itself has one. `label_space` defaults to the name of `root`.
    """

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        label_space: Text | None = None,
        resize: Side = 256,
        crop: Side = 224,
        mode: Mode = "RGB",
    ) -> None:
        self.canvas, self.label_space = Canvas(resize, crop, mode=mode), label_space
        super().__init__(root, size, seed, ids)

    def read(self, root: str | None) -> ImageSet:
        if root is None:
            raise UserError("dataset=folder needs a folder: give dataset.root=FOLDER with images, or folders of them")
        folder = Path(str(root)).expanduser().absolute()
        if not folder.is_dir():
            raise UserError(f"dataset.root={root} is no folder: give one with images, or with a folder for each class")
        paths = files_below(folder)
        if not paths:
            raise UserError(f"no images ({', '.join(SUFFIXES)}) in {folder}: give another dataset.root=FOLDER")
        names = sorted({path.parent.name for path in paths}, key=natural_key)
        labels = {} if "" in names else {name: index for index, name in enumerate(names)}
        pictures = [picture_file(str(path), folder / path, labels.get(path.parent.name)) for path in paths]
        space = self.label_space or folder.name if labels else None
        return picture_set(folder.name, space, tuple(labels), pictures, self.canvas)
