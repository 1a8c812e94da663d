"""The check of a configuration at the moment when Hydra has composed it and has not yet made a folder."""

import sys
import traceback
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from sat_exp.errors import user_error
from sat_exp.settings.checking import check


class Checks(Callback):
    """Ends the program with one line where the configuration is wrong."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)
        try:
            check(config)
        except Exception as error:  # Hydra would print a warning and continue
            if (known := user_error(error)) is None:
                traceback.print_exception(error)
                sys.exit(1)
            sys.exit(f"error: {known}")
