"""Imports run one way, as pyproject.toml states; `import sat_exp` is fast and loads nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_import_goes_down_a_layer_and_no_study_imports_another() -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_importing_the_package_loads_no_large_library() -> None:
    code = "import sys, sat_exp; print(*{'torch', 'lightning', 'pandas', 'matplotlib', 'hydra'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


@pytest.mark.parametrize("task", ["analyze", "benchmark", "compare", "report"])
def test_a_study_of_finished_runs_loads_no_torch(task) -> None:
    code = f"import sys, sat_exp.studies.{task}.task; print(*{{'torch', 'lightning', 'timm'}} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_engines_and_stores_load_the_libraries_of_extras_where_they_are_used() -> None:
    names = "sat_exp.engine.ray, sat_exp.engine.slurm, sat_exp.store, sat_exp.tasks.matrix"
    code = f"import sys, {names}; print(*{{'ray', 'submitit', 'obstore'}} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_a_run_over_a_full_store_loads_no_network_and_none_of_their_libraries(tmp_path) -> None:
    code = """
import sys
from sat_exp.__main__ import main
main()
print("imported", *sorted({"lightning", "timm", "torchvision", "wandb"} & set(sys.modules)))
"""
    command = ["task=attack", "model=fashion_regnet", "dataset=fashion_mnist", "dataset.size=4", "attack.steps=1"]
    where = [f"output_dir={tmp_path}", "name=one", "tracking=disabled", "hardware.threads=1"]
    imported, tables = [], []
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", code, *command, *where], capture_output=True, text=True, check=True
        )
        imported.append(ended.stdout.splitlines()[-1].split()[1:])
        written = (tmp_path / "one" / "tables").iterdir()
        tables.append({file.name: file.read_bytes() for file in written if file.stem != "time"})
    assert imported == [["lightning", "timm", "torchvision", "wandb"], []]
    assert tables[0] == tables[1]
