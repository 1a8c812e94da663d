"""Tables of throughput: the choice of a table, its scaling, the measurement of speed, and tables that are refused."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from sat_exp.errors import UserError
from sat_exp.models import Classifier
from sat_exp.modules import throughput
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.throughput import COLUMNS, RATES, SHIPPED, Machine, Stopwatch, by_network, key_of, read
from sat_exp.numerics import Choice

CONF = Path(__file__).parents[2] / "conf"
FACTS = {"load_seconds": 1.0, "parameters": 1000, "peak_memory_bytes": 10_000, "batch_size": 2, "torch": "2.13.0"}
FORWARD, ATTACK = RATES
ELSEWHERE = Machine("another processor", 1, "32-true")


@pytest.fixture
def hardware() -> Hardware:
    return Hardware(accelerator="cpu", precision="32-true", batch_size=4, threads=None, workers=1)


def model(name: str, size: int = 32) -> DictConfig:
    facts = {"size": size, "mean": [0.5], "std": [0.5], "interpolation": "bicubic", "crop": 1.0}
    return OmegaConf.create({"name": name, "network": {"_target_": f"some.{name}"}, "input": facts})


def table(path: Path, machine: Machine, rates: dict[str, tuple[float, float]]) -> Path:
    rows = [
        {"model": f"some.{name}", "input_size": 32, FORWARD: forward, ATTACK: attack} | FACTS | vars(machine)
        for name, (forward, attack) in rates.items()
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, index=False)
    return path


@dataclass
class Bench:
    """Stands for measuring. rates: model → its two rates; one that is not there fails. calls: who was measured."""

    rates: dict[str, tuple[float, float]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def measure(self, config: DictConfig, hardware: Hardware, canvas: int) -> dict[str, Any]:
        self.calls.append(config.name)
        if config.name not in self.rates:
            raise UserError(f"model {config.name}: the network could not be built")
        return dict(zip(RATES, self.rates[config.name], strict=True)) | FACTS


@pytest.fixture
def bench(monkeypatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(throughput, "timed", made.measure)
    return made


def find(tmp_path, hardware, names, references=("r1", "r2", "r3"), **options):
    return throughput.find(
        [model(name) for name in names],
        [model(name) for name in references],
        hardware,
        canvas=32,
        table=tmp_path / "throughput.csv",
        shipped=tmp_path / "shipped.csv",
        **options,
    )


def test_a_shipped_table_is_scaled_by_the_median_of_the_references(tmp_path, hardware, bench):
    shipped = {"r1": (10, 4), "r2": (20, 8), "r3": (40, 10), "big": (1, 0.5), "other": (3, 1)}
    table(tmp_path / "shipped.csv", ELSEWHERE, shipped)
    bench.rates |= {"r1": (20, 12), "r2": (60, 24), "r3": (160, 40)}  # 2, 3, 4 times forward; 3, 3, 4 times a step
    found = find(tmp_path, hardware, ["big", "r1", "other"])
    rows = found.rows.set_index("name")
    assert rows.loc["big", [FORWARD, ATTACK]].tolist() == [3, 1.5]
    assert rows.loc["other", [FORWARD, ATTACK]].tolist() == [9, 3]
    assert rows.loc["r1", [FORWARD, ATTACK]].tolist() == [20, 12]
    assert rows["source"].tolist() == ["scaled", "measured", "scaled"]
    assert rows.loc["big", ["slow", "fast"]].tolist() == pytest.approx([2 / 3, 4 / 3])
    assert rows.loc["r1", ["slow", "fast"]].tolist() == [1, 1]
    assert bench.calls == ["r1", "r2", "r3"]
    (note,) = found.notes
    assert "another processor" in note
    assert "3.00 times its speed forward" in note
    find(tmp_path, hardware, ["other"])
    assert bench.calls == ["r1", "r2", "r3"], "references are measured once"


def test_what_was_measured_on_this_machine_comes_first(tmp_path, hardware, bench):
    table(tmp_path / "shipped.csv", ELSEWHERE, {"a": (1, 1), "r1": (1, 1)})
    here = Machine.of(hardware)
    table(tmp_path / "throughput.csv", here, {"a": (7, 3)})
    found = find(tmp_path, hardware, ["a"])
    assert found.rows[FORWARD].tolist() == [7]
    assert not bench.calls
    assert not found.notes


@pytest.mark.parametrize("change", ["device", "threads", "precision"])
def test_what_was_measured_under_other_conditions_does_not_count(tmp_path, hardware, bench, change):
    here = Machine.of(hardware)
    other = Machine(**(vars(here) | {change: {"threads": here.threads + 1}.get(change, "other")}))
    table(tmp_path / "throughput.csv", other, {"a": (7, 3)})
    bench.rates["a"] = (5, 2)
    assert find(tmp_path, hardware, ["a"]).rows[FORWARD].tolist() == [5]
    assert len(pd.read_csv(tmp_path / "throughput.csv")) == 2


def test_measuring_goes_on_where_it_was_interrupted_and_survives_a_failure(tmp_path, hardware, bench):
    table(tmp_path / "shipped.csv", ELSEWHERE, {"a": (1, 1), "r1": (1, 1)})
    bench.rates |= {"a": (5, 2), "c": (6, 3)}
    found = find(tmp_path, hardware, ["a", "b", "c"], measure=True)
    assert found.rows["name"].tolist() == ["a", "c"]
    assert found.rows["source"].tolist() == ["measured"] * 2
    assert found.failures == {"b": "model b: the network could not be built"}
    bench.rates["b"] = (8, 4)
    found = find(tmp_path, hardware, ["a", "b", "c"], measure=True)
    assert bench.calls == ["a", "b", "c", "b"]
    assert found.rows[ATTACK].tolist() == [2, 4, 3]


def test_many_unknown_networks_are_not_measured_unasked(tmp_path, hardware, bench, monkeypatch):
    monkeypatch.setattr(throughput, "CHEAP_SECONDS", -1.0)
    bench.rates |= {"a": (5, 2)}
    with pytest.raises(UserError, match=r"2 of these models: measure them once, with task\.measure=true"):
        find(tmp_path, hardware, ["a", "b"])


def test_no_model_at_all_is_an_error(tmp_path, hardware, bench):
    with pytest.raises(UserError, match="no model could be measured: model a: the network could not be built"):
        find(tmp_path, hardware, ["a"])


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        (b"model,input_size\nx,32\n", "no column forward_images_per_second"),
        (b"", "No columns to parse"),
        (b"\xff\xfe\x00\x01", "throughput.csv is not a table"),
        (",".join(COLUMNS).encode() + b"\nx,32,0,1,1,1,1,1,cpu,1,32-true,2\n", "not above 0"),
        (",".join(COLUMNS).encode() + b"\nx,32,fast,1,1,1,1,1,cpu,1,32-true,2\n", "throughput.csv is not a table"),
        (",".join(COLUMNS).encode() + b"\nx,,1,1,1,1,1,1,cpu,1,32-true,2\n", "throughput.csv is not a table"),
    ],
)
def test_an_unreadable_table_is_refused_in_one_line(tmp_path, hardware, contents, complaint):
    (tmp_path / "throughput.csv").write_bytes(contents)
    with pytest.raises(UserError, match=complaint) as caught:
        find(tmp_path, hardware, ["a"])
    assert "\n" not in str(caught.value)


def test_the_machine_that_resembles_this_one_most_is_the_basis(tmp_path):
    gpu, cpu, half = (Machine("GPU", 0, "32-true"), Machine("CPU", 1, "32-true"), Machine("GPU", 0, "bf16-mixed"))
    parts = [table(tmp_path / f"{at}.csv", machine, {"a": (1, 1)}) for at, machine in enumerate((gpu, cpu, half))]
    everything = pd.concat([read(part) for part in parts])
    for wanted, expected in (
        (Machine("CPU", 8, "bf16-mixed"), cpu),
        (Machine("another GPU", 0, "bf16-mixed"), half),
        (Machine("GPU", 0, "16-mixed"), gpu),
    ):
        row = wanted.most_similar(everything).iloc[0]
        assert Machine(row["device"], row["threads"], row["precision"]) == expected


def test_a_network_is_named_whatever_its_weights():
    one, twin, other = (
        OmegaConf.load(CONF / "model" / f"{name}.yaml")
        for name in ("fashion_resnet", "fashion_resnet_seed1", "fashion_vit")
    )
    assert key_of(one) == key_of(twin) != key_of(other)
    assert key_of(model("x", 32)) != key_of(model("x", 64))


def test_a_real_network_is_measured(tmp_path, hardware, monkeypatch):
    monkeypatch.setattr(throughput, "ROUNDS_SECONDS", 0.1)
    config = OmegaConf.load(CONF / "model/fashion_resnet.yaml")
    config.checkpoint = "/no/such/file"
    found = throughput.find([config], [], hardware, canvas=32, table=tmp_path / "throughput.csv", measure=True)
    (row,) = found.rows.to_dict("records")
    assert row["parameters"] == 458_490
    assert row["batch_size"] == 4
    assert row[FORWARD] > row[ATTACK] > 1
    assert row["peak_memory_bytes"] > 4 * row["parameters"]
    assert config.checkpoint == "/no/such/file"
    pd.testing.assert_frame_equal(read(tmp_path / "throughput.csv")[RATES], found.rows[RATES], rtol=1e-5)


def test_fast_numerics_are_timed_as_such(hardware, monkeypatch):
    """The techniques of the choice are in what is timed, and the machine of the rows says so."""
    layers = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 32 * 32, 5)
    classifier = Classifier(nn.Sequential(*layers), size=32, mean=[0.5], std=[0.5], interpolation="bicubic").freeze()
    monkeypatch.setattr(throughput, "calibrate", lambda *inputs: Choice(attack=("folded",)))
    timed = Stopwatch(classifier, (1, 32, 32), replace(hardware, numerics="fast"))
    assert not any(isinstance(part, nn.BatchNorm2d) for part in timed.attacked[0].modules())
    assert timed.evaluated == (classifier,)
    assert Machine.of(replace(hardware, numerics="fast")).precision == "32-true fast"
    assert Machine.of(hardware).precision == "32-true"


def test_what_autograd_holds_grows_with_the_batch_and_leaves_weights_out(hardware):
    wide = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(8 * 32 * 32, 500))
    classifier = Classifier(wide, size=32, mean=[0.5], std=[0.5], interpolation="bicubic").freeze()
    timed = Stopwatch(classifier, (1, 32, 32), hardware)
    with torch.no_grad():
        one, four = timed.autograd_bytes(timed.images(1)), timed.autograd_bytes(timed.images(4))
    activations = 8 * 32 * 32 * 4
    assert activations <= one <= 3 * activations
    assert four == pytest.approx(4 * one, rel=0.02)


def test_every_reference_is_in_the_shipped_table():
    known = by_network(read(SHIPPED))
    for name in throughput.REFERENCES:
        assert key_of(OmegaConf.load(CONF / "model" / f"{name}.yaml")) in known


def test_the_shipped_table_covers_the_paper():
    known = by_network(read(SHIPPED))
    pool = OmegaConf.load(CONF / "pool/paper69.yaml").models
    missing = [name for name in pool if key_of(OmegaConf.load(CONF / "model" / f"{name}.yaml")) not in known]
    assert not missing
