"""Sweeps (-m). A sweep over models is one measurement, hence one job."""

import copy
import hashlib
import itertools
import logging
import re
import sys
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sat_exp import settings
from sat_exp.console import checks
from sat_exp.errors import UserError, one_line, user_error
from sat_exp.settings.types import Count, Text
from sat_exp.tasks import composing

SOURCE, TARGET = "model", "model@target"
LONGEST = 100  # characters of the overrides in a folder's name
NAMED = 3  # the most models that a title names
MODELS = "tables/models.parquet"  # the file of a run that measured models
UNRELATED = ("output_dir", "store", "tracking", "hardware", "engine")  # settings that distinguish no results

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job of a sweep. overrides: as typed after `python -m sat_exp`. title: its name in the table of failures.
    merged: whether it covers a sweep over models. rows: overrides of the parts of such a job that can run in parallel,
    one per source."""

    overrides: list[str]
    title: str
    merged: bool = False
    rows: list[list[str]] = field(default_factory=list)


class ModelSweeper(Sweeper):
    """Hydra's sweeper, except that for the tasks in `merge` jobs that differ in model= and model@target= are one job.

    Such a job has model=FIRST, whose file chooses the data set, sweep.models=[...] and, if there are targets,
    sweep.targets=[...]. Models whose files choose another data set form another job. A glob matches members of the pool
    if a pool is chosen. A glob of targets matches models with the data set of the sources. A glob never matches a
    template such as model=timm.

    With another launcher than Hydra's basic one, the row of each source is a parallel job. The merged job then runs in
    this process, reads the rows from the store and computes what is missing.
    """

    config: DictConfig
    launcher: Launcher
    named: set[str]  # the settings, other than merged models, that differ between jobs

    def __init__(self, merge: list[Text], max_batch_size: Count | None, params: dict[str, Any] | None) -> None:
        values = {"merge": merge, "max_batch_size": max_batch_size, "params": params}
        settings.checked(ModelSweeper, settings.plain(OmegaConf.create(values)), "hydra.sweeper")
        self.merge, self.max_batch_size, self.params = merge, max_batch_size, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        def launcher(chosen: DictConfig) -> Launcher:
            return Plugins.instance().instantiate_launcher(hydra_context, task_function, chosen)

        self.hydra_context, self.config = hydra_context, config
        self.loader: Any = hydra_context.config_loader
        self.launcher = launcher(config)
        basic = copy.deepcopy(config)
        basic.hydra.launcher = self.file("hydra/launcher/basic")
        self.basic = self.launcher if config.hydra.launcher == basic.hydra.launcher else launcher(basic)

    def sweep(self, arguments: list[str]) -> list[list[JobReturn]]:
        """Run all jobs in batches; exit with a table of failures if any job returned one."""
        try:
            jobs = self.jobs(arguments)
            configs = [self.composed(job.overrides) for job in jobs]
            for check in (checks.check_early, settings.check):
                for job, config in zip(jobs, configs, strict=True):
                    self.check(job, config, check)
        except UserError as error:
            sys.exit(f"error: {error}")
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        size = self.max_batch_size or len(jobs)
        returns = [self.launch(jobs[first : first + size], first) for first in range(0, len(jobs), size)]
        done = [job for batch in returns for job in batch]
        reasons = zip(jobs, (job.return_value for job in done), strict=True)
        if failures := [f"  {job.title}: {reason}" for job, reason in reasons if isinstance(reason, str)]:
            sys.exit("\n".join([f"error: {len(failures)} of {len(jobs)} jobs failed:", *failures]))
        self.side_by_side(jobs, done, arguments)
        return returns

    def side_by_side(self, jobs: Sequence[Job], done: Sequence[JobReturn], arguments: Sequence[str]) -> None:
        """Set the measurements of a sweep over settings side by side, with task=report as a last job. Without one where
        fewer than two can be compared."""
        from sat_exp.studies.report import comparable

        folders = [str(job.hydra_cfg.hydra.runtime.output_dir) for job in done if job.hydra_cfg is not None]
        folders = [folder for folder in folders if (Path(folder) / MODELS).is_file()]
        if len(set(folders)) < 2:
            return
        try:
            comparable.compared(folders)
        except UserError as error:
            log.info("the runs are not set side by side: %s", error)
            return
        common = [other for other in jobs[0].overrides if all(other in job.overrides for job in jobs)]
        kept = [other for other in common if key_of(other).split(".")[0] in (*UNRELATED, "score", "allow")]
        swept = [argument for argument in arguments if argument not in common]
        text = as_name(",".join(["side_by_side", *swept]))
        overrides = [
            *kept,
            "task=report",
            f"task.runs={listing([quoted(folder) for folder in folders])}",
            f"hydra.sweep.dir={quoted(str(self.config.hydra.sweep.dir))}",
            f"hydra.sweep.subdir={quoted(f'{text}-{digest_of(folders)}')}",
        ]
        (last,) = self.basic.launch([overrides], len(jobs))
        if isinstance(last.return_value, str):
            log.warning("the runs are not set side by side: %s", last.return_value)

    def check(self, job: Job, config: DictConfig, check: Callable[[DictConfig], None]) -> None:
        """UserError where `check` finds `config`, the configuration of `job`, wrong."""
        HydraConfig.instance().set_config(config)
        try:
            check(config)
        except Exception as error:
            if (known := user_error(error)) is None:
                raise
            raise UserError(f"{job.title}: {known}") from error
        finally:
            HydraConfig.instance().set_config(self.config)

    def launch(self, jobs: Sequence[Job], first: int) -> list[JobReturn]:
        """The results of `jobs`, numbered from `first`, in order."""
        self.validate_batch_is_legal([job.overrides for job in jobs if not job.merged])
        if self.launcher is self.basic:
            return list(self.basic.launch([job.overrides for job in jobs], first))
        rows = [row for job in jobs for row in job.rows]
        if rows:
            log.info("%d rows run in parallel", len(rows))
            logging.disable(logging.INFO)  # launchers log all overrides of every row
            try:
                self.launcher.launch(rows, first)
            except Exception as error:  # whatever a launcher raises when a worker dies
                log.warning("not all rows were computed (%s); this process computes the others", one_line(error))
            finally:
                logging.disable(logging.NOTSET)
        returns = {}
        for merged, launcher in ((False, self.launcher), (True, self.basic)):
            chosen = [job.overrides for job in jobs if job.merged == merged]
            returns[merged] = iter(launcher.launch(chosen, first) if chosen else [])
        return [next(returns[job.merged]) for job in jobs]

    def jobs(self, arguments: Sequence[str]) -> list[Job]:
        """The jobs of a sweep; UserError for a glob that matches no model."""
        parser = OverridesParser.create(config_loader=self.loader)
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        typed = {override.get_key_element(): override for override in overrides}
        swept = {key: typed.pop(key) for key in (SOURCE, TARGET) if key in typed}
        self.named = {key.lstrip("+~") for key, override in typed.items() if override.is_sweep_override()}
        if not any(override.is_sweep_override() for override in swept.values()):
            return [self.plain(combination) for combination in combinations(overrides)]
        others = combinations(list(typed.values()))
        if len(others) == 1:
            return self.over_models(others[0], swept, self.config)
        return [job for other in others for job in self.over_models(other, swept, self.composed(other))]

    def over_models(self, others: list[str], swept: Mapping[str, Override], config: DictConfig) -> list[Job]:
        """The jobs of a sweep over models. others: one combination of all other overrides, composed as `config`."""
        names = {key: self.listed(override) for key, override in swept.items()}
        members = [] if config.pool is None else composing.names(list(config.pool.models))
        for key, override in swept.items():
            if members and is_glob(override):
                names[key] = [name for name in members if name in names[key]]
            if override.is_sweep_override() and not names[key]:
                scope = "of the pool " if members else ""
                raise UserError(f"no model {scope}matches {override.input_line}: give names, or another glob")
        choices = config.hydra.runtime.choices
        if choices.task not in self.merge or any(key_of(other).startswith("target.") for other in others):
            lists = [[f"{key}={name}" for name in listed] for key, listed in names.items()]
            self.named |= set(names)
            return [self.plain([*others, *models]) for models in itertools.product(*lists)]
        sources = names.get(SOURCE) or [choices[SOURCE]]
        targets = names.get(TARGET) or [name for name in [choices.get(TARGET)] if name]
        choices_with = self.choices_with(others, dict.fromkeys([*sources, *targets]))
        jobs = []
        for kind in dict.fromkeys(choices_with[name] for name in sources):
            chosen = [name for name in sources if choices_with[name] == kind]
            paired = [name for name in targets if choices_with[name] == kind or not is_glob(swept.get(TARGET))]
            folder = subdir(others, self.named, chosen, paired)
            overrides = [*others, f"{SOURCE}={chosen[0]}", f"sweep.models={listing(chosen)}"]
            title = f"{' '.join(others)} {SOURCE}={counted(chosen)}"
            if paired:
                overrides.append(f"sweep.targets={listing(paired)}")
                title += f" {TARGET}={counted(paired)}"
                overrides = self.without_pool(overrides) if members else overrides
            attackers = [name for name in choices_with if choices_with[name] == kind]
            one = any(key_of(other).startswith("model.") and key_of(other) != "model.pretrained" for other in others)
            rows = [] if one else row_jobs(others, attackers, chosen, paired, members, folder)
            jobs.append(Job([*overrides, f"hydra.sweep.subdir='{folder}'"], title.strip(), merged=True, rows=rows))
        return jobs

    def plain(self, overrides: list[str]) -> Job:
        """A job of one combination, in a folder of its own unless the folder is typed."""
        title = " ".join(overrides)
        if any(key_of(typed) == "hydra.sweep.subdir" for typed in self.config.hydra.overrides.hydra):
            return Job(overrides, title)
        return Job([*overrides, f"hydra.sweep.subdir='{subdir(overrides, self.named)}'"], title)

    def without_pool(self, overrides: list[str]) -> list[str]:
        """`overrides` without the pool, so that the job is of pairs; other choices of the pool's file are kept."""
        pairs = [override for override in overrides if key_of(override).split(".")[0] != "pool"] + ["~pool"]
        lost = sorted(self.chosen(overrides) - self.chosen(pairs))
        return pairs + [f"{group}={choice}" for group, choice in lost]

    def listed(self, override: Override) -> list[str]:
        """The models of model=... or model@target=..., each once; a glob leaves the template out."""
        if not override.is_sweep_override():
            return [str(override.value())]
        names = dict.fromkeys(override.sweep_string_iterator())
        return [name for name in names if not (is_glob(override) and name == composing.TEMPLATE)]

    def choices_with(self, others: list[str], names: Collection[str]) -> dict[str, Hashable]:
        """Model → a value that is equal for models with the same choices in other groups, such as the data set. Only
        one model of each defaults list is composed, because composing takes tenths of a second."""
        defaults = {name: str(self.file(f"model/{name}").get("defaults")) for name in names}
        examples = {listed: name for name, listed in defaults.items()}
        if len(examples) == 1:
            return dict(defaults)
        choices = {listed: self.chosen([*others, f"{SOURCE}={name}"]) for listed, name in examples.items()}
        return {name: choices[listed] for name, listed in defaults.items()}

    def file(self, path: str) -> DictConfig:
        """The configuration file at `path`, such as model/resnet50, from the first source that has it."""
        source = next(source for source in self.loader.get_sources() if source.is_config(path))
        return cast(DictConfig, source.load_config(path).config)

    def chosen(self, overrides: list[str]) -> frozenset[tuple[str, str]]:
        """The choice of every group except models and pool."""
        choices = self.composed(overrides).hydra.runtime.choices
        return frozenset(
            (group, choice or "null") for group, choice in choices.items() if group not in (SOURCE, TARGET, "pool")
        )

    def composed(self, overrides: list[str]) -> DictConfig:
        return self.loader.load_sweep_config(self.config, overrides)


def register() -> None:
    """Register the sweeper with Hydra. Hydra takes sweepers only from packages below `hydra_plugins`, and imports all
    of these at every start. The sweeper is therefore registered under such a name here, without such a package."""
    Plugins.instance().class_name_to_class["hydra_plugins.sat_exp.ModelSweeper"] = ModelSweeper


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """All combinations of the values of overrides that are sweeps; UserError for a sweep without values."""
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        values[key] = [override.input_line or key]
        if override.is_sweep_override():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        if not values[key]:
            raise UserError(f"nothing matches {override.input_line}: give names, or another glob")
    return [list(combination) for combination in itertools.product(*values.values())]


def row_jobs(
    others: list[str], attackers: list[str], sources: list[str], targets: list[str], members: list[str], folder: str
) -> list[list[str]]:
    """Overrides of the rows of a job over models, one per attacker: against the pool, or the attacker's partners."""
    if len(attackers) < 2:
        return []
    kept = [other for other in others if key_of(other) != "tracking"]
    rows = []
    for name in attackers:
        pool = []
        if targets:
            partners = dict.fromkeys([*(targets if name in sources else []), *(sources if name in targets else [])])
            if set(partners) != set(members):
                pool = [*([] if members else ["pool=any"]), f"pool.models={listing(list(partners))}"]
        rows.append(
            [*kept, f"{SOURCE}={name}", *pool, "tracking=disabled", f"hydra.sweep.subdir='{folder}/rows/{name}'"]
        )
    return rows


def is_glob(override: Override | None) -> bool:
    return override is not None and override.value_type == ValueType.GLOB_CHOICE_SWEEP


def key_of(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def quoted(text: str) -> str:
    """A text as a value that Hydra does not take apart."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def as_name(text: str) -> str:
    """A text as part of the name of a folder."""
    return re.sub(r"[^\w.,=@+\[\]-]+", "_", text)[:LONGEST]


def digest_of(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:6]


def listing(names: Sequence[str]) -> str:
    return f"[{','.join(names)}]"


def counted(names: Sequence[str]) -> str:
    return ",".join(names) if len(names) <= NAMED else f"<{len(names)} models>"


def subdir(
    others: Sequence[str], swept: Collection[str], sources: Sequence[str] = (), targets: Sequence[str] = ()
) -> str:
    """The name of the folder of a job, at most 120 characters: the overrides that are `swept`; its size, if it is over
    models; and, where these and the task do not determine the results, a digest of all but `UNRELATED` settings."""
    size = f"{len(sources)}x{len(targets)}" if targets else f"{len(sources)}" if sources else ""
    identity = sorted(other for other in others if key_of(other).split(".")[0] not in UNRELATED)
    digest = digest_of((identity, sources, targets))
    stated = ",".join(sorted(other for other in others if key_of(other) in swept))
    text = as_name(stated)
    if not size and text == stated and all(key_of(other) in (*swept, "task") for other in identity):
        return text
    return ",".join(part for part in (text, f"{size}-{digest}".lstrip("-")) if part)
