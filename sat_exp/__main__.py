"""The command line: compose the configuration, then hand it to the chosen task."""

from sat_exp import stopping

if __name__ == "__main__":
    stopping.begin()  # before the imports, which take time

import logging
import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sat_exp import settings, sweeps
from sat_exp.errors import UserError, of_hydra, user_error
from sat_exp.names import CONF, check_choices, check_collisions, own_folder, resolve
from sat_exp.settings import search_path

log = logging.getLogger(__name__)


def tasks() -> str:
    """The tasks for `--help`, with one line each."""
    from sat_exp.tasks import help

    return help.tasks()


OmegaConf.register_new_resolver("tasks", tasks, replace=True)


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


@stopping.handled()
def main() -> None:
    logging.raiseExceptions = False  # on a full disk a log would print tracebacks
    sys.argv[1:] = resolve(sys.argv[1:], CONF)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors
    try:
        own = own_folder(sys.argv[1:])
        check_collisions(CONF, search_path.plugin_folders(), own)
        if own is not None:
            settings.check_folder(own)
        check_choices(sys.argv[1:], [CONF, *search_path.plugin_folders().values(), *([own] if own else [])])
        sweeps.register()
        search_path.register()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(perform)()
        print(end="", flush=True)  # a failure to write is an error here, not while the interpreter ends
    except (UserError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {user_error(error) or of_hydra(error)}")
    except Exception as error:  # for instance, Hydra could not open its log file
        if (known := user_error(error)) is None:
            raise
        sys.exit(f"error: {known}")


if __name__ == "__main__":
    main()
