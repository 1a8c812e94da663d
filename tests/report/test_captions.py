"""A caption states from which data a number is computed, and how."""

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from sat_exp.report import drawings, headline, origin, page, theme
from sat_exp.report.figures import accuracy, matrix, nearest, transfer
from sat_exp.report.origin import Attack, Origin
from sat_exp.report.results import Results

from .made_run import FEW, MODELS, models_table, pairs_table, summary

RATES = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]


def stated_pairs(names: dict[str, str]) -> pd.DataFrame:
    """Pairs as `task=analyze` makes them of a file of SAT: no rates, no counts, no images."""
    return pairs_table(names).assign(**dict.fromkeys(["images", "fooled_ab", "fooled_ba", *RATES], np.nan))


def a_row(names: dict[str, str]) -> pd.DataFrame:
    """The pairs of one source and all others: one way only."""
    pairs, first = pairs_table(names), next(iter(names))
    row = pairs[(pairs["model_a"] == first) & (pairs["model_b"] != first)]
    return row.assign(**dict.fromkeys([name for name in row if name.startswith("sat") or "_ba" in name], np.nan))


def found(tmp_path, own: dict[str, pd.DataFrame], studied: dict | None = None, **changes: object) -> Results:
    return Results(own, own, summary(**changes), tmp_path, [], studied or {})


def settings(**changes: object) -> dict[str, object]:
    return {"labels": "truth", "protocol": "canvas", "score": {"confidence": 0.95}} | changes


def captions(results: Results) -> dict[str, str]:
    return {name: f"{drawing.heading}. {drawing.caption}" for name, drawing in drawings(results).items()}


def texts(drawing: theme.Drawing) -> str:
    labels = [axes.get_xlabel() for axes in drawing.figure.axes]
    return " ".join(labels + [text.get_text() for axes in drawing.figure.axes for text in axes.texts])


def test_a_stated_matrix_claims_no_images_and_no_bootstrap(tmp_path):
    pairs = stated_pairs(MODELS)
    results = found(tmp_path, {"pairs": pairs}, settings={"task": {"reference_images": 1250}}, task="analyze")
    said = captions(results)
    assert set(said) == {"matrix", "nearest"}
    assert "± 1.96 standard errors, assumed for 1,250 images a value" in said["nearest"]
    assert "± 1.96 standard errors" in texts(nearest.draw(pairs, Origin.of(results)))
    assert "read from a file" in said["matrix"]
    assert not any(word in text for text in said.values() for word in ("over images", "bootstrap", "classify"))


def test_a_stated_matrix_shows_nothing_that_was_not_measured(tmp_path):
    results = found(tmp_path, {"pairs": stated_pairs(MODELS)}, settings={}, task="analyze")
    assert dict(map(reversed, headline.key_numbers(results))).keys() == {"models", "median SAT"}
    html = page.render(results, {}, {})
    assert "were made on the model of the row" not in html
    assert "A → B" not in html
    assert "adversarial" not in html.partition("<script")[0].partition("</style>")[2]
    assert "transfer rate –" not in headline.headline(results)


def test_models_of_no_known_family_are_not_of_one(tmp_path):
    pairs = stated_pairs(dict.fromkeys(MODELS, "unknown"))
    assert "Pairs of one family" not in headline.headline(found(tmp_path, {"pairs": pairs}, settings={}))
    drawn = nearest.draw(pairs, Origin())
    assert {handle.get_text() for handle in drawn.figure.legends[0].get_texts()} == {"same family", "others"}


@pytest.mark.parametrize(
    ("labels", "protocol", "words"),
    [
        ("truth", "canvas", "images that both models classify correctly."),
        ("truth", "native", "classify correctly, in their own view and in the other's"),
        ("consensus", "canvas", "images on which both models agree, fooled meaning that the prediction changes"),
        ("own", "native", "all images, fooled meaning that the prediction changes"),
    ],
)
def test_which_images_a_pair_is_compared_on(tmp_path, labels, protocol, words):
    of = settings(labels=labels, protocol=protocol, score={"confidence": 0.9})
    said = captions(found(tmp_path, {"pairs": pairs_table(FEW)}, settings=of))
    assert words in said["matrix"]
    assert words in said["transfer"]
    assert "90% interval over images" in said["nearest"]


def test_a_study_is_captioned_by_the_run_that_it_studies(tmp_path):
    own = {"found": pd.DataFrame({"value": [1.0]})}
    tables = own | {"pairs": pairs_table(FEW), "models": models_table(FEW)}
    studied = {"settings": settings(labels="own", score={"confidence": 0.8}), "attack": {"name": "fgsm", "epsilon": 4}}
    facts = summary(task="analyze", settings=settings(), measured="/of/a/run", findings=["It was found."])
    facts.pop("attack")
    results = Results(own, tables, facts, tmp_path, [], studied)
    assert (Origin.of(results).labels, Origin.of(results).level) == ("own", "80%")
    head = headline.headline(results)
    assert head == "It was found."
    html = page.render(results, {}, {})
    assert "(80% interval)" in html
    assert "Attack of the run studied" in html


def test_accuracy_under_attack_is_of_the_images_attacked():
    """Where every image is attacked, success is no share of the images classified correctly."""
    models, styles = models_table(FEW, success=0.6), theme.family_styles(FEW.values())
    row = models.sort_values(["clean_accuracy", "model"], ascending=[False, True]).iloc[0]
    kept = 1 - row["white_box_success"]
    for labels, value in (("truth", row["clean_accuracy"] * kept), ("own", kept)):
        drawn = accuracy.draw(models, styles, Origin(labels))
        points = np.concatenate([dots.get_offsets() for dots in drawn.figure.axes[1].collections[1:]])
        assert points[points[:, 1] == 0.5][0, 0] == pytest.approx(100 * value)
        assert ("clean accuracy × (1 − white-box success)" in drawn.caption) == (labels == "truth")
        assert ("predictions kept" in texts(drawn)) == (labels == "own")


def test_a_row_says_its_order_and_bars_and_what_was_not_attacked(tmp_path):
    names = MODELS | {"weak": "Conv"}
    pairs = a_row(names)
    models = models_table(names)
    models.loc[1:, [name for name in models if name.startswith("white_box")]] = np.nan
    results = found(tmp_path, {"pairs": pairs, "models": models}, settings=settings())
    said = captions(results)
    assert "order of their mean as a target, the highest first" in said["transfer"]
    assert "not attacked" in said["accuracy"]
    assert "similarity matrix" not in said["transfer"]
    assert "beyond the colour scale" not in said["transfer"]
    drawn = transfer.draw(pairs, theme.family_styles(names.values()), Origin()).data
    assert list(drawn.iloc[0].dropna()) == sorted(drawn.iloc[0].dropna(), reverse=True)
    assert "Adversarial images of conv_a fool" in headline.headline(results)
    assert ("median transfer rate" in dict(map(reversed, headline.key_numbers(results)))) is True


def test_a_full_row_of_sources_is_ordered_without_the_diagonal():
    """A source that is strong against itself is no easy target of others."""
    pairs = a_row({"a": "x", "b": "x", "c": "x"})
    itself = pairs.iloc[[0]].assign(model_b="a", transfer_rate_ab=1.0, transfer_rate_ba=1.0)
    drawn = transfer.draw(pd.concat([itself, pairs], ignore_index=True), theme.family_styles(["x"]), Origin())
    assert list(drawn.data.columns)[-1] == "a"
    assert "Rates beyond the colour scale have its last colour" in drawn.caption


def test_a_diagonal_within_the_colours_is_not_said_to_be_beyond_them():
    pairs, styles = pairs_table(FEW), theme.family_styles(FEW.values())
    assert "beyond the colour scale" in matrix.draw(pairs, styles, Origin()).caption
    weak = pairs.assign(sat=pairs["sat"].where(pairs["model_a"] != pairs["model_b"], 3.0))
    assert "beyond the colour scale" not in matrix.draw(weak, styles, Origin()).caption
    assert "The diagonal" not in matrix.draw(pairs[pairs["model_a"] != pairs["model_b"]], styles, Origin()).caption
    assert "not measured" in matrix.draw(pairs_table(MODELS), theme.family_styles(MODELS.values()), Origin()).caption


def test_noise_is_no_adversary(tmp_path):
    results = found(tmp_path, {"pairs": pairs_table(FEW)}, attack={"name": "noise", "epsilon": 16}, settings=settings())
    assert "images with noise" in captions(results)["transfer"]
    assert Attack.of(results.summary).name == "Noise (L∞ ≤ 16/255)"


COMPOSED = {
    "experiment": None, "pool": None, "model@target": None, "model": "fashion_resnet", "hardware": "auto",
    "dataset": "imagenette", "attack": "pgd", "tracking": "auto",
}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "chosen", "shown"),
    [
        ("attack", {}, {"model", "dataset", "attack", "hardware"}),
        ("attack", {"pool": "quick"}, {"pool", "dataset", "attack", "hardware"}),
        ("transfer", {"model@target": "vit"}, {"model", "model@target", "dataset", "attack", "hardware"}),
        ("transfer", {"pool": "quick"}, {"model", "pool", "dataset", "attack", "hardware"}),
        ("matrix", {"pool": "quick"}, {"pool", "dataset", "attack", "hardware"}),
        ("ensemble", {"pool": "quick"}, {"pool", "dataset", "attack", "hardware"}),
        ("distill", {}, {"dataset", "attack", "hardware"}),
        ("place", {}, {"model", "hardware"}),
        ("plan", {"pool": "quick"}, {"pool", "dataset", "attack", "hardware"}),
        ("analyze", {}, set()),
        ("benchmark", {}, set()),
        ("compare", {}, set()),
    ],
)
def test_choices_without_a_part_in_a_run_are_not_shown(task, chosen, shown):
    composed = {"task": task} | COMPOSED | chosen
    stated = {name.replace("model@target", "target"): {} for name in composed} | {"labels": "truth", "seed": 0}
    facts = {"task": task, "choices": composed, "settings": stated, "hardware": {"machine": "x", "threads": 2}}
    assert set(origin.choices(facts)) == shown | {"task", "tracking"}
    assert ("threads" in origin.hardware(facts)) == (task not in ("analyze", "benchmark", "compare"))
    kept = origin.settings(facts)
    assert "seed" in kept
    assert ("labels" in kept) == ("hardware" in shown)
    assert ("model" in kept) == ("model" in shown)


def test_a_sweep_over_models_is_not_its_first_model():
    facts = {"task": "transfer", "choices": COMPOSED, "settings": {"sweep": {"models": ["a", "b"], "targets": ["c"]}}}
    assert {"model", "model@target"}.isdisjoint(origin.choices(facts))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize(("kind", "present"), [("row", {"fool"}), ("stated", {"SAT ("}), ("whole", {"SAT (", "fool"})])
def test_a_browser_shows_of_a_pair_what_is_known(tmp_path, kind, present):
    pairs = {"row": a_row, "stated": stated_pairs, "whole": pairs_table}[kind](FEW)
    file = tmp_path / "page.html"
    file.write_text(page.render(found(tmp_path, {"pairs": pairs}, settings=settings()), {}, {}), encoding="utf-8")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = ["chromium", *switches, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
    address = file.as_uri() + "#pair/conv_a/mix_a"
    ran = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", address], capture_output=True, text=True
    )
    assert "Uncaught" not in ran.stderr
    detail = re.sub(r"<[^>]*>", " ", ran.stdout.partition('id="detail"')[2].partition("</section>")[0])
    assert {word for word in ("SAT (", "fool", "Most similar to") if word in detail} == present | (
        {"Most similar to"} if "SAT (" in present else set()
    )
    assert "–" not in detail


TARGETED = {
    "name": "targetedpgd", "title": "TargetedPGD", "epsilon": 8, "step_size": 1.0, "steps": 50, "random_start": True,
    "goal": "random",
    "threat": {"norm": "linf", "epsilon": 8, "goal": "random", "text": "L∞ ≤ 8/255, targeted at a random class"},
}  # fmt: skip
L2 = {
    "name": "l2pgd", "title": "L2PGD", "epsilon": 765.0, "step_size": 76.5, "steps": 50, "random_start": True,
    "threat": {"norm": "l2", "epsilon": 765.0, "goal": "untargeted", "text": "L2 ≤ 765/255"},
}  # fmt: skip


def test_a_targeted_run_defines_fooled_by_the_goal_class(tmp_path):
    tables = {"pairs": pairs_table(FEW), "models": models_table(FEW)}
    results = found(tmp_path, tables, attack=TARGETED, settings=settings())
    said, html = captions(results), page.render(results, {}, {})
    meaning = "fooled meaning that the prediction becomes the goal class of the attack"
    assert meaning in said["matrix"]
    assert meaning in said["transfer"]
    assert "goal class not reached" in said["accuracy"]
    assert "clean accuracy ×" not in said["accuracy"]
    answer = headline.measured({"models": tables["models"]}, results.summary)[0]
    assert answer.startswith("TargetedPGD at 8/255, targeted at a random class leads ")
    assert " models to the goal class on " in answer
    assert "attacked images on which the prediction becomes the goal class of the attack" in html
    assert "prediction changes" not in html


def test_an_l2_run_states_its_norm(tmp_path):
    results = found(tmp_path, {"models": models_table(FEW)}, attack=L2, settings=settings())
    html = page.render(results, {}, {})
    assert f"L2PGD at L2 ≤ 765/255 fools {len(FEW)} models on " in html
    assert Attack.of(results.summary).settings == [
        ("name", "L2PGD"),
        ("threat model", "L2 ≤ 765/255"),
        ("fooled", "where the prediction changes"),
        ("step size", "76.5/255"),
        ("steps", "50"),
        ("random start", "yes"),
    ]
    assert "L∞ ≤" not in html
