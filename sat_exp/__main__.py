"""The command line: compose the configuration, then hand it to the chosen task."""

from sat_exp import stopping

if __name__ == "__main__":
    stopping.begin()  # before the imports, which take time

import ast
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sat_exp import settings, sweeps
from sat_exp.errors import UserError, of_hydra, user_error
from sat_exp.names import CONF, check_choices, check_collisions, files_of, own_folder, resolve
from sat_exp.settings import search_path

log = logging.getLogger(__name__)


def tasks() -> str:
    """The tasks for `--help`, one line each: the question of a study, the docstring of another task's module. No task
    is imported."""
    from sat_exp.runs import registry

    questions = {study.name: study.question for study in registry.studies()}
    files = files_of("task", [CONF, *search_path.plugin_folders().values()])
    lines = {name: questions.get(name) or summary_of(file) for name, file in sorted(files.items())}
    width = max(map(len, lines))
    return "\n".join(f"  {name:{width}}  {line}" for name, line in lines.items()).replace("$", "$$")


def summary_of(file: Path) -> str:
    """The first line of the docstring of the module that a task's file names, without 'task=NAME: ' and full stop."""
    stated = yaml.safe_load(file.read_text(encoding="utf-8"))
    module = str(stated.get("task", stated).get("_target_", "")).rpartition(".")[0]
    spec = find_spec(module) if module else None
    if spec is None or spec.origin is None:
        return ""
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].removeprefix(f"task={file.stem}: ").rstrip(".")


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
            search_path.check_folder(own)
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
