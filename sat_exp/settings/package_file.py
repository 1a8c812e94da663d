"""The interpolation `package_file`, which Hydra resolves in configurations."""

import importlib.util
from pathlib import Path

from omegaconf import OmegaConf

from sat_exp.errors import UserError


def package_file(package: str, pattern: str) -> str:
    """The path of the first file in an installed package that fits `pattern`; the package is not imported.

    A configuration names weights that come in a package by `${package_file:PACKAGE,PATTERN}`.
    """
    top, *inner = package.split(".")
    spec = importlib.util.find_spec(top)  # for an inner package it would import the outer one
    if spec is None or spec.origin is None:
        raise UserError(f"there is no package {package}, which has {pattern}: pip install 'sat_exp[imagenet]'")
    if ".." in pattern:
        raise UserError(f"package_file:{package},{pattern}: give a file in the package")
    folder = Path(spec.origin).parent.joinpath(*inner)
    return str(next(iter(sorted(folder.glob(pattern))), folder / pattern))


OmegaConf.register_new_resolver("package_file", package_file, replace=True)
