"""Sweeps through Hydra on a small configuration: the jobs that run, their folders, and their messages."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from sat_exp import sweeps
from sat_exp.errors import UserError
from sat_exp.names import CONF

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"

FILES = {
    "config": """
        defaults: [_self_, attack: pgd, dataset: photos, model: a, model@target: null, pool: null, tracking: mirror,
          task: transfer, experiment: null, override hydra/sweeper: models]
        output_dir: out
        pool: null
        target: null
        sweep: {models: [], targets: []}
        hydra: {job: {name: app, config: {override_dirname: {exclude_keys: [task, output_dir]}}}, sweep: {dir: out,
          subdir: '${hydra.job.override_dirname}'}, output_subdir: null}
        """,
    "attack/pgd": "epsilon: 8",
    "dataset/photos": "name: photos",
    "dataset/letters": "name: letters",
    "dataset/digits": "name: digits",
    "model/a": "{name: a, pretrained: true}",
    "model/b": "{name: b, pretrained: true}",
    "model/c": "{name: c, pretrained: true}",
    "model/x": "{defaults: [override /dataset@_global_.dataset: letters], name: x, pretrained: true}",
    "model/y": "{defaults: [override /dataset@_global_.dataset: letters], name: y, pretrained: true}",
    "model/timm": "{name: '???', pretrained: true}",
    "pool/any": "{name: any, models: []}",
    "pool/some": "{defaults: [override /dataset@_global_.dataset: digits], name: some, models: [c, a]}",
    "experiment/study": "# @package _global_\ndefaults: [override /pool: some]",
    "tracking/mirror": "mode: mirror",
    "tracking/disabled": "mode: disabled",
    "task/attack": "name: attack",
    "task/transfer": "name: transfer",
    "task/train": "name: train",
}


@dataclass(frozen=True)
class Seen:
    """A job as its task saw it."""

    model: str
    target: str | None
    sources: list[str]
    targets: list[str]
    dataset: str
    pool: list[str] | None
    epsilon: int
    tracking: str
    folder: str


@pytest.fixture(scope="module")
def conf(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    files = FILES | {"hydra/sweeper/models": (CONF / "hydra/sweeper/models.yaml").read_text()}
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def run(conf, tmp_path, monkeypatch) -> Callable[..., list[Seen]]:
    """Runs a sweep as the command line does; `task` is called for every job, after it was recorded."""
    monkeypatch.chdir(tmp_path)
    for check in ("checks.check_early", "settings.check"):
        monkeypatch.setattr(f"sat_exp.sweeps.{check}", lambda config: None)

    def run(*arguments: str, task: Callable[[DictConfig], str | None] = lambda config: None) -> list[Seen]:
        seen = []

        def record(config: DictConfig) -> str | None:
            seen.append(
                Seen(
                    model=config.model.name,
                    target=config.target and config.target.name,
                    sources=list(config.sweep.models),
                    targets=list(config.sweep.targets),
                    dataset=config.dataset.name,
                    pool=config.pool and list(config.pool.models),
                    epsilon=config.attack.epsilon,
                    tracking=config.tracking.mode,
                    folder=Path(HydraConfig.get().runtime.output_dir).relative_to(tmp_path / "out").as_posix(),
                )
            )
            return task(config)

        monkeypatch.setattr(sys, "argv", ["app", "-m", *arguments])
        sweeps.register()
        run.seen = seen  # type: ignore[attr-defined]
        hydra.main(version_base="1.3", config_path=str(conf), config_name="config")(record)()
        return seen

    return run


def test_a_sweep_over_pairs_is_one_job(run):
    (job,) = run("model=a,b", "model@target=c,a,b")
    assert (job.model, job.sources) == ("a", ["a", "b"])
    assert (job.target, job.targets) == (None, ["c", "a", "b"])
    assert (job.dataset, job.pool, job.epsilon) == ("photos", None, 8)


@pytest.mark.parametrize(
    ("arguments", "sources", "targets"),
    [
        (("task=attack", "model=b,a,b"), ["b", "a"], []),
        (("task=attack", "model=choice(b,a)"), ["b", "a"], []),
        (("model=a", "model@target=b,c"), ["a"], ["b", "c"]),
        (("model=a,b", "model@target=c"), ["a", "b"], ["c"]),
        (("model@target=b,c",), ["a"], ["b", "c"]),
        (("model=glob(b*)", "model@target=c"), ["b"], ["c"]),
    ],
)
def test_either_side_may_be_swept(run, arguments, sources, targets):
    (job,) = run(*arguments)
    assert (job.model, job.sources, job.targets) == (sources[0], sources, targets)


def test_other_sweeps_remain_jobs_with_folders_of_their_own(run):
    jobs = run("model=a,b", "model@target=b,c", "attack.epsilon=4,8")
    assert [job.epsilon for job in jobs] == [4, 8]
    assert all((job.sources, job.targets) == (["a", "b"], ["b", "c"]) for job in jobs)
    assert [job.folder.rpartition("-")[0] for job in jobs] == ["attack.epsilon=4,2x2", "attack.epsilon=8,2x2"]
    (more,) = run("model=a,b", "model@target=b,a", "attack.epsilon=4")
    assert more.folder not in {job.folder for job in jobs}


def test_a_folder_is_named_by_what_is_swept(run):
    def folders(*arguments: str) -> list[str]:
        return [job.folder for job in run("task=attack", *arguments)]

    epsilons = folders("attack.epsilon=4,8")
    assert epsilons == ["attack.epsilon=4", "attack.epsilon=8"]
    assert folders("attack.epsilon=4,8", "tracking=disabled", "output_dir=out") == epsilons
    others = folders("attack.epsilon=4,8", "dataset.name=mine")
    assert [folder.rpartition(",")[0] for folder in others] == epsilons
    assert not {*others} & {*folders("attack.epsilon=4,8", "dataset.name=yours")}
    assert all(job.folder.startswith("2-") for job in run("task=attack", "model=a,b", "tracking=disabled"))
    assert folders("attack.epsilon=4,8", "dataset=letters,digits")[0] == "attack.epsilon=4,dataset=letters"
    assert len(set(folders("+note='a/b','a b'"))) == 2
    assert [job.folder for job in run("task=train", "model=a,b")] == ["model=a", "model=b"]


def test_sources_that_choose_another_data_set_are_another_job(run):
    jobs = run("model=a,x,b,y", "model@target=c,y")
    assert [(job.sources, job.dataset) for job in jobs] == [(["a", "b"], "photos"), (["x", "y"], "letters")]
    assert all(job.targets == ["c", "y"] for job in jobs)
    assert [job.sources for job in run("task=attack", "model=a,x", "dataset=digits")] == [["a", "x"]]


def test_a_glob_takes_no_template_and_only_targets_of_the_sources_data_set(run):
    jobs = run("model=glob(*)", "model@target=glob(*)")
    assert [(job.sources, job.targets, job.dataset) for job in jobs] == [
        (["a", "b", "c"], ["a", "b", "c"], "photos"),
        (["x", "y"], ["x", "y"], "letters"),
    ]


@pytest.mark.parametrize("pool", ["pool=some", "experiment=study"])
def test_with_a_pool_a_glob_means_its_members(run, pool):
    (rows,) = run(pool, "model=glob(*)")
    assert (rows.sources, rows.targets, rows.pool, rows.dataset) == (["c", "a"], [], ["c", "a"], "digits")
    (pairs,) = run(pool, "model=glob(*)", "model@target=glob(*)")
    assert (pairs.sources, pairs.targets, pairs.pool, pairs.dataset) == (["c", "a"], ["c", "a"], None, "digits")
    assert pairs.folder != rows.folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pool=some", "model=glob(b*)"), "no model of the pool matches model=glob(b*): give names, or another glob"),
        (("model=glob(tim*)",), "no model matches model=glob(tim*): give names, or another glob"),
        (("model=a", "attack=glob(cw*)"), "nothing matches attack=glob(cw*): give names, or another glob"),
    ],
)
def test_a_glob_that_fits_nothing_is_an_error(run, arguments, message):
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == f"error: {message}"


def test_no_sweep_over_models_no_merging(run):
    jobs = run("model=a", "model@target=b", "attack.epsilon=4,8")
    assert [(job.target, job.sources, job.epsilon) for job in jobs] == [("b", [], 4), ("b", [], 8)]


def test_settings_of_the_target_need_a_target_each(run):
    jobs = run("model=a,b", "model@target=c", "target.pretrained=false")
    assert [(job.model, job.target, job.sources) for job in jobs] == [("a", "c", []), ("b", "c", [])]


def test_tasks_that_are_not_named_get_a_job_a_model(run):
    jobs = run("task=train,attack", "pool=some", "model=glob(*)")
    assert [(job.model, job.sources) for job in jobs] == [("c", []), ("a", []), ("c", ["c", "a"])]


def test_batches_are_of_jobs(run, monkeypatch):
    batches = []
    launch = sweeps.ModelSweeper.launch
    monkeypatch.setattr(
        sweeps.ModelSweeper,
        "launch",
        lambda self, jobs, first: (batches.append((len(jobs), first)), launch(self, jobs, first))[1],
    )
    jobs = run("task=attack", "model=a,b", "attack.epsilon=1,2,3", "hydra.sweeper.max_batch_size=2")
    assert [job.epsilon for job in jobs] == [1, 2, 3]
    assert batches == [(2, 0), (1, 2)]


def test_failures_are_told_at_the_end(run):
    with pytest.raises(SystemExit) as end:
        run(
            "task=attack", "model=a,b", "attack.epsilon=4,8,16",
            task=lambda config: "too much" if config.attack.epsilon != 8 else None,
        )  # fmt: skip
    assert end.value.code == (
        "error: 2 of 3 jobs failed:\n"
        "  task=attack attack.epsilon=4 model=a,b: too much\n"
        "  task=attack attack.epsilon=16 model=a,b: too much"
    )
    assert [job.epsilon for job in run.seen] == [4, 8, 16]


def test_a_sweep_that_was_interrupted_comes_to_the_same_folders(run):
    arguments = ("task=attack", "model=a,b", "attack.epsilon=4,8")

    def interrupted(config):
        if config.attack.epsilon == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(*arguments, task=interrupted)
    begun = [job.folder for job in run.seen]
    assert [job.folder for job in run(*arguments)] == begun


def test_folders_have_names_that_file_systems_take(run):
    (job,) = run("task=attack", "model=a,b", f"+note='{'very/long ' * 40}'")
    assert len(job.folder) <= 120
    assert "/" not in job.folder
    (other,) = run("task=attack", "model=a,b", f"+note='{'very/long ' * 41}'")
    assert other.folder != job.folder


class Apart(Launcher):
    """Stands for a launcher whose jobs run in other processes: takes what it is given, and `dies` where told."""

    given: list[list[str]]
    dies = False

    def setup(self, *, hydra_context, task_function, config):
        self.arguments = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def launch(self, job_overrides, initial_job_idx):
        Apart.given += [list(overrides) for overrides in job_overrides]
        if Apart.dies:
            raise RuntimeError("a worker died")
        here = Plugins.instance().class_name_to_class[BASIC]()
        here.setup(**self.arguments)
        return here.launch(job_overrides, initial_job_idx)


@pytest.fixture
def apart(conf, monkeypatch) -> type[Apart]:
    name = "hydra_plugins.tests.Apart"
    (conf / "hydra/launcher").mkdir(exist_ok=True)
    (conf / "hydra/launcher/apart.yaml").write_text(f"_target_: {name}")
    monkeypatch.setitem(Plugins.instance().class_name_to_class, name, Apart)
    monkeypatch.setattr(Apart, "given", [], raising=False)
    monkeypatch.setattr(Apart, "dies", False)
    return Apart


def directed(jobs: list[Seen]) -> set[tuple[str, str]]:
    return {(job.model, target) for job in jobs for target in job.pool or []}


def test_rows_run_apart_before_the_whole(run, apart):
    *rows, whole = run("hydra/launcher=apart", "model=a,b", "model@target=b,c", "tracking=mirror")
    assert len(apart.given) == len(rows) == 3
    both = {(source, target) for source in "ab" for target in "bc"} | {(b, a) for a in "ab" for b in "bc"}
    assert directed(rows) == both
    assert all(row.tracking == "disabled" and row.sources == [] for row in rows)
    assert [row.folder for row in rows] == [f"{whole.folder}/rows/{row.model}" for row in rows]
    assert (whole.sources, whole.targets, whole.tracking) == (["a", "b"], ["b", "c"], "mirror")


@pytest.mark.parametrize("target", [(), ("model@target=glob(*)",)])
def test_rows_of_a_pool_keep_its_data_set(run, apart, target):
    *rows, whole = run("hydra/launcher=apart", "pool=some", "model=glob(*)", *target)
    assert directed(rows) == set(itertools.product("ac", "ac"))
    assert {job.dataset for job in (*rows, whole)} == {"digits"}


def test_rows_against_a_part_of_the_pool(run, apart):
    *rows, _ = run("hydra/launcher=apart", "experiment=study", "model=a,c", "model@target=a")
    assert directed(rows) == {("a", "a"), ("a", "c"), ("c", "a")}
    assert {row.dataset for row in rows} == {"digits"}


def test_what_dead_workers_left_is_done_here(run, apart, monkeypatch):
    monkeypatch.setattr(apart, "dies", True)
    (whole,) = run("hydra/launcher=apart", "task=attack", "model=a,b")
    assert whole.sources == ["a", "b"]


def test_other_jobs_go_to_the_chosen_launcher(run, apart):
    jobs = run("hydra/launcher=apart", "task=train,attack", "model=a,b")
    assert len(apart.given) == 4
    assert [(job.model, job.sources) for job in jobs] == [
        ("a", []), ("b", []), ("a", []), ("b", []), ("a", ["a", "b"])
    ]  # fmt: skip


NAMES = st.lists(st.sampled_from("abcxy"), min_size=1, max_size=4)


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sources=NAMES, targets=NAMES, epsilons=st.lists(st.integers(1, 9), min_size=1, max_size=2, unique=True))
def test_merged_jobs_hold_the_pairs_of_hydras_own_sweeper(run, monkeypatch, sources, targets, epsilons):
    arguments = [
        f"model={','.join(sources)}",
        f"model@target={','.join(targets)}",
        f"attack.epsilon={','.join(map(str, epsilons))}",
    ]
    merged = set()

    def planned(sweeper, jobs, first):
        for job in jobs:
            typed = dict(text.split("=", 1) for text in job.overrides)
            listed = [
                typed.get(several, typed.get(single)).strip("[]").split(",")
                for several, single in (("sweep.models", "model"), ("sweep.targets", "model@target"))
            ]
            merged.update(itertools.product([typed["attack.epsilon"]], *listed))
        return [JobReturn(_return_value=None, status=JobStatus.COMPLETED) for _ in jobs]

    monkeypatch.setattr(sweeps.ModelSweeper, "launch", planned)
    run(*arguments)
    basic = Plugins.instance().class_name_to_class["hydra._internal.core_plugins.basic_sweeper.BasicSweeper"]
    (separate,) = basic.split_arguments(OverridesParser.create().parse_overrides(arguments), None)  # type: ignore[attr-defined]
    assert merged == {
        tuple(dict(text.split("=") for text in job)[key] for key in ("attack.epsilon", "model", "model@target"))
        for job in separate
    }


@pytest.mark.slow
def test_joblib_gives_the_same_tables(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs hydra-joblib-launcher")
    found = {}
    for name, launcher in {"here": [], "apart": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]}.items():
        command = [
            sys.executable, "-m", "sat_exp", "-m", *launcher, "task=transfer", "model=fashion_resnet,fashion_mixer",
            "model@target=fashion_mixer,fashion_vit", "dataset.size=20", "attack.steps=2", "hardware.threads=1",
            "tracking=disabled", f"output_dir={tmp_path / name}",
        ]  # fmt: skip
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        (table,) = (tmp_path / name).glob("sweeps/transfer/*/tables/pairs.csv")
        found[name] = table.read_bytes()
    assert found["here"] == found["apart"]
    assert len(list((tmp_path / "apart").glob("sweeps/transfer/*/rows/*/tables/models.csv"))) == 3


def test_no_job_begins_where_one_of_them_is_wrong(run, monkeypatch):
    def check(config: DictConfig) -> None:
        if not isinstance(config.attack.epsilon, int):
            raise UserError("attack.epsilon: give a whole number")

    monkeypatch.setattr("sat_exp.sweeps.settings.check", check)
    with pytest.raises(SystemExit, match=r"^error: attack.epsilon=abc model=a: attack.epsilon: give a whole number$"):
        run("attack.epsilon=4,abc", "model=a")
    assert run.seen == []


def test_all_pairs_of_69_models_cost_a_handful_of_compositions(run, conf, monkeypatch):
    for number in range(69):
        (conf / f"model/many{number}.yaml").write_text(f"{{name: many{number}, pretrained: true}}")
    compositions = []
    load = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(
        ConfigLoaderImpl,
        "load_configuration",
        lambda self, *args, **kw: (compositions.append(args), load(self, *args, **kw))[1],
    )
    try:
        (job,) = run("model=glob(many*)", "model@target=glob(many*)")
    finally:
        for path in (conf / "model").glob("many*.yaml"):
            path.unlink()
    assert len(job.sources) == len(job.targets) == 69
    assert len(compositions) <= 6
