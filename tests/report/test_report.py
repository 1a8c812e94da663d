"""The report is complete, escaped, self-contained, ordered by similarity and reproducible."""

import itertools
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sat_exp import runs
from sat_exp.errors import UserError
from sat_exp.report import Report, atlas, draw, figures, origin, page, results, theme
from sat_exp.report.origin import Origin
from sat_exp.similarity.scores import between_models, square

from .made_run import FEW, MISSING, MODELS, models_table, pairs_table, unpacked, write_examples, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("matrix"), models_table(MODELS), pairs_table(MODELS))


@pytest.fixture(scope="module")
def report(run) -> Report:
    return draw(run)


@pytest.fixture(scope="module")
def html(report) -> str:
    return report.page.read_text(encoding="utf-8")


class Links(HTMLParser):
    """Everything that a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "data", "action")]


def text_of(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<(script|style)\b.*?</\1>", "", markup, flags=re.S)))


def test_every_figure_is_written_and_shows_something(run, report):
    assert list(report.figures) == ["matrix", "nearest", "transfer", "accuracy", "examples"]
    for name, png in report.figures.items():
        assert png == run / "figures" / f"{name}.png"
        pixels = np.asarray(Image.open(png).convert("L"))
        assert min(pixels.shape) > 150
        assert pixels.std() > 10
        edge = np.concatenate([*pixels[[0, -1]], *pixels.T[[0, -1]]])
        assert (edge > 250).all(), "something is clipped"
        assert "<svg" in png.with_suffix(".svg").read_text(encoding="utf-8")[:1000]
        assert len(pd.read_csv(png.with_suffix(".csv"))) > 2


def test_order_puts_planted_families_together():
    order = results.leaf_order(square(pairs_table(MODELS), "sat"))
    families = [MODELS[name] for name in order]
    assert sorted(order) == sorted(MODELS)
    assert sum(a != b for a, b in itertools.pairwise(families)) == 2


def test_square_keeps_directions_apart():
    pairs = pairs_table(MODELS)
    rate = square(pairs, "transfer_rate_ab", "transfer_rate_ba")
    first = pairs[(pairs["model_a"] == "conv_a") & (pairs["model_b"] == "mix_a")].iloc[0]
    assert rate.loc["conv_a", "mix_a"] == first["transfer_rate_ab"]
    assert rate.loc["mix_a", "conv_a"] == first["transfer_rate_ba"]
    assert rate.isna().to_numpy().sum() == 2


def test_missing_pair_is_shown_as_missing(html):
    assert "Missing pairs" in html
    assert "conv_b and mix_b" in html
    row = next(row for row in html.split("<tr") if "conv_b</a></th>" in row and "mix_b</a></th>" in row)
    assert row.count("–</td>") == 3
    assert "nan" not in text_of(html).lower()


def test_no_pair_measured_at_all(tmp_path):
    pairs = pairs_table(FEW)
    numbers = [column for column in pairs if column.startswith(("sat", "transfer"))]
    pairs.loc[pairs["model_a"] != pairs["model_b"], numbers] = np.nan
    drawn = draw(write_run(tmp_path / "run", models_table(FEW), pairs)).figures
    assert {"matrix", "nearest", "transfer"}.isdisjoint(drawn)


def test_a_row_has_a_transfer_figure_and_no_matrix(tmp_path):
    pairs = pairs_table(FEW)
    first = next(iter(FEW))
    pairs = pairs[(pairs["model_a"] == first) & (pairs["model_b"] != first)]
    missing = [column for column in pairs if column.startswith("sat") or "_ba" in column]
    pairs = pairs.assign(**dict.fromkeys(missing, np.nan))
    report = draw(write_run(tmp_path / "run", models_table(FEW), pairs))
    text = report.page.read_text(encoding="utf-8")
    assert "matrix" not in report.figures
    assert f"the most of {len(pairs)} transfers from 1 to {len(pairs)} models" in text
    best = pairs.loc[pairs["transfer_rate_ab"].idxmax()]
    assert f"of {first} fool {best['model_b']} on" in text
    assert "Missing pairs" not in text


def test_what_images_a_pair_is_compared_on_is_said(tmp_path):
    run = write_run(tmp_path / "run", models_table(FEW), pairs_table(FEW), settings={"labels": "own"})
    assert "among all images, fooled meaning that the prediction changes" in draw(run).page.read_text(encoding="utf-8")


def test_attack_run_has_no_matrix(tmp_path):
    models = models_table({"conv_a": "Conv"}, success=0.97).assign(pretrained=False)
    report = draw(write_run(tmp_path / "run", models, None, task="attack"))
    text = report.page.read_text(encoding="utf-8")
    assert list(report.figures) == ["accuracy", "examples"]
    assert 'id="pairs"' not in text
    assert 'id="matrix"' not in text
    fooled, attacked = models.loc[0, ["fooled", "attacked"]]
    assert f"PGD at 16/255 fools conv_a on {fooled / attacked:.1%} (" in text
    assert "the attack is weak" in text
    assert "conv_a is untrained" in text
    assert report.warnings == ["the disk is <nearly> full"], "the findings state the others"


def test_transfer_run_of_two_models(tmp_path):
    names = {"conv_a": "Conv", "mix_a": "Mixer"}
    pairs = pairs_table(names)
    report = draw(write_run(tmp_path / "run", models_table(names), pairs, task="transfer"))
    between = pairs.iloc[1]
    assert list(report.figures) == ["transfer", "accuracy", "examples"]
    assert f"SAT is {between['sat']:.2f}" in report.page.read_text(encoding="utf-8")


def test_folder_without_tables_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="give the folder of a finished run"):
        draw(tmp_path)


def test_tables_alone_are_enough(tmp_path):
    with runs.drafted(tmp_path) as place:
        runs.fill(place, {}, {"pairs": pairs_table(FEW)})
    assert list(draw(tmp_path).figures) == ["matrix", "nearest", "transfer"]


def test_page_loads_nothing_and_links_to_itself(html):
    links = Links()
    links.feed(html)
    assert links.loads
    assert all(link.startswith(("data:image/", "#")) for link in links.loads)
    assert not {"link", "iframe", "object", "embed", "base"} & set(links.tags)
    styles = "".join(re.findall(r"<style>.*?</style>", html, re.S))
    assert "@import" not in styles
    assert "url(" not in styles
    assert "default-src 'none'" in html
    assert links.tags.count("img") == 5


def test_names_are_escaped(html):
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert "A <i>small</i> pool" not in html
    assert "A &lt;i&gt;small&lt;/i&gt; pool" in html
    assert "the disk is &lt;nearly&gt; full" in html
    assert "A &amp; B" in html


def test_every_number_of_the_pairs_is_on_the_page(html):
    rows = {}
    for row in re.findall(r"<tr(?: class=\"self\")?><th.*?</tr>", html):
        names = re.findall(r"</i><a[^>]*>(.*?)</a></th>", row)
        if len(names) == 2:
            rows[tuple(names)] = text_of(row)
    pairs = pairs_table(MODELS)
    assert len(rows) == len(pairs)
    for pair in pairs.to_dict("records"):
        row = rows[tuple(escape(str(pair[f"model_{side}"])) for side in "ab")]
        expected = [f"{pair[column]:,}" for column in ("fooled_ab", "fooled_ba", "images")]
        if np.isfinite(pair["sat"]):
            expected += [f"{pair['sat']:.3f} {pair['sat_low']:.3f}–{pair['sat_high']:.3f}"]
            for rate in ("transfer_rate_ab", "transfer_rate_ba"):
                value, low, high = (100 * pair[f"{rate}{end}"] for end in ("", "_low", "_high"))
                expected += [f"{value:.1f} {low:.1f}–{high:.1f}"]
        assert all(f" {number} " in row for number in expected), (expected, row)


def test_headline_and_settings_come_from_the_run(html):
    pairs = between_models(pairs_table(MODELS)).dropna()
    text = text_of(html)
    most = pairs.loc[pairs["sat"].idxmax()]
    assert f"{most['model_a']} and {most['model_b']} are the most alike: SAT {most['sat']:.2f} (" in text
    assert f"are the least alike: {pairs['sat'].min():.2f} (" in text
    for part in (
        "2/255",
        "pets",
        "bundled",
        "3f9c1e2",
        "2 minutes and 34 seconds",
        "2026-11-23 04:40 UTC",
        "experiment=quickstart",
    ):
        assert part in text


def test_same_run_gives_the_same_bytes(run, report):
    before = {path: path.read_bytes() for path in [report.page, *sorted((run / "figures").iterdir())]}
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 50, "axes.facecolor": "red"}):
        draw(run)
    assert all(path.read_bytes() == old for path, old in before.items())


def test_labels_are_put_where_they_were_and_apart():
    points = pd.DataFrame(np.random.default_rng(0).uniform(0, 0.1, (12, 2)), columns=["x", "y"])
    places = []
    for _ in range(2):
        figure = Figure(figsize=(6, 5))
        axes = figure.subplots()
        axes.scatter(points["x"], points["y"])
        theme.label(axes, points["x"], points["y"], points.index.map("model_{}".format).to_series())
        places.append(np.array([text.get_window_extent().extents for text in axes.texts]))
    np.testing.assert_array_equal(*places)
    left, low, right, high = places[0].T[:, :, None]
    across = np.minimum(right, right.T) - np.maximum(left, left.T)
    along = np.minimum(high, high.T) - np.maximum(low, low.T)
    covered = (across.clip(0) * along.clip(0))[~np.eye(12, dtype=bool)].sum() / ((right - left) * (high - low)).sum()
    assert covered < 0.1


def test_drawing_leaves_no_state_behind(run):
    before = dict(matplotlib.rcParams)
    figures.accuracy.draw(models_table(MODELS), theme.family_styles(MODELS.values()), Origin())
    assert dict(matplotlib.rcParams) == before
    assert not plt.get_fignums()


def test_examples_of_colour_photographs(tmp_path):
    table = write_examples(tmp_path, 3, 64, 8)
    drawn = figures.examples.draw(table, tmp_path, ["cat, house cat", "dog"])
    shown = [np.asarray(axes.images[0].get_array()) for axes in drawn.figure.axes]
    captions = [axes.get_xlabel() for axes in drawn.figure.axes]
    assert captions[:6] == ["cat ✓", "change × 15", "dog ✗", "cat ✓", "change × 15", "class 7 ✗"]
    assert captions[6:] == ["dog ✓", "change × 15", "dog ✓"]
    assert set(np.unique(shown[4])) == {128 - 15 * 8, 128 + 15 * 8}
    assert list(drawn.data["model"]) == ["conv_a", "<b>x</b>", "conv_a"]


def test_examples_of_a_targeted_attack_name_the_goal(tmp_path):
    table = write_examples(tmp_path, 3, 64, 8).assign(goal=[1, 7, 0])
    drawn = figures.examples.draw(table, tmp_path, ["cat, house cat", "dog"])
    captions = [axes.get_xlabel() for axes in drawn.figure.axes[1::3]]
    assert captions == ["change × 15, goal: dog", "change × 15, goal: cat", "change × 15, goal: class 7"]
    assert "the goal class of the attack" in drawn.caption


def test_an_unlabelled_example_claims_no_truth(tmp_path):
    table = write_examples(tmp_path, 1, 32, 16).assign(known=[True, False, False])
    drawn = figures.examples.draw(table, tmp_path, ["cat", "dog"]).figure
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert "true: cat" in texts
    assert "clean: class 1" in texts
    assert not any("dog" in text for text in texts)


def test_examples_show_different_images_of_every_source():
    names = [f"m{number}" for number in range(9)]
    rows = [{"model": name, "image": image} for name in names for image in (3, 5, 8)]
    chosen = figures.examples.spread(pd.DataFrame(rows))
    assert chosen["model"].nunique() == 6
    assert {"m0", "m8"} <= set(chosen["model"])
    assert sorted(chosen["image"]) == [3, 3, 5, 5, 8, 8]
    alone = figures.examples.spread(pd.DataFrame([{"model": "m0", "image": image} for image in range(6)]))
    assert list(alone["image"]) == list(range(6))


def test_families_are_told_apart():
    styles = theme.family_styles(f"family {number}" for number in range(30))
    assert len({(style.colour, style.marker) for style in styles.values()}) == 30


def test_numbers_are_readable():
    assert [origin.in_percent(value) for value in (0.3704, 1.0, 0.9996, np.nan)] == ["37.0", "100.0", ">99.9", "–"]
    assert [origin.duration(value) for value in (0.421, 31.2, 154.2, 11_100)] == [
        "0.42 seconds",
        "31 seconds",
        "2 minutes and 34 seconds",
        "3 hours and 5 minutes",
    ]


def test_large_drawings_are_embedded_as_pictures(run, report, tmp_path):
    heavy = run.parent / "heavy.png"
    Image.new("L", (80, 80)).save(heavy)
    heavy.with_suffix(".svg").write_bytes(b" " * 2_000_000)
    found = results.Results.of(runs.Run.open(run), tmp_path)
    drawing = theme.Drawing(Figure(), found.own["pairs"], "Heavy", "")
    html = page.render(found, {"matrix": drawing}, {"matrix": heavy})
    assert "data:image/webp;base64," in html
    assert len(html.encode()) < 3_000_000
    assert "data:image/svg+xml,%3C?xml" in report.page.read_text(encoding="utf-8")


def test_the_page_of_69_models_stays_below_ten_megabytes(tmp_path):
    names = {f"network_number_{number}": f"family {number % 6}" for number in range(69)}
    report = draw(write_run(tmp_path / "run", models_table(names), pairs_table(names)))
    assert report.page.stat().st_size < 10_000_000


def test_a_study_shows_the_tables_of_the_run_it_studied(run, tmp_path):
    ranks = pd.Series([1, None], dtype="Int64")
    found = pd.DataFrame({"measure": ["a", "b"], "value": [0.25, np.nan], "rank": ranks})
    with runs.drafted(tmp_path) as place:
        runs.fill(place, {"measured": str(run), "findings": ["It was found."]}, {})
        found.to_parquet(place / "tables/found.parquet")
    report = draw(tmp_path)
    html = report.page.read_text(encoding="utf-8")
    assert report.figures == {}
    assert "It was found." in html
    assert 'data-frame="found"' in html
    frames = unpacked(html, "frames")
    assert list(frames) == ["found", "models", "pairs"], "the last two for their downloads"
    assert re.findall(r'data-frame="(.*?)"', html) == ["found"]
    assert frames["found"]["rows"] == [["a", 0.25, 1], ["b", None, None]]
    assert ">conv_a</a></th>" in html


def test_what_the_atlas_says_of_a_pair(run, tmp_path):
    found = results.Results.of(runs.Run.open(run), tmp_path)
    shown = atlas.atlas(found)
    names = [model["name"] for model in shown["models"]]
    assert names == list(MODELS)
    first = found.pairs.iloc[1]
    assert (names[shown["pairs"]["a"][1]], names[shown["pairs"]["b"][1]]) == (first["model_a"], first["model_b"])
    assert shown["pairs"]["transfer_rate_ba"][1] == pytest.approx(first["transfer_rate_ba"], rel=1e-5)
    missing = [
        row
        for row, (a, b) in enumerate(zip(shown["pairs"]["a"], shown["pairs"]["b"], strict=True))
        if {names[a], names[b]} == MISSING
    ]
    assert [shown["pairs"]["sat"][row] for row in missing] == [None]
    assert sorted(shown["orders"]["tree"]) == list(range(len(MODELS)))
    families = [MODELS[names[place]] for place in shown["orders"]["family"]]
    assert families == sorted(families)
    assert len(shown["examples"]["pictures"]) == 5
    assert shown["examples"]["predictions"]["0/0"] == {str(target): 0 for target in range(len(MODELS))}
    assert shown["examples"]["classes"] == {0: "cat", 1: "dog"}


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_shows_a_pair_and_the_map(report, tmp_path):
    """What stands in the page once its script has run, without an error."""

    def shown(fragment: str) -> str:
        switches = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        command = ["chromium", *switches, f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--v=0"]
        address = report.page.as_uri() + fragment
        ran = subprocess.run(
            [*command, "--virtual-time-budget=5000", "--dump-dom", address], capture_output=True, text=True, check=True
        )
        assert "Uncaught" not in ran.stderr
        return ran.stdout

    html = shown(f"#pair/conv_a/{quote('<b>x</b>', safe='')}")
    detail = html[html.index('id="detail"') :]
    assert "common images" in text_of(detail)
    assert "made on conv_a" in detail
    assert detail.count("<img") >= 3
    assert "hidden" not in detail[: detail.index(">")]
    assert re.search(r'id="map"><table', html)
    assert "white-box success" in text_of(shown("#model/mix_a").partition('id="detail"')[2])
