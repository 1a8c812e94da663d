"""A hook that lets `import torchvision` succeed when its compiled operators do not match the installed torch.

A CUDA build of torchvision with a CPU build of torch cannot load its operators. Its import, which timm and lightning
need, then fails with "operator torchvision::nms does not exist". Declaring the two operators that the import refers to
is enough for everything here except detection operators and `torchvision.io`. On a sound installation the operators
load and nothing is declared.

There is no public way: the operators must be declared after torch and before torchvision is imported, by whichever
library comes first, and importing torch here would make `--help` slow. Hence the finder in `sys.meta_path`, which
removes itself at the first import of torchvision.
"""

import importlib.abc
import importlib.machinery
import sys
from pathlib import Path


def declare_missing_operators(package: Path) -> None:
    """Load the operators of torchvision in the folder `package`; if that fails, declare those that its import needs."""
    import torch

    libraries = [path for path in package.glob("_C.*") if path.suffix in (".so", ".pyd", ".dylib")]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        libraries = []
    if not libraries:
        fragment = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            fragment.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        declare_missing_operators.fragment = fragment  # type: ignore[attr-defined]  # lives as long as the process


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Calls `declare_missing_operators` at the first import of torchvision."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname != "torchvision":
            return
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec("torchvision")
        if spec is not None and spec.origin is not None:
            declare_missing_operators(Path(spec.origin).parent)


def install() -> None:
    """Have the hook run when torchvision is imported."""
    if "torchvision" not in sys.modules:
        sys.meta_path.insert(0, BeforeTorchvision())
