"""task=pick from the command line."""

import re
from pathlib import Path

import pandas as pd
import pytest

POOL = "pool.models=[fashion_resnet,fashion_convnext,fashion_vit,fashion_mixer,fashion_swin]"
SMALL = ("task=pick", "pool=any", POOL, "dataset=fashion_mnist", "dataset.size=60", "attack.steps=4")
QUICK = (*SMALL, "hardware.threads=1", "task.splits=4", "task.resamples=50")


def table_of(outcome, name):
    folder = re.search(r"report: (.+)/report\.html", outcome.text)[1]
    return pd.read_parquet(Path(folder) / "tables" / f"{name}.parquet")


def test_an_ensemble_is_recommended(sat_exp):
    outcome = sat_exp(*QUICK, "task.size=2")
    assert outcome.status == 0, outcome.text
    table = table_of(outcome, "ensemble_choices")
    assert table["size"].value_counts().to_dict() == {2: 6, 1: 1}
    assert re.search(r"Build fashion_\w+ \+ fashion_\w+\.", outcome.text)
    assert "The best single model" in outcome.text


def test_latency_is_measured_where_it_is_limited(sat_exp):
    outcome = sat_exp(*QUICK, "task.size=2", "task.most_latency=10000")
    assert outcome.status == 0, outcome.text
    assert (table_of(outcome, "ensemble_choices")["latency"] > 0).all()
    outcome = sat_exp(*QUICK, "task.size=2", "task.most_latency=0.000001")
    assert outcome.status == 1
    assert re.search(r"no ensemble of 2 is within the limits, as .* s: give another task.most_latency", outcome.text)


def test_without_labels_the_least_similar_are_recommended(sat_exp):
    outcome = sat_exp(*QUICK, "task.size=2", "labels=consensus")
    assert outcome.status == 0, outcome.text
    assert "Without labels the accuracy of the models and the gain of the ensemble are unknown." in outcome.text
    assert len(table_of(outcome, "least_similar")) == 10


def test_a_surrogate_for_one_target_and_for_all(sat_exp):
    one = sat_exp(*QUICK, "task.purpose=surrogate", "model@target=fashion_mobilenet")
    assert one.status == 0, one.text
    assert "fool fashion_mobilenet on" in one.text
    assert len(table_of(one, "surrogates")) == 5
    every = sat_exp(*QUICK, "task.purpose=surrogate")
    assert every.status == 0, every.text
    assert "fool the other 4 models on average" in every.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["~pool"], "task=pick chooses from several models: give pool=NAME"),
        (["task.size=5"], "task.size=5: give less than the 5 models of the pool"),
        (["model@target=fashion_nfnet"], "model@target= is for task.purpose=surrogate: leave it out"),
        (["labels=own", "task.least_accuracy=0.5"], "task.least_accuracy needs labels: give labels=truth"),
        (["task.purpose=teacher"], "task.purpose=teacher"),
        (["task.size=2", "task.most_parameters=1000"], "no ensemble of 2 is within the limits, as 2 models have at"),
    ],
)
def test_settings_that_do_not_fit_are_refused(sat_exp, settings, message):
    arguments = [argument for argument in QUICK if "~pool" not in settings or not argument.startswith("pool")]
    outcome = sat_exp(*arguments, *settings)
    assert outcome.status == 1
    assert message in outcome.text


def test_a_sample_without_an_ensemble_within_the_limits_is_refused(sat_exp):
    """Of the ten pairs, one has fewer parameters than the limit, and one is drawn."""
    least = 1 + sum(sorted(table_of(sat_exp(*QUICK, "task.size=2"), "models")["parameters"])[:2])
    settings = ("task.size=2", "task.candidates=1", f"task.most_parameters={least}")
    outcomes = [sat_exp(*QUICK, *settings, *labels, "seed=1") for labels in ((), ("labels=own",))]
    for outcome in outcomes:
        assert outcome.status == 1, outcome.text
        assert "none of the 1 ensembles drawn is within the limits" in " ".join(outcome.text.split())
