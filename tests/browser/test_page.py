"""The page in a browser: pointer, keyboard, phone, dark colours, downloads, accessibility."""

import io
import itertools
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sat_exp import runs
from sat_exp.report import page as pages
from sat_exp.report.results import Results

from ..report.made_run import models_table, pairs_table, write_run
from .conftest import LABELLED, write

CELL = '#map [role="gridcell"][aria-colindex="4"][aria-rowindex="3"]'


def top(page, selector: str) -> float:
    return page.locator(selector).bounding_box()["y"]


def overlapping(boxes: Sequence[dict[str, float]]) -> int:
    """The number of pairs of boxes that have more than a pixel in common."""
    return sum(
        min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"]) > 1
        and min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"]) > 1
        for a, b in itertools.combinations(boxes, 2)
    )


def labels(page) -> list[dict[str, float]]:
    """The boxes of the visible labels of the plane, without their halo, in pixels of the plane."""
    return page.eval_on_selector_all(
        "#plane a:not(.unlabelled) text",
        "(all) => all.map((text) => (({ x, y, width, height }) => ({ x, y, width, height }))(text.getBBox()))",
    )


def boxes(page, selector: str) -> list[dict[str, float]]:
    return page.eval_on_selector_all(
        selector,
        "(all) => all.filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect().toJSON())",
    )


def brightness(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L"))


@pytest.mark.parametrize("width", [1400, 390])
def test_a_click_on_the_map_opens_the_pair_at_the_top(browser, report, width):
    page = browser.open(report, width=width)
    page.locator(CELL).click()
    page.wait_for_selector("#detail:not([hidden])")
    page.wait_for_timeout(300)
    assert 0 <= top(page, "#detail") < 120
    assert page.evaluate("document.activeElement.closest('#detail') !== null")
    assert "common images" in page.locator("#detail").inner_text()


def test_a_cell_keeps_its_colour_when_it_is_hovered_or_chosen(browser, report):
    page = browser.open(report)
    cell = page.locator(CELL)
    colour = "getComputedStyle(document.querySelector(`" + CELL + "`)).backgroundColor"
    before, missing = page.evaluate(colour), page.locator("#map .missing").first
    assert before != missing.evaluate("(cell) => getComputedStyle(cell).backgroundColor")
    cell.hover()
    assert page.evaluate(colour) == before
    cell.click()
    assert page.evaluate(colour) == before


def test_the_tip_of_a_cell_names_the_pair_and_its_numbers(browser, report):
    page = browser.open(report)
    page.locator(CELL).hover()
    tip = page.get_by_role("tooltip").inner_text()
    assert sum(name in tip for name in LABELLED) >= 2
    assert "SAT" in tip


def test_the_map_says_which_model_made_the_images_only_where_it_is_directed(browser, report):
    page = browser.open(report)
    words = page.locator("#map-words")
    assert "same in both directions" in words.inner_text()
    assert "row" not in words.inner_text()
    page.locator("#colour").select_option("rate")
    assert "source (row)" in words.inner_text()
    assert "same in both directions" not in words.inner_text()


def test_the_map_is_used_with_the_keyboard_alone(browser, report):
    page = browser.open(report)
    cell = page.locator('#map [tabindex="0"]')
    assert cell.count() == 1
    cell.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.locator('#map [tabindex="0"]').count() == 1
    at = page.evaluate("['aria-rowindex', 'aria-colindex'].map((name) => document.activeElement.getAttribute(name))")
    assert page.get_by_role("tooltip").is_visible()
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail:not([hidden])")
    assert "#pair/" in page.url
    assert page.evaluate("document.activeElement.closest('#detail') !== null")
    page.keyboard.press("Escape")
    assert page.locator("#detail").is_hidden()
    back = page.evaluate("['aria-rowindex', 'aria-colindex'].map((name) => document.activeElement.getAttribute(name))")
    assert back == at
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert "#model/" in page.url


def test_the_map_has_roles_and_names(browser, report):
    page = browser.open(report)
    grid = page.get_by_role("grid")
    assert "SAT" in grid.get_attribute("aria-label")
    assert grid.get_by_role("rowheader").count() == len(LABELLED)
    assert grid.get_by_role("columnheader").count() == len(LABELLED)
    assert grid.get_by_role("gridcell").filter(has_text=re.compile(r"^\d\.\d\d$")).count() > len(LABELLED)


def test_the_plane_is_used_with_the_keyboard_alone(browser, report):
    page = browser.open(report)
    point = page.locator('#plane a[tabindex="0"]')
    assert point.count() == 1
    point.focus()
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert first != second
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail:not([hidden])")
    assert page.locator("#detail h2").inner_text().strip() in second


@pytest.mark.parametrize("width", [1400, 390])
def test_labels_of_the_plane_do_not_overlap_and_a_hidden_one_appears_with_the_pointer(browser, report, width):
    page = browser.open(report, width=width)
    for method in ("mds", "tsne"):
        page.locator("#method").select_option(method)
        seen = labels(page)
        assert len(seen) >= 4
        assert overlapping(seen) == 0
        chart = page.locator("#plane svg").bounding_box()
        assert all(box["x"] >= -1 and box["x"] + box["width"] <= chart["width"] + 1 for box in seen)
    hidden = page.locator("#plane a.unlabelled").first
    if hidden.count():
        hidden.locator(".point").hover(force=True)
        assert hidden.locator("text").is_visible()


def test_a_family_is_hidden_and_shown_again(browser, report):
    page = browser.open(report)
    button = page.locator("#families").get_by_role("button", name="mixer")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert page.locator("#plane a:visible").count() == len(LABELLED) - 4
    button.click()
    assert page.locator("#plane a:visible").count() == len(LABELLED)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("convnext sgd", "1_convnext_sgd_seed1"),
        ("vsiformer dist", "3_visformer_distilled"),
        ("MIXER-adam", "2_mixer_adamw"),
    ],
)
def test_the_search_finds_a_name_that_is_typed_roughly(browser, report, typed, expected):
    page = browser.open(report)
    field = page.get_by_role("combobox", name="Find a model")
    field.fill(typed)
    assert page.get_by_role("option").first.inner_text().strip().startswith(expected)
    field.press("Enter")
    page.wait_for_selector("#detail:not([hidden])")
    assert page.locator("#detail h2").inner_text().strip() == expected


def test_the_search_is_chosen_from_with_arrows_and_says_when_nothing_fits(browser, report):
    page = browser.open(report)
    field = page.get_by_role("combobox", name="Find a model")
    field.fill("mixer")
    field.press("ArrowDown")
    field.press("ArrowDown")
    active = field.get_attribute("aria-activedescendant")
    chosen = page.locator(f"#{active}")
    assert chosen.get_attribute("aria-selected") == "true"
    field.press("Escape")
    assert page.locator("#found [role=option]").count() == 0
    field.fill("qqqq")
    assert "No model" in page.locator("#none").inner_text()


def test_the_first_tab_stop_skips_the_head(browser, report):
    page = browser.open(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("Skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "MAIN"


def test_figures_are_downloaded_from_the_page_alone(browser, report):
    page = browser.open(report, dark=True)
    files = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.locator("#matrix").get_by_role("button", name=kind).click()
        files[kind] = download.value.path().read_bytes()
        assert download.value.suggested_filename == f"matrix.{kind.lower()}"
    picture = Image.open(io.BytesIO(files["PNG"]))
    assert picture.width > 1000
    assert picture.convert("L").getpixel((2, 2)) > 250, "a figure that is sent on has light colours"
    assert files["SVG"].startswith(b"<?xml")
    assert b"prefers-color-scheme" not in files["SVG"]
    assert len(pd.read_csv(io.BytesIO(files["CSV"]))) == len(LABELLED)


def test_tables_are_downloaded_from_the_page_alone(browser, report, folder):
    page = browser.open(report)
    for name in ("models", "pairs"):
        with page.expect_download() as download:
            page.locator(f"#{name}-section").get_by_role("button", name="CSV").first.click()
        written, expected = pd.read_csv(download.value.path()), pd.read_parquet(folder / f"tables/{name}.parquet")
        assert list(written) == list(expected)
        pd.testing.assert_frame_equal(written, expected, check_dtype=False, rtol=1e-5)
    page.locator("#tables summary").filter(has_text="components").click()
    with page.expect_download() as download:
        page.locator('[data-frame="components"]').get_by_role("button", name="CSV").click()
    assert list(pd.read_csv(download.value.path())["model"]) == list(LABELLED)


@pytest.mark.parametrize("fragment", ["", "#map-section", "#plane-section", "#pair/conv_a/2_mixer_adamw"])
def test_nothing_is_cut_on_a_phone(browser, report, fragment):
    page = browser.open(report, fragment, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    charts = boxes(page, "#map-section .legend, #families, #plane, #map")
    assert len(charts) == 4
    for chart in charts:
        assert chart["x"] >= 0
        assert chart["x"] + chart["width"] <= 390
    assert overlapping(boxes(page, "#map [role=rowheader]")) == 0
    assert overlapping(boxes(page, "#map [role=gridcell][aria-rowindex='3']")) == 0


def test_map_plane_and_figures_are_dark_where_the_reader_wants_it(browser, report):
    page = browser.open(report, dark=True)
    for selector in ("#plane", "#matrix .plot", "#nearest .plot", "#accuracy .plot"):
        part = page.locator(selector)
        part.scroll_into_view_if_needed()
        page.wait_for_timeout(100)
        pixels = brightness(part.screenshot())
        assert np.mean(pixels > 235) < 0.2, selector
        assert pixels.max() > 150, "the ink is light"
    assert brightness(page.locator("#map").screenshot())[:8, :8].mean() < 60


def test_a_figure_grows_with_the_keyboard(browser, report):
    page = browser.open(report, width=390)
    plot = page.locator("#matrix .plot")
    before = plot.locator("img").bounding_box()["width"]
    plot.focus()
    page.keyboard.press("Enter")
    assert plot.locator("img").bounding_box()["width"] > 1.5 * before


def test_all_examples_of_a_pair_are_browsed(browser, report):
    page = browser.open(report, "#pair/conv_a/2_mixer_adamw")
    gallery = page.locator("#detail .gallery")
    assert "image 1 of 2" in gallery.inner_text()
    assert "image no 0" in gallery.inner_text()
    gallery.get_by_role("button", name="Next").click()
    assert "image 2 of 2" in gallery.inner_text()
    assert "image no 4" in gallery.inner_text()


@pytest.mark.parametrize(
    ("fragment", "dark"), [("", False), ("", True), ("#pair/conv_a/2_mixer_adamw", False), ("#model/conv_a", True)]
)
def test_axe_finds_nothing(browser, report, fragment, dark):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.open(report, fragment, width=390 if dark else 1400, dark=dark)
    alike = [["#pairs tbody tr:nth-child(n + 20):not(.self)"]]  # rows without anything new
    if fragment:
        alike += [["#map"], ["#plane"], ["#models tbody"], ["#pairs tbody"]]
    else:
        page.locator("#tables summary").first.click()
    found = axe.run(page, {"exclude": alike}, {"resultTypes": ["violations"]}).response["violations"]
    assert [
        (fault["id"], fault["impact"], [node["html"][:120] for node in fault["nodes"][:3]]) for fault in found
    ] == []


def test_69_models_are_drawn_without_overlap(browser, tmp_path):
    names = {f"network_number_{number}": f"family {number % 9}" for number in range(67)}
    folder = write(tmp_path / "run", {"conv_a": "Conv", "<b>x</b>": "Conv"} | names)
    file = tmp_path / "page.html"
    results = Results.of(runs.Run.open(folder), tmp_path / "pictures")
    file.write_text(pages.render(results, {}, {}), encoding="utf-8")
    page = browser.open(file)
    assert page.locator("#map [role=gridcell]").count() == 69 * 69
    cell = page.locator(CELL).bounding_box()
    assert cell["width"] == pytest.approx(cell["height"], abs=1)
    assert (
        page.evaluate("document.getElementById('map').scrollHeight - document.getElementById('map').clientHeight") < 2
    )
    drawn = labels(page)
    assert len(drawn) > 20
    assert overlapping(drawn) == 0


@pytest.mark.parametrize("count", [1, 2])
def test_a_page_of_one_or_two_models_needs_no_map(browser, tmp_path, count):
    names = dict(list(LABELLED.items())[:count])
    run = write_run(tmp_path / "run", models_table(names), pairs_table(names) if count > 1 else None)
    file = tmp_path / "page.html"
    file.write_text(pages.render(Results.of(runs.Run.open(run), tmp_path / "pictures"), {}, {}), encoding="utf-8")
    page = browser.open(file)
    page.locator("#models-section").get_by_role("button", name="CSV").wait_for()
    assert page.locator("#map").count() == 0
    if count > 1:
        page.locator("#pairs tbody a").first.click()
        page.wait_for_selector("#detail:not([hidden])")
