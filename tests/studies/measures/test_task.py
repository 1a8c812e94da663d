"""task=measures from the command line, with a small pool; its relations from tables."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sat_exp.studies.measures import findings, relations

POOL = "pool.models=[fashion_resnet,fashion_convnext,fashion_vit,fashion_mixer]"
SMALL = ("task=measures", "pool=any", POOL, "dataset=fashion_mnist", "dataset.size=40", "attack.steps=4")
QUICK = (*SMALL, "hardware.threads=1", "task.resamples=20", "task.permutations=19", "task.image_resamples=5")


def test_measures_are_side_by_side_with_costs_and_relations(sat_exp, outputs):
    chosen = "measure=[sat,transfer,agreement,knn,gradient_cosine]"
    outcome = sat_exp(*QUICK, chosen, "measure.knn.neighbours=3", "measure.gradient_cosine.images=8", "name=side")
    assert outcome.status == 0, outcome.text
    tables = {path.stem: pd.read_parquet(path) for path in (outputs / "side/tables").glob("*.parquet")}
    pairs = tables["measures_of_pairs"]
    assert len(pairs) == 6
    assert relations.names_of(pairs) == ["sat", "agreement", "knn", "gradient_cosine", "sat_without_hubs"]
    sat = tables["pairs"].query("model_a != model_b").set_index(["model_a", "model_b"])["sat"]
    assert pairs.set_index(["model_a", "model_b"])["sat"].to_dict() == pytest.approx(sat.to_dict())
    for name in relations.names_of(pairs):
        known = pairs.dropna(subset=f"{name}_low")
        assert (known[f"{name}_low"] <= known[name]).all()
        assert (known[name] <= known[f"{name}_high"]).all()
    row = tables["measure_relations"].set_index(["measure_a", "measure_b"]).loc[("agreement", "knn")]
    assert row["spearman"] == pytest.approx(spearmanr(pairs["agreement"], pairs["knn"]).statistic)
    costs = tables["measure_costs"].set_index("measure")
    assert set(costs.index) == {*relations.names_of(pairs), "transfer"}
    assert (costs["network_seconds"] > 0).all()
    assert (outputs / "side/figures/measures.svg").is_file()
    page = (outputs / "side/report.html").read_text()
    assert "How alike the measures order the pairs" in page


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("pool.models=[fashion_resnet,fashion_vit]",), "the pool has 2 models: rank correlations of pairs need 4"),
        (("measure=[sat]",), "measure= chooses 1 measures: give 2 or more"),
        (("measure=[sat,sat_consensus]",), "sat_consensus needs attacks on all images: give labels=consensus"),
        (("measure=[sat,cca]",), "no measure called 'cca'"),
        (("measure.knn.neighbours=0",), "measure.knn.neighbours=0: give a value of 1 or more"),
        (("measure.knn._target_=os.system",), "measure.knn._target_=os.system: configurations name code of"),
        (
            ("measure.knn._target_=sat_exp.similarity.measures.cka.centred",),
            "is not a measure, which is called measure",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(sat_exp, typed, message):
    outcome = sat_exp(*QUICK, *typed)
    assert outcome.status == 1
    assert message in outcome.text.strip().splitlines()[-1]


@pytest.fixture
def measures():
    names, generator = "abcde", np.random.default_rng(0)
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    values = {"sat": generator.normal(size=10)}
    values["near"], values["far"] = values["sat"] ** 3, -values["sat"]
    rows = [(a, b, name, each[at], np.nan, np.nan) for name, each in values.items() for at, (a, b) in enumerate(pairs)]
    rows += [(b, a, "directed", 1, 0, 2) for a, b in pairs] + [(a, b, "directed", 1, 0, 2) for a, b in pairs]
    return pd.DataFrame(rows, columns=["model_a", "model_b", "measure", "value", "low", "high"])


def test_relations_are_rank_correlations_and_directed_measures_have_none(measures):
    table = relations.relations(relations.of_pairs(measures), 50, 99, 0)
    assert table.set_index(["measure_a", "measure_b"])["spearman"].to_dict() == pytest.approx(
        {("sat", "near"): 1, ("sat", "far"): -1, ("near", "far"): -1}
    )
    assert table["p"].iloc[0] < 0.1
    costs = pd.DataFrame({"measure": ["near", "far"], "needs": ["logits", "features"], "network_seconds": [1.0, 3.0]})
    said = findings.sentences({"measure_relations": table, "measure_costs": costs})
    assert said[0].startswith("Of 2 measures without an attack, near orders the pairs most like SAT: rank correlation")
    assert said[1].startswith("far orders them least like SAT: rank correlation -1.00")
    assert said[-1] == "Networks took 3.0 s for what far needs, and 1.0 s for what near needs."
