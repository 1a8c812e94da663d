"""Any folder of pictures."""

from pathlib import Path

from lightning import LightningDataModule
from timm.utils import natural_key

from sat_exp.datasets.canvas import Canvas, Mode
from sat_exp.datasets.pictures import SUFFIXES, files_below, picture_file, picture_set
from sat_exp.errors import UserError
from sat_exp.settings.types import FilePath, Images, Seed, Side, Text


class Folder(LightningDataModule):
    """The pictures in `root`, at any depth, in the order of their paths.

    Each is labelled with the name of the folder it lies in, classes in natural order (2 before 10, timm's), unless any
    lies in `root` itself: then none is labelled. `label_space` defaults to the name of `root`.
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
        super().__init__()
        canvas = Canvas(resize, crop, mode=mode)
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
        space = label_space or folder.name if labels else None
        self.images = picture_set(folder.name, space, tuple(labels), pictures, canvas).choose(size, seed, ids)
