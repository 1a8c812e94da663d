"""What Hydra calls by names in a configuration: the check of what it composed, the interpolation `package_file`."""

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from sat_exp.errors import UserError, user_error
from sat_exp.settings.checking import check


class Checks(Callback):
    """Ends the program with one line where the configuration is wrong, before Hydra makes a folder."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)
        try:
            check(config)
        except Exception as error:  # Hydra would print a warning and continue
            if (known := user_error(error)) is None:
                traceback.print_exception(error)
                sys.exit(1)
            sys.exit(f"error: {known}")


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
