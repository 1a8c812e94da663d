"""Sweeps through Hydra on a small configuration: the jobs that run, their folders, and their messages."""

import itertools

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from sat_exp import sweeps
from sat_exp.errors import UserError


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
