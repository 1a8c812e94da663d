"""experiments/benchmark: the numbers in the text are those of its tables, and its groups are those that are trained."""

import re
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from sat_exp.studies.benchmark.groups import read_groups

ROOT = Path(__file__).parents[3]
STUDY = ROOT / "experiments/benchmark"
TEXT = (STUDY / "README.md").read_text(encoding="utf-8")


def table(name):
    return pd.read_csv(STUDY / f"tables/{name}.csv")


def test_every_number_with_an_interval_is_in_a_table():
    numbers = {
        f"{row[value]:.2f} ({row[low]:.2f}–{row[high]:.2f})".replace("-", "−")
        for name, value, low, high in (
            ("recognition", "auprc", "auprc_low", "auprc_high"),
            ("output_relations", "spearman", "low", "high"),
        )
        for row in table(name).to_dict("records")
    }
    found = re.findall(r"−?\d\.\d\d \(−?\d\.\d\d–−?\d\.\d\d\)", " ".join(TEXT.split()))
    assert len(found) > 30
    assert set(found) <= numbers


@pytest.mark.parametrize(("column", "place", "form"), [("auprc", 0, ".2f"), ("violation_rate", 1, ".1%")])
def test_the_tables_in_the_text_have_the_numbers_in_their_places(column, place, form):
    values = table("recognition").set_index(["test", "measure"])[column]
    head, _, *rows = re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE)[place].splitlines()
    columns = [cell.strip() for cell in head.strip("|").split("|")[1:]]
    cells = {
        (where, name.strip(" `")): cell.split()[0]
        for name, *rest in (row.strip("|").split("|") for row in rows if "chance" not in row)
        for where, cell in zip(columns, rest, strict=True)
    }
    assert cells == {key: format(value, form) for key, value in values.items()}


def test_the_groups_are_those_of_the_trainings():
    recipe = OmegaConf.load(ROOT / "conf/experiment/benchmark.yaml")
    trained = {
        f"{model}_{label}_seed{seed}"
        for model in recipe.pool.models
        for label in recipe.task.recipes
        for seed in recipe.task.seeds
    }
    assert len(trained) == 105
    trained = trained - {"fashion_swin_noise75_seed3"} | {"fashion_swin_noise75_seed5"}
    parents = {name for name in trained if "_base_" in name}
    ways = OmegaConf.load(ROOT / "conf/task/derive.yaml").ways
    groups = read_groups(STUDY / "groups.csv")
    assert set(groups["model"]) == trained | {f"{parent}_{way}" for parent in parents for way in ways}
    for row in groups.itertuples():
        recipe_or_parent = f"base_{row.group}" if row.group.startswith("seed") else f"{row.group}_seed"
        assert row.model.startswith(f"fashion_{row.stratum}_{recipe_or_parent}")
    listed = table("group_members")
    known = groups.merge(listed, on=["test", "stratum", "model", "group"])
    assert len(known) == len(listed) > 50
