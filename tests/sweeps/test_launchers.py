"""Sweeps whose jobs run in other processes, by a launcher of Hydra."""

import itertools
import os
import subprocess
import sys

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher

from .conftest import Seen

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


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
