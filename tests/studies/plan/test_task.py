"""task=plan from the command line."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from sat_exp.modules import throughput
from sat_exp.modules.throughput import RATES
from sat_exp.store import Store
from sat_exp.store.inventory import items
from sat_exp.studies.plan.findings import duration

from ...command import QUICK
from ...tasks.outcomes import folder_of as folder_of_measurement

POOL = ("pool=any", "pool.models=[fashion_resnet,fashion_convnext,fashion_resnet_seed1]", "dataset=fashion_mnist")
FACTS = {"load_seconds": 2.0, "parameters": 10**6, "peak_memory_bytes": 10**8, "batch_size": 4, "torch": "2.13.0"}
FORWARD, ATTACK = RATES


@pytest.fixture
def bench(monkeypatch) -> list[str]:
    """Every network runs 50 images a second forward and 20 in an attack step; the names of those measured."""
    asked: list[str] = []

    def measure(config, hardware, canvas):
        asked.append(config.name)
        return {FORWARD: 50.0, ATTACK: 20.0} | FACTS

    monkeypatch.setattr(throughput, "timed", measure)
    return asked


@pytest.fixture
def outputs(tmp_path) -> Path:
    return tmp_path / "outputs"


def folder_of(outcome) -> Path:
    return Path(re.search(r"report: (.+)/report\.html", outcome.text)[1])


def test_the_plan_of_a_pool_is_that_of_its_numbers(sat_exp, bench, outputs):
    arguments = ("task=plan", *POOL, "dataset.size=1000", "attack.steps=10", "hardware.batch_size=8")
    outcome = sat_exp(*arguments)
    assert outcome.status == 0, outcome.text
    assert bench == ["fashion_resnet", "fashion_convnext"], "networks of one architecture are measured once"
    folder = folder_of(outcome)
    plan = pd.read_csv(folder / "tables/plan.csv")
    assert plan["name"].tolist() == ["fashion_resnet", "fashion_convnext", "fashion_resnet_seed1"]
    assert plan["attack_seconds"].tolist() == [500] * 3
    assert plan["seconds"].tolist() == [2 + 20 + 500 + 60] * 3
    assert "The cost of 3 models on 1000 images of fashion_mnist" in outcome.text
    assert "It takes 29 min, as if every image were attacked" in outcome.text
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["planned_seconds"]["total"] == 3 * 582
    assert summary["disk_bytes"]["adversarial"] == 3000 * 32 * 32
    assert pd.read_csv(folder / "tables/throughput_used.csv")["source"].tolist() == ["measured"] * 3
    scaling = pd.read_csv(folder / "tables/scaling.csv").set_index("workers")
    assert scaling["seconds"].is_monotonic_decreasing
    assert scaling.loc[1, "seconds"] == pytest.approx(3 * 582, rel=0.01)
    needed = pd.read_csv(folder / "tables/images_needed.csv")
    assert needed.groupby("transfer_rate")["images"].apply(lambda wide: wide.is_monotonic_increasing).all()

    assert sat_exp(*arguments).status == 0
    assert len(bench) == 2, "what was measured is not measured again"


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        (["engine=processes", "task.workers=8"], 8),
        (["engine=processes", "engine.workers=3"], 3),
        (["engine=ray", "task.workers=5"], 5),
        (["engine=slurm", "task.workers=16"], 16),
    ],
)
def test_the_answer_says_how_long_it_takes_on_the_workers(sat_exp, bench, arguments, workers):
    outcome = sat_exp("task=plan", *POOL, "dataset.size=1000", "attack.steps=10", "hardware.threads=1", *arguments)
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    summary = json.loads((folder / "summary.json").read_text())
    scaling = pd.read_parquet(folder / "tables/scaling.parquet").set_index("workers")
    assert {1, 2, 4, 8, workers} <= set(scaling.index)
    known = scaling.loc[workers]
    assert 3 * 582 / workers < known["seconds"] < 3 * 582
    time, needs, _ = summary["findings"]
    assert time.startswith(f"It takes {duration(known['seconds'])} on {workers} workers (efficiency ")
    pixels = 1000 * 32 * 32
    assert summary["traffic_bytes"]["read"] == 3 * pixels + (2 + 2 + 3) * 3 * pixels + 3 * 1000 * 10 * 4 + 9 * 1000 * 4
    assert re.search(r"of disk, writes 4\.3 MB to the store, reads 24\.7 MB from it", needs)
    assert re.search(rf"\b{workers}: {duration(known['seconds'])}", " ".join(outcome.text.replace("│", " ").split()))


def test_more_processes_than_cores_are_said(sat_exp, bench):
    outcome = sat_exp("task=plan", *POOL, "hardware.threads=1", "engine=processes", "task.workers=9")
    assert "caution: planned as if each of 9 workers had 1 core; here are 1:" in " ".join(outcome.text.split())


def test_neither_images_nor_weights_are_needed(sat_exp, bench):
    outcome = sat_exp(
        "task=plan", "pool=any", "pool.models=[resnet50,vit_b16]", "dataset=imagenet", "dataset.root=/no/such/folder",
        "dataset.size=5000", "task.measure=true",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    assert bench == ["resnet50", "vit_b16"]
    summary = json.loads((folder_of(outcome) / "summary.json").read_text())
    assert summary["disk_bytes"]["images"] == 5000 * 3 * 224 * 224
    assert summary["disk_bytes"]["logits"] == 2 * 5000 * 1000 * 4


def test_a_disk_that_is_too_small_is_said(sat_exp, bench):
    outcome = sat_exp("task=plan", "model=fashion_resnet", "dataset=fashion_mnist", "dataset.size=1000000000")
    assert outcome.status == 0, outcome.text
    assert re.search(r"caution: [\d.]+ TB do not fit into the [\d.]+ .B free", outcome.text)


def test_a_batch_that_is_too_large_is_said(sat_exp, bench):
    outcome = sat_exp("task=plan", "model=fashion_resnet", "dataset=fashion_mnist", "hardware.batch_size=65536")
    assert "caution: batches of 65536 of fashion_resnet do not fit into the" in " ".join(outcome.text.split())


def test_a_finished_run_tells_accuracy_and_correlation(sat_exp, bench, outputs):
    measured = sat_exp(*QUICK, "task=matrix", *POOL[:2], "dataset.size=150", "attack.epsilon=24")
    assert measured.status == 0, measured.text
    models = pd.read_parquet(folder_of_measurement(measured) / "tables/models.parquet")
    outcome = sat_exp("task=plan", *POOL, "dataset.size=1000")
    folder = folder_of(outcome)
    plan = pd.read_parquet(folder / "tables/plan.parquet").set_index("name")
    assert plan["attacked"].to_dict() == pytest.approx(
        {row.model: 1000 * row.attacked / 150 for row in models.itertuples()}
    )
    needed = pd.read_parquet(folder / "tables/images_needed.parquet")
    assert (needed["correlation"] < 1).all()
    assert (needed["images"] > needed["common_images"]).all()
    assert "accuracies from" in outcome.text


BAD = {
    "no size": (["dataset.size=null"], "dataset.size=null: a plan needs to know how many images"),
    "size of none": (["dataset.size=0"], "dataset.size=0: give a value of 1 or more"),
    "no width": (["task.width=0"], "task.width=0: give a value above 0"),
    "width in words": (["task.width=narrow"], "task.width='narrow': give a number"),
    "unknown model": (["pool=any", "pool.models=[fashion_rsnet]"], "did you mean fashion_resnet"),
    "workers of a cluster": (["engine=ray"], "task.workers=null: give the number of workers that engine=ray will have"),
    "several workers of one process": (["task.workers=2"], "task.workers=2: engine=local is one worker"),
    "no workers": (["task.workers=0"], "task.workers=0: give a value of 1 or more"),
    "no steps": (["attack.steps=0"], "attack.steps=0: give a value of 1 or more"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(sat_exp, bench, arguments, message):
    outcome = sat_exp("task=plan", "dataset=fashion_mnist", *arguments)
    assert outcome.status != 0
    assert message in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text


def test_an_unreadable_table_is_named(sat_exp, bench, outputs):
    outputs.mkdir()
    (outputs / "throughput.csv").write_text("not,a,table\n1,2,3\n")
    outcome = sat_exp("task=plan", "dataset=fashion_mnist")
    assert outcome.status != 0
    assert "throughput.csv is not a table of throughput (no column model" in " ".join(outcome.text.split())


def test_dropped_images_need_less_disk(sat_exp, bench):
    arguments = ("task=plan", *POOL, "dataset.size=1000", "hardware.batch_size=8")
    outcome = sat_exp(*arguments, "adversarial=drop")
    assert outcome.status == 0, outcome.text
    summary = json.loads((folder_of(outcome) / "summary.json").read_text())
    examples = 12 * 8
    assert summary["disk_bytes"]["adversarial"] == (1000 + 2 * examples) * 32 * 32
    assert "of disk with adversarial=drop, where each model is loaded once" in " ".join(outcome.text.split())
    kept = sat_exp(*arguments)
    assert "adversarial=drop" not in kept.text
    whole = json.loads((folder_of(kept) / "summary.json").read_text())
    assert whole["traffic_bytes"] == summary["traffic_bytes"]
    assert whole["planned_seconds"] == summary["planned_seconds"]


@pytest.mark.slow
def test_a_real_run_takes_what_was_planned(sat_exp, outputs):
    """Within a factor of 2.5, which leaves room for other work on the machine; disk within the bound."""
    arguments = (*POOL, "dataset.size=120", "attack.steps=20", "hardware.threads=1")
    planned = sat_exp("task=plan", *arguments)
    assert planned.status == 0, planned.text
    plan = json.loads((folder_of(planned) / "summary.json").read_text())
    real = sat_exp("task=matrix", *arguments)
    assert real.status == 0, real.text
    timings = json.loads((folder_of_measurement(real) / "summary.json").read_text())["timings"]
    assert 1 / 2.5 < plan["planned_seconds"]["total"] / sum(timings.values()) < 2.5
    stored = sum(item.size for item in items(Store.at(outputs / "store")))
    metadata = 3 * (1 + 1 + 3) * 4096
    assert stored < sum(plan["disk_bytes"].values()) + metadata
