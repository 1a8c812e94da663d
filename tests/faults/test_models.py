"""Models that raise, return NaN, run out of memory or are not deterministic. The others of the pool are unaffected."""

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from omegaconf import OmegaConf

from sat_exp.names import CONF

from .harness import MATRIX, RUN, Ended, discard, run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SOUND = ("sound", "fashion_nfnet")
FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "raises_under_attack": ({"_target_": "networks.Raising", "stage": "attack"}, "a layer gave way"),
    "raises_in_transfer": ({"_target_": "networks.Raising", "stage": "transfer"}, "a layer gave way"),
    "not_finite": ({"_target_": "networks.NotFinite", "stage": "start"}, "not finite"),
    "not_finite_under_attack": ({"_target_": "networks.NotFinite", "stage": "attack"}, "not finite"),
    "not_finite_in_transfer": ({"_target_": "networks.NotFinite", "stage": "transfer"}, "not finite"),
    "restless": ({"_target_": "networks.Restless"}, "must be deterministic"),
    "no_memory": ({"_target_": "networks.Large", "most": 0}, "no memory for"),
}


def choose(folder: Path, networks: dict[str, dict[str, Any]]) -> list[str]:
    """The command that measures models of a user's own, with files for them in `folder`/own."""
    stock: Any = OmegaConf.to_container(OmegaConf.load(CONF / "model" / "fashion_resnet.yaml"))
    (folder / "own/model").mkdir(parents=True)
    for name, network in networks.items():
        changes = {"name": name, "pretrained": False, "checkpoint": None, "network": network, "components": {}}
        model = {key: value for key, value in stock.items() if key not in ("defaults", "parameters", "group")} | changes
        (folder / f"own/model/{name}.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(model)))
    listed = ",".join([*networks, "fashion_nfnet"])
    chosen = [part for part in MATRIX if not part.startswith("pool.models")]
    return ["-cd", "own", "allow=[networks]", *chosen, f"pool.models=[{listed}]"]


def measure(folder: Path, networks: dict[str, dict[str, Any]], **settings: Any) -> Ended:
    return run(folder, choose(folder, networks), modules=(str(Path(__file__).parent),), **settings)


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"outputs/{RUN}/tables/{name}.parquet")


@pytest.mark.parametrize("name", FAULTY)
def test_the_others_go_on_and_the_one_is_named(tally: Any, tmp_path: Path, name: str) -> None:
    network, reason = FAULTY[name]
    folder = tmp_path / "trial"
    ended = measure(folder, {"sound": {"_target_": "networks.Sound"}, name: network})
    assert ended.status == 1, ended.text
    failures = table(folder, "failures").set_index("model")["reason"]
    assert list(failures.index) == [name]
    assert reason in failures[name]
    assert sorted(table(folder, "models")["model"]) == sorted(SOUND)
    assert [line.startswith("error: not in the results") for line in ended.text.splitlines()].count(True) == 1

    alone = tmp_path / "alone"
    assert measure(alone, {"sound": {"_target_": "networks.Sound"}}).status == 0
    pd.testing.assert_frame_equal(table(folder, "pairs"), table(alone, "pairs"))
    tally("faulty model", name, "named, the others as without it")
    for each in (folder, alone):
        discard(each)


def test_a_network_that_cannot_run_is_refused_before_any_work(tally: Any, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    raising = {"_target_": "networks.Raising", "stage": "start"}
    ended = measure(folder, {"sound": {"_target_": "networks.Sound"}, "raises": raising})
    assert ended.status == 1
    assert ended.last.startswith("error: model raises cannot take images")
    assert "a layer gave way" in ended.last
    assert not (folder / "outputs").exists()
    tally("faulty model", "raises_at_once", "refused before any work")


@pytest.mark.parametrize("most", [2, 3, 5])
def test_a_batch_for_which_there_is_no_memory_is_halved(tally: Any, tmp_path: Path, most: int) -> None:
    folder = tmp_path / "trial"
    ended = measure(
        folder, {"sound": {"_target_": "networks.Sound"}, "large": {"_target_": "networks.Large", "most": most}}
    )
    assert ended.status == 0, ended.text
    models = table(folder, "models").set_index("model")
    assert models.loc["large", "clean_correct"] == models.loc["sound", "clean_correct"]
    tally("no memory", f"for more than {most} images at once", "measured in parts")
    discard(folder)


def test_memory_does_not_grow_with_failures(tally: Any, tmp_path: Path) -> None:
    """Twelve models of 40 MB that fail take no more memory at once than two."""
    peaks = []
    for number in (2, 12):
        folder = tmp_path / f"{number}"
        networks: dict[str, dict[str, Any]] = {
            f"falls_{index}": {"_target_": "networks.Raising", "stage": stage, "ballast": 40}
            for index, stage in zip(range(number), cycle(["attack", "transfer"]))
        }
        networks["sound"] = {"_target_": "networks.Sound"}
        ended = measure(folder, networks, peak=str(tmp_path / f"peak {number}"))
        assert ended.status == 1, ended.text
        assert len(table(folder, "failures")) == number
        peaks.append(json.loads((tmp_path / f"peak {number}").read_text())["kibibytes"] / 1024)
        discard(folder)
    assert peaks[1] - peaks[0] < 120, f"a peak of {peaks[0]:.0f} MB became one of {peaks[1]:.0f} MB"
    tally("twelve models that fail", "memory at the peak", "as with two")
