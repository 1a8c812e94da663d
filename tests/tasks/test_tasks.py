"""The tasks from the command line."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sat_exp import runs
from sat_exp.errors import UserError
from sat_exp.models import loading
from sat_exp.runs.predictions import read as read_predictions

from ..command import QUICK
from .outcomes import folder_of, tables

PAIR = ("fashion_resnet", "fashion_convnext")


def chunks(outputs):
    """The bytes of every chunk in the store."""
    return {path: path.read_bytes() for path in sorted((outputs / "store").glob("*/*/c/**/*")) if path.is_file()}


def test_attack_reports_one_model(sat_exp):
    outcome = sat_exp(*QUICK, "model=fashion_resnet")
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    (row,) = pd.read_csv(folder / "tables/models.csv").to_dict("records")
    assert row["clean_accuracy"] > 0.7
    assert row["attacked"] == row["clean_correct"] > 0
    assert row["mean_linf"] <= 8
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["choices"]["model"] == "fashion_resnet"
    numbers = {"epsilon": 8, "step_size": 1, "steps": 4, "random_start": True}
    threat = {"norm": "linf", "epsilon": 8, "goal": "untargeted", "text": "L∞ ≤ 8/255"}
    assert summary["attack"] == {"name": "pgd", "title": "PGD", "threat": threat} | numbers
    shown = pd.read_csv(folder / "tables/examples.csv")
    assert (shown["label"] == shown["clean_prediction"]).all()
    assert len(shown) == 12
    assert shown["label"].nunique() == 10, "every class before the second image of any"
    for row in shown.itertuples():
        clean, adversarial = (np.asarray(Image.open(folder / file), int) for file in (row.clean, row.adversarial))
        assert 0 < np.abs(clean - adversarial).max() <= 8


def test_pair_and_matrix_agree(sat_exp):
    pair = sat_exp(*QUICK, "task=transfer", f"model={PAIR[0]}", f"model@target={PAIR[1]}")
    assert pair.status == 0, pair.text
    matrix = sat_exp(*QUICK, "task=matrix", "pool=any", f"pool.models=[{PAIR[1]},fashion_resnet_sgd,{PAIR[0]}]")
    assert matrix.status == 0, matrix.text
    seen = (
        pd.read_csv(folder_of(matrix) / "tables/example_predictions.csv")
        .set_index(["source", "target", "image"])
        .prediction
    )
    known = read_predictions((folder_of(matrix) / "predictions.npz").read_bytes(), "predictions.npz")
    for source, target in ((PAIR[0], PAIR[1]), ("fashion_resnet_sgd", PAIR[0])):
        rows = seen[source, target]
        assert (known.adversarial[source, target][rows.index] == rows).all()
    (one,) = tables(pair)["pairs"].query("model_a != model_b").to_dict("records")
    pairs = tables(matrix)["pairs"]
    (same,) = pairs[(pairs.model_a == PAIR[1]) & (pairs.model_b == PAIR[0])].to_dict("records")
    for column in ("images", "sat", "sat_low", "sat_high"):
        assert one[column] == same[column]
    assert one["transfer_rate_ab"] == same["transfer_rate_ba"]
    assert one["transfer_rate_ba"] == same["transfer_rate_ab"]


def test_the_typed_sweep_the_rows_and_the_matrix_are_the_same_numbers(sat_exp, outputs):
    """Over one store, in which the second and the third find everything that the first made."""
    listed = "fashion_resnet,fashion_resnet_sgd,fashion_convnext"
    sweep = sat_exp("-m", *QUICK, "task=transfer", f"model={listed}", f"model@target={listed}")
    assert sweep.status == 0, sweep.text
    made = chunks(outputs)
    rows = sat_exp("-m", *QUICK, "task=transfer", "pool=any", f"pool.models=[{listed}]", "model=glob(*)")
    matrix = sat_exp(*QUICK, "task=matrix", "pool=any", f"pool.models=[{listed}]")
    assert chunks(outputs) == made
    whole = tables(matrix)["pairs"]
    assert len(whole) == 6
    for outcome in (sweep, rows):
        assert outcome.status == 0, outcome.text
        pd.testing.assert_frame_equal(tables(outcome)["pairs"], whole)


def test_a_pool_is_attacked_whole_or_in_part(sat_exp):
    pool = (*QUICK, "task=attack", "pool=any", "pool.models=[fashion_resnet,fashion_convnext,fashion_vit]")
    whole = sat_exp(*pool)
    assert whole.status == 0, whole.text
    models = pd.read_parquet(folder_of(whole) / "tables/models.parquet")
    assert list(models.model) == ["fashion_resnet", "fashion_convnext", "fashion_vit"]
    assert (models.attacked > 0).all()
    part = sat_exp("-m", *pool, "model=glob(*ne*)")
    assert list(pd.read_parquet(folder_of(part) / "tables/models.parquet").model) == list(PAIR)


def test_a_row_is_one_direction_of_the_matrix(sat_exp):
    row = sat_exp(
        *QUICK, "task=transfer", f"model={PAIR[0]}", "pool=any", f"pool.models=[{PAIR[1]},fashion_resnet_sgd]"
    )
    assert row.status == 0, row.text
    pair = sat_exp(*QUICK, "task=transfer", f"model={PAIR[0]}", f"model@target={PAIR[1]}")
    (one,) = tables(row)["pairs"].query(f"model_b == '{PAIR[1]}'").to_dict("records")
    (both,) = tables(pair)["pairs"].query("model_a != model_b").to_dict("records")
    assert one["transfer_rate_ab"] == both["transfer_rate_ab"]
    assert np.isnan(one["transfer_rate_ba"])
    assert np.isnan(one["sat"])
    assert "highest and lowest" not in row.text
    assert "transfer rates" in row.text


UNPUBLISHED = ("pool=any", "pool.models=[fashion_resnet,fashion_vit,fashion_convnext]")


@pytest.fixture
def no_vit(monkeypatch) -> None:
    """A model whose weights cannot be had once the work has begun."""
    load = loading.load

    def refusing(config):
        if config.name == "fashion_vit":
            raise UserError("no weights today")
        return load(config)

    monkeypatch.setattr("sat_exp.models.loading.load", refusing)


def test_a_model_that_fails_is_in_a_table_and_the_others_go_on(sat_exp, no_vit):
    outcome = sat_exp(*QUICK, *UNPUBLISHED, "task=transfer", "model=fashion_resnet", "name=without_one")
    assert outcome.status == 1
    assert "fashion_vit: no weights today" in " ".join(outcome.text.split())
    folder = folder_of(outcome)
    (failure,) = pd.read_csv(folder / "tables/failures.csv").to_dict("records")
    assert failure["model"] == "fashion_vit"
    assert "fashion_vit failed" in (folder / "report.html").read_text()
    assert list(tables(outcome)["models"].model) == list(PAIR)


def test_other_sweeps_are_jobs_and_go_on_after_a_failure(sat_exp, no_vit):
    outcome = sat_exp("-m", *QUICK, "task=matrix", "pool=any", "pool.models=[fashion_vit],[fashion_resnet]")
    assert outcome.status == 1
    assert "1 of 2 jobs failed" in outcome.text
    assert "no weights today" in outcome.text
    assert "Similarity of 1 models on 40 images" in " ".join(outcome.text.split())


def test_a_sweep_with_a_wrong_job_does_not_begin(sat_exp, outputs):
    before = set(outputs.rglob("*"))
    outcome = sat_exp("-m", *QUICK, "model=fashion_resnet", "attack.epsilon=8,300")
    assert outcome.status == 1
    assert "attack.epsilon=300: give a value of 255 or less" in outcome.text
    assert set(outputs.rglob("*")) == before


def test_a_model_is_placed_beside_a_matrix(sat_exp):
    listed = "fashion_resnet,fashion_resnet_sgd,fashion_convnext"
    old = sat_exp(*QUICK, "task=matrix", "pool=any", f"pool.models=[{listed}]")
    placed = sat_exp("task=place", "model=fashion_vit", f"task.run={folder_of(old)}", "hardware.threads=1")
    assert placed.status == 0, placed.text
    whole = sat_exp(*QUICK, "task=matrix", "pool=any", f"pool.models=[{listed},fashion_vit]")
    pairs, others = (frame["pairs"].set_index(["model_a", "model_b"]) for frame in (tables(placed), tables(whole)))
    pd.testing.assert_frame_equal(pairs.sort_index(), others.sort_index(), check_dtype=False)
    models = tables(placed)["models"].drop(columns=["attack_seconds", "attack_images_per_second"])
    pd.testing.assert_frame_equal(models, tables(whole)["models"][models.columns])
    nearest = pd.read_parquet(folder_of(placed) / "tables/nearest_models.parquet").iloc[0]
    assert "nearest to fashion_vit" in placed.text
    assert nearest.sat == others[[("fashion_vit" in pair) and pair[0] != pair[1] for pair in others.index]].sat.max()


def test_what_determines_a_matrix_cannot_be_typed_anew_when_placing(sat_exp):
    three = "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_convnext]"
    old = folder_of(sat_exp(*QUICK, "task=matrix", "pool=any", three))
    place = ("task=place", "model=fashion_vit", f"task.run={old}")
    for typed in (
        "attack.epsilon=4",
        "seed=3",
        "labels=own",
        "protocol=native",
        "dataset.size=10",
        "hardware.tf32=true",
    ):
        outcome = sat_exp(*place, typed)
        assert outcome.status == 1, typed
        assert f"{typed.split('=')[0]} is that of the matrix" in outcome.text
    summary = json.loads((old / "summary.json").read_text())
    assert summary["settings"]["hardware"]["channels_last"] is False
    page = folder_of(sat_exp(*place, "hardware.threads=1")) / "report.html"
    assert " is most like " in page.read_text()


@pytest.mark.parametrize(
    "form", [["model@target=fashion_convnext"], ["pool=any", "pool.models=[fashion_vit,fashion_swin]"]]
)
def test_placing_needs_a_whole_matrix(sat_exp, form):
    pair = sat_exp(*QUICK, "task=transfer", "model=fashion_resnet", *form)
    outcome = sat_exp("task=place", "model=fashion_resnet", f"task.run={folder_of(pair)}")
    assert outcome.status == 1
    assert "no whole matrix of two or more other models" in outcome.text


def test_placing_beside_other_images_is_refused(sat_exp):
    old = sat_exp(*QUICK, "task=matrix", "pool=any", "pool.models=[fashion_resnet,fashion_resnet_sgd]")
    folder = folder_of(old)
    with runs.drafted(folder) as place:
        runs.Run.open(folder).copy(runs.Run.open(folder).files, place)
        summary = place / "summary.json"
        summary.write_text(summary.read_text().replace('"size": 40', '"size": 41'))
    outcome = sat_exp("task=place", "model=fashion_vit", f"task.run={folder_of(old)}")
    assert outcome.status == 1
    assert "these are not the images of" in outcome.text


@pytest.mark.parametrize("labels", ["consensus", "own"])
def test_without_labels_every_image_is_attacked(sat_exp, labels, tmp_path):
    """A folder of plain images: nothing says what they show."""
    from sat_exp.datasets import FashionMNIST

    images = FashionMNIST(root=None, size=40, seed=1).images
    for index in range(len(images)):
        images.image(index).save(tmp_path / f"{index}.png")
    outcome = sat_exp(
        *QUICK[1:], "dataset=folder", "dataset.size=null", f"dataset.root={tmp_path}", "dataset.resize=32",
        "dataset.crop=32", "dataset.mode=L", f"labels={labels}", "task=transfer", f"model={PAIR[0]}",
        f"model@target={PAIR[1]}",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    found = tables(outcome)
    assert found["models"].clean_accuracy.isna().all()
    assert (found["models"].attacked == 40).all()
    assert (found["pairs"].query("model_a != model_b").images == 40).all() == (labels == "own")


def test_the_native_protocol_has_artefacts_of_its_own(sat_exp):
    outcome = sat_exp(*QUICK, "task=transfer", "protocol=native", f"model={PAIR[0]}", f"model@target={PAIR[1]}")
    assert outcome.status == 0, outcome.text
    canvas = sat_exp(*QUICK, "task=transfer", f"model={PAIR[0]}", f"model@target={PAIR[1]}")
    for name in ("models", "pairs"):  # natively these networks see what is on the canvas
        same = tables(canvas)[name].drop(columns=["attack_seconds", "attack_images_per_second"], errors="ignore")
        pd.testing.assert_frame_equal(tables(outcome)[name][same.columns], same)


def test_natively_models_of_other_sizes_go_through_to_the_page(sat_exp):
    outcome = sat_exp(
        *QUICK, "task=transfer", "protocol=native", f"model={PAIR[0]}", f"model@target={PAIR[1]}",
        "target.input.size=40", "target.input.crop=0.8",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    shown = pd.read_csv(folder / "tables/examples.csv").set_index("model")["clean"]
    sizes = {model: {Image.open(folder / file).size for file in shown[model]} for model in PAIR}
    assert sizes == {PAIR[0]: {(32, 32)}, PAIR[1]: {(40, 40)}}


def test_a_checkpoint_of_ones_own_is_that_of_the_source_alone(sat_exp):
    """The weights of another ResNet, beside the pool's own, under a name of their own."""
    own = "${package_file:sat_exp.models,bundled/fashion_resnet_sgd.safetensors}"
    row = (*QUICK, "task=transfer", "model=fashion_resnet", f"model.checkpoint={own}", "pool=any")
    outcome = sat_exp(*row, "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_convnext]", "model.name=mine")
    assert outcome.status == 0, outcome.text
    rates = tables(outcome)["pairs"].set_index("model_b").transfer_rate_ab
    assert list(rates.index) == ["mine", "fashion_resnet", "fashion_resnet_sgd", "fashion_convnext"]
    assert rates["fashion_resnet_sgd"] == rates["mine"]
    assert rates["fashion_resnet"] < rates["mine"]
    clash = sat_exp(*row, "pool.models=[fashion_resnet,fashion_convnext]")
    assert clash.status == 1
    assert "two different models are called fashion_resnet" in clash.text


def test_an_untrained_sweep_is_untrained_on_both_sides(sat_exp):
    listed = "fashion_resnet,fashion_convnext"
    sweep = ("-m", *QUICK, "task=transfer", f"model={listed}", f"model@target={listed}", "labels=own")
    outcome = sat_exp(*sweep, "model.pretrained=false")
    assert outcome.status == 0, outcome.text
    assert not tables(outcome)["models"].pretrained.any()
    refused = sat_exp(*sweep, "model.checkpoint=/some/weights")
    assert refused.status == 1
    assert "model.checkpoint= is a setting of one model" in refused.text


def test_an_earlier_runs_files_do_not_outlive_it(sat_exp, no_vit):
    command = (*QUICK, "task=matrix", "pool=any", "name=again")
    failed = sat_exp(*command, "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_vit,fashion_convnext]")
    folder = folder_of(failed)
    assert (folder / "tables/failures.csv").is_file()
    assert (folder / "figures/matrix.png").is_file()
    mended = sat_exp(*command, "pool.models=[fashion_resnet,fashion_convnext]")
    assert mended.status == 0, mended.text
    assert not (folder / "tables/failures.csv").exists()
    assert not (folder / "figures/matrix.png").exists()


def test_the_components_of_a_model_without_a_file_are_derived(sat_exp):
    pytest.importorskip("foolbox")
    outcome = sat_exp(
        "model=timm", "model.id=mobilenetv3_small_050.lamb_in1k", "model.pretrained=false", "dataset=foolbox20",
        "dataset.size=2", "attack.steps=1", "labels=own", "hardware.threads=1",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    (found,) = pd.read_parquet(folder_of(outcome) / "tables/components.parquet").to_dict("records")
    assert found["model"] == "mobilenetv3_small_050.lamb_in1k"
    assert (found["base_architecture"], found["channel_attention"], found["depthwise_conv"]) == ("CNN", "SE", True)


def test_typed_settings_of_the_model_are_those_of_every_member(sat_exp):
    outcome = sat_exp(
        *QUICK, "task=matrix", "pool=any", f"pool.models=[{','.join(PAIR)}]", "model.pretrained=false", "labels=own",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    assert not tables(outcome)["models"].pretrained.any()
    assert "are untrained" in " ".join(outcome.text.split())
    figure = (folder_of(outcome) / "figures/transfer.svg").read_text()
    assert "<!-- untrained networks: these numbers say nothing about trained ones -->" in figure


def test_report_draws_anew(sat_exp):
    made = sat_exp(*QUICK, "model=fashion_resnet")
    folder = folder_of(made)
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    outcome = sat_exp("task=report", f"task.run={folder}")
    assert outcome.status == 0, outcome.text
    assert (folder / "report.html").read_text() == page


def test_random_weights_only_when_typed_and_labelled(sat_exp):
    outcome = sat_exp(*QUICK, "model=fashion_resnet", "model.pretrained=false")
    assert outcome.status == 0, outcome.text
    assert "fashion_resnet is untrained" in " ".join(outcome.text.split())
