"""Sweeps (-m): a sweep over models is one measurement, hence one job."""

import copy
import hashlib
import itertools
import logging
import re
import sys
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from sat_exp.errors import UserError, one_line, user_error
from sat_exp.settings.types import Count, Text
from sat_exp.tasks import composing

SOURCE, TARGET = "model", "model@target"
HERE = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
LONGEST = 100
NAMED = 3
ELSEWHERE = ("output_dir", "tracking", "hardware")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job of a sweep.

    overrides: as typed after `python -m sat_exp`. title: what the table of failures calls it. merged: it stands for a
    sweep over models. rows: the parts of such a job that can run apart, one an attacking model, as overrides.
    """

    overrides: list[str]
    title: str
    merged: bool = False
    rows: list[list[str]] = field(default_factory=list)


class ModelSweeper(Sweeper):
    """Hydra's sweeper, except that for the tasks in `merge` jobs that differ in model= and model@target= are one job.

    Such a job has model=FIRST, so that the data set follows its file, sweep.models=[...] and, where there are targets,
    sweep.targets=[...]. Models whose files choose another data set go to a job of their own. A glob ranges over the
    pool's members where a pool is chosen; as targets, over those that follow the same data set as the sources; and
    never over a template such as model=timm.

    With another launcher than Hydra's basic one, the row of each attacking model is a job of its own, in parallel; then
    the whole job runs in this process, finds the rows in the store and does what is missing.
    """

    config: DictConfig
    launcher: Launcher

    def __init__(self, merge: list[Text], max_batch_size: Count | None, params: dict[str, Any] | None) -> None:
        given = {"merge": merge, "max_batch_size": max_batch_size, "params": params}
        settings.checked(ModelSweeper, settings.plain(OmegaConf.create(given)), "hydra.sweeper")
        self.merge, self.max_batch_size, self.params = merge, max_batch_size, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        def launcher(chosen: DictConfig) -> Launcher:
            return Plugins.instance().instantiate_launcher(hydra_context, task_function, chosen)

        self.hydra_context, self.config = hydra_context, config
        self.loader: Any = hydra_context.config_loader
        self.launcher = launcher(config)
        here = copy.deepcopy(config)
        here.hydra.launcher = {"_target_": HERE}
        self.here = self.launcher if config.hydra.launcher == here.hydra.launcher else launcher(here)

    def sweep(self, arguments: list[str]) -> list[list[JobReturn]]:
        """Run all jobs, batch by batch; then, if any returned the reason why it failed, exit with a table of those."""
        try:
            jobs = self.jobs(arguments)
            for job in jobs:
                self.check(job)
        except UserError as error:
            sys.exit(f"error: {error}")
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        size = self.max_batch_size or len(jobs)
        returns = [self.launch(jobs[first : first + size], first) for first in range(0, len(jobs), size)]
        reasons = [done.return_value for batch in returns for done in batch]
        failures = [(job, reason) for job, reason in zip(jobs, reasons, strict=True) if isinstance(reason, str)]
        if failures:
            lines = [f"  {job.title}: {reason}" for job, reason in failures]
            sys.exit("\n".join([f"error: {len(failures)} of {len(jobs)} jobs failed:", *lines]))
        return returns

    def check(self, job: Job) -> None:
        """Raise UserError where the configuration of a job is wrong: before any job begins."""
        config = self.composed(job.overrides)
        HydraConfig.instance().set_config(config)
        try:
            settings.check(config)
        except Exception as error:
            if (known := user_error(error)) is None:
                raise
            raise UserError(f"{job.title}: {known}") from error
        finally:
            HydraConfig.instance().set_config(self.config)

    def launch(self, jobs: Sequence[Job], first: int) -> list[JobReturn]:
        """What `jobs`, numbered from `first`, returned, in their order."""
        self.validate_batch_is_legal([job.overrides for job in jobs if not job.merged])
        if self.launcher is self.here:
            return list(self.here.launch([job.overrides for job in jobs], first))
        rows = [row for job in jobs for row in job.rows]
        if rows:
            log.info("%d rows run apart", len(rows))
            logging.disable(logging.INFO)  # of this process: launchers log all overrides of every row
            try:
                self.launcher.launch(rows, first)
            except Exception as error:  # whatever a launcher raises when a worker dies
                log.warning("not all rows came back (%s); what is missing is done here", one_line(error))
            finally:
                logging.disable(logging.NOTSET)
        returns = {}
        for merged, launcher in ((False, self.launcher), (True, self.here)):
            chosen = [job.overrides for job in jobs if job.merged == merged]
            returns[merged] = iter(launcher.launch(chosen, first) if chosen else [])
        return [next(returns[job.merged]) for job in jobs]

    def jobs(self, arguments: Sequence[str]) -> list[Job]:
        """The jobs that `arguments` ask for; UserError for a glob that no model fits."""
        parser = OverridesParser.create(config_loader=self.loader)
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        typed = {override.get_key_element(): override for override in overrides}
        swept = {key: typed.pop(key) for key in (SOURCE, TARGET) if key in typed}
        if not any(override.is_sweep_override() for override in swept.values()):
            return [plain(combination) for combination in combinations(overrides)]
        others = combinations(list(typed.values()))
        if len(others) == 1:
            return self.over_models(others[0], swept, self.config)
        return [job for other in others for job in self.over_models(other, swept, self.composed(other))]

    def over_models(self, others: list[str], swept: Mapping[str, Override], config: DictConfig) -> list[Job]:
        """The jobs of a sweep over models; `others`: one combination of all other overrides, composed as `config`."""
        names = {key: self.listed(override) for key, override in swept.items()}
        members = [] if config.pool is None else composing.names(list(config.pool.models))
        for key, override in swept.items():
            if members and is_glob(override):
                names[key] = [name for name in members if name in names[key]]
            if override.is_sweep_override() and not names[key]:
                of = "of the pool " if members else ""
                raise UserError(f"no model {of}fits {override.input_line}: give names, or another glob")
        choices = config.hydra.runtime.choices
        if choices.task not in self.merge or any(key_of(other).startswith("target.") for other in others):
            lists = [[f"{key}={name}" for name in listed] for key, listed in names.items()]
            return [plain([*others, *models]) for models in itertools.product(*lists)]
        sources = names.get(SOURCE) or [choices[SOURCE]]
        targets = names.get(TARGET) or [name for name in [choices.get(TARGET)] if name]
        followed = self.followed(others, dict.fromkeys([*sources, *targets]))
        excluded = config.hydra.job.config.override_dirname.exclude_keys
        jobs = []
        for kind in dict.fromkeys(followed[name] for name in sources):
            attacking = [name for name in sources if followed[name] == kind]
            attacked = [name for name in targets if followed[name] == kind or not is_glob(swept.get(TARGET))]
            folder = subdir(others, excluded, attacking, attacked)
            overrides = [*others, f"{SOURCE}={attacking[0]}", f"sweep.models={listing(attacking)}"]
            title = f"{' '.join(others)} {SOURCE}={counted(attacking)}"
            if attacked:
                overrides.append(f"sweep.targets={listing(attacked)}")
                title += f" {TARGET}={counted(attacked)}"
                overrides = self.without_pool(overrides) if members else overrides
            attackers = [name for name in followed if followed[name] == kind]
            one = any(key_of(other).startswith("model.") and key_of(other) != "model.pretrained" for other in others)
            rows = [] if one else row_jobs(others, attackers, attacking, attacked, members, folder)
            jobs.append(Job([*overrides, f"hydra.sweep.subdir='{folder}'"], title.strip(), merged=True, rows=rows))
        return jobs

    def without_pool(self, overrides: list[str]) -> list[str]:
        """`overrides` of pairs, not of rows against the pool; what the pool chose beside its members is kept."""
        pairs = [override for override in overrides if key_of(override).split(".")[0] != "pool"] + ["~pool"]
        lost = sorted(self.chosen(overrides) - self.chosen(pairs))
        return pairs + [f"{group}={choice}" for group, choice in lost]

    def listed(self, override: Override) -> list[str]:
        """The models that model=... or model@target=... names, each once; a glob leaves the template out."""
        if not override.is_sweep_override():
            return [str(override.value())]
        names = dict.fromkeys(override.sweep_string_iterator())
        return [name for name in names if not (is_glob(override) and name == composing.TEMPLATE)]

    def followed(self, others: list[str], names: Collection[str]) -> dict[str, Hashable]:
        """What is chosen in other groups, data set first of all, when each of `names` is the model; equal if equal."""
        repository = self.loader.repository
        wanted = {name: str(repository.load_config(f"model/{name}").defaults_list) for name in names}
        examples = {defaults: name for name, defaults in wanted.items()}
        if len(examples) == 1:
            return dict(wanted)
        made = {defaults: self.chosen([*others, f"{SOURCE}={name}"]) for defaults, name in examples.items()}
        return {name: made[defaults] for name, defaults in wanted.items()}

    def chosen(self, overrides: list[str]) -> frozenset[tuple[str, str]]:
        """Every group but those of models, with its choice."""
        choices = self.composed(overrides).hydra.runtime.choices
        return frozenset(
            (group, choice or "null") for group, choice in choices.items() if group not in (SOURCE, TARGET, "pool")
        )

    def composed(self, overrides: list[str]) -> DictConfig:
        return self.loader.load_sweep_config(self.config, overrides)


def register() -> None:
    """Make the sweeper known under the name in its file: Hydra takes sweepers from `hydra_plugins` only."""
    Plugins.instance().class_name_to_class["hydra_plugins.sat_exp.ModelSweeper"] = ModelSweeper


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Every combination of the values of those overrides that are sweeps; UserError for a sweep over nothing."""
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        values[key] = [override.input_line or key]
        if override.is_sweep_override():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        if not values[key]:
            raise UserError(f"nothing fits {override.input_line}: give names, or another glob")
    return [list(combination) for combination in itertools.product(*values.values())]


def plain(overrides: list[str]) -> Job:
    return Job(overrides, " ".join(overrides))


def row_jobs(
    others: list[str], attackers: list[str], sources: list[str], targets: list[str], members: list[str], folder: str
) -> list[list[str]]:
    """Overrides of the rows of a job over models, one each of `attackers`: against the pool, or its partners as one."""
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


def listing(names: Sequence[str]) -> str:
    return f"[{','.join(names)}]"


def counted(names: Sequence[str]) -> str:
    return ",".join(names) if len(names) <= NAMED else f"<{len(names)} models>"


def subdir(others: Sequence[str], unsaid: Collection[str], sources: Sequence[str], targets: Sequence[str]) -> str:
    """A folder's name for a job over models, at most 120 characters: other overrides but those `unsaid`, size, and a
    digest of all but where results go and what computes them."""
    size = f"{len(sources)}x{len(targets)}" if targets else f"{len(sources)}"
    identity = sorted(other for other in others if key_of(other).split(".")[0] not in ELSEWHERE)
    digest = hashlib.sha256(repr((identity, sources, targets)).encode()).hexdigest()[:6]
    said = sorted(other for other in others if key_of(other) not in unsaid)
    shown = re.sub(r"[^\w.,=@+\[\]-]+", "_", ",".join(said))[:LONGEST]
    return ",".join(part for part in (shown, f"{size}-{digest}") if part)
