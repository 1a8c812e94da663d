"""One command: check the names, compose the configuration by Hydra, run the chosen task."""

import logging
import os
import sys
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from sat_exp import settings, stopping, sweeps
from sat_exp.errors import UserError, of_hydra, user_error
from sat_exp.names import CONF, check_choices, check_collisions, own_folder, resolve
from sat_exp.settings import search_path

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> None:
    """Run the command of these arguments; one line and exit status 1 where they are wrong."""
    sys.argv[1:] = resolve(arguments, CONF)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors
    try:
        own = own_folder(sys.argv[1:])
        check_collisions(CONF, search_path.plugin_folders(), own)
        if own is not None:
            search_path.check_folder(own)
        check_choices(sys.argv[1:], [CONF, *search_path.plugin_folders().values(), *([own] if own else [])])
        sweeps.register()
        search_path.register()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(perform)()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {user_error(error) or of_hydra(error)}")
    except Exception as error:  # for instance, Hydra could not open its log file
        if (known := user_error(error)) is None:
            raise
        sys.exit(f"error: {known}")


def perform(config: DictConfig) -> str | None:
    """Run the chosen task. A failure ends a single run; in a sweep it is returned, so that the other jobs continue."""
    logging.raiseExceptions = False  # as in `main`: a launcher's worker starts here
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
