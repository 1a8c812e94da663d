"""The check of a composed configuration, before Hydra makes a folder."""

import sys
import traceback
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from sat_exp import settings
from sat_exp.errors import user_error
from sat_exp.tasks import composing


def check_early(config: DictConfig) -> None:
    """UserError for a wrong setting that can be told without torch: unknown names, wrong types, values out of range."""
    settings.check_values(config)
    if config.pool is not None:
        with settings.allowing(config):
            for model in composing.members(config.pool.models, "pool.models"):
                settings.check_model(model, f"model {model.get('name')}")


class Checks(Callback):
    """Ends the program with one line where the configuration is wrong."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)
        try:
            check_early(config)
            settings.check(config)
        except Exception as error:  # Hydra would print a warning and continue
            if (known := user_error(error)) is None:
                traceback.print_exception(error)
                sys.exit(1)
            sys.exit(f"error: {known}")
