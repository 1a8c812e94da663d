"""Lets ``import torchvision`` succeed when its compiled operators do not match the installed torch.

A CUDA build of torchvision beside a CPU build of torch cannot load its operators, and Python-side registrations in
torchvision then fail with ``operator torchvision::nms does not exist``; timm and lightning both import torchvision.
Declaring the two operators that torchvision refers to by name is enough for everything this project uses (detection
operators and ``torchvision.io`` stay unavailable). On a sound installation the operators load and nothing is declared.
"""

import importlib.abc
import importlib.machinery
import sys
from pathlib import Path

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def declare_missing_operators(package: Path) -> None:
    """Load torchvision's operators from `package`; where that fails, declare the schemas its import needs."""
    import torch

    libraries = [path for path in package.glob("_C.*") if path.suffix in (".so", ".pyd", ".dylib")]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        libraries = []
    if not libraries:
        fragment = torch.library.Library("torchvision", "FRAGMENT")
        for schema in SCHEMAS:
            fragment.define(schema)
        declare_missing_operators.fragment = fragment  # type: ignore[attr-defined]  # lives as long as the process


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Runs `declare_missing_operators` at the first import of torchvision; costs nothing before that."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec("torchvision")
        if spec is not None and spec.origin is not None:
            declare_missing_operators(Path(spec.origin).parent)
        return None


def install() -> None:
    if "torchvision" not in sys.modules:
        sys.meta_path.insert(0, BeforeTorchvision())
