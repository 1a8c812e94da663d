"""What a screen reader is told, the path of the keyboard alone, and the contrast of words in figures."""

import re

import numpy as np
import pytest

from sat_exp.report import theme

from .conftest import LABELLED

PAIR = "#pair/conv_a/2_mixer_adamw"
CARD = theme.DARK["#ffffff"]


def tree(page, selector: str) -> str:
    """Roles, names and states as a screen reader gets them."""
    return page.locator(selector).aria_snapshot()


def test_the_path_from_the_skip_link_to_a_pair_and_back_needs_the_keyboard_alone(browser, report):
    page = browser.open(report)
    for key in ("Tab", "Enter"):
        page.keyboard.press(key)
    stops = 0
    while page.evaluate("document.activeElement.role ?? ''") != "gridcell":
        page.keyboard.press("Tab")
        stops += 1
        assert stops < 9, "controls of the map, and its cells are one stop"
    for key in ("ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    cell = page.evaluate("document.activeElement.ariaRowIndex + '/' + document.activeElement.ariaColIndex")
    page.keyboard.press("Enter")
    heading = page.locator("#detail h2")
    heading.wait_for()
    assert page.evaluate("document.activeElement.tagName") == "H2"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "× close"
    page.keyboard.press("Enter")
    heading.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.ariaRowIndex + '/' + document.activeElement.ariaColIndex") == cell


def test_roles_names_and_states_of_map_and_plane(browser, report):
    page = browser.open(report, PAIR)
    seen = tree(page, "#map-section")
    assert re.search(r'heading "Map" \[level=2\]', seen)
    assert 'combobox "Colour"' in seen
    assert 'slider "Cell size"' in seen
    assert 'grid "SAT of all pairs"' in seen
    assert 'rowheader "conv_a"' in seen
    assert 'gridcell "not measured"' in seen
    current = page.locator("#map [aria-current=true]")
    assert current.count() == 1
    page.locator("#order").select_option("name")
    assert current.count() == 1, "the pair that is shown stays marked in another order"
    page.locator("#map").get_by_role("rowheader", name="conv_b").click()
    assert page.locator("#plane [aria-current=true]").get_attribute("aria-label").startswith("conv_b,")
    seen = tree(page, "#plane-section")
    assert f'group "Plane of {len(LABELLED)} models, mds"' in seen
    assert 'link "conv_a, ConvNet"' in seen
    assert 'button "mixer" [pressed]' in seen


def test_roles_and_names_of_a_pair_and_a_model(browser, report):
    page = browser.open(report, PAIR)
    seen = tree(page, "#detail")
    assert 'region "conv_a and 2_mixer_adamw"' in seen
    assert re.search(r'rowheader "images of conv_a fool 2_mixer_adamw"\n\s*- cell "\d', seen)
    assert re.search(r'columnheader "conv_a"\n\s*- columnheader "2_mixer_adamw"', seen)
    assert "img" in seen
    first = page.locator("#detail tr:has(th[scope=col]) + tr th").bounding_box()
    assert first["width"] > 80, "the names of components are not squeezed by those of the models"
    page.locator("#detail h2 a").first.click()
    seen = tree(page, "#detail")
    assert 'region "conv_a"' in seen
    assert 'rowheader "family"' in seen
    assert 'heading "Most similar" [level=3]' in seen


def test_a_change_is_announced(browser, report):
    page = browser.open(report, PAIR)
    field = page.get_by_role("combobox", name="Find a model")
    field.fill("mixer")
    assert re.search(r"status: \d shown", tree(page, ".find"))
    field.fill("")
    page.locator("#colour").select_option("rate")
    assert "status: transfer rate in %" in tree(page, "#map-section")
    page.locator("#pairs-section").get_by_role("searchbox").fill("conv_a conv_b")
    assert "status: 1 rows" in tree(page, "#pairs-section")
    page.locator("#detail").get_by_role("button", name="Next").click()
    shown = page.locator("#detail [aria-live=polite]")
    assert "image no 4" in shown.inner_text()


def test_a_figure_is_named_by_its_heading_alone(browser, report):
    page = browser.open(report)
    figure = page.get_by_role("figure", name="Similarity of all pairs", exact=True)
    assert figure.get_by_role("button", name="Enlarge: Similarity of all pairs", exact=True).count() == 1


def luminance(colour: list[float]) -> float:
    """The relative luminance of WCAG 2 of red, green and blue from 0 to 255."""
    parts = np.array(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", ["accuracy", "examples"])
def test_words_of_a_figure_are_read_on_a_dark_page(browser, folder, tmp_path, name):
    file = tmp_path / "figure.html"
    file.write_text("<main>" + theme.adaptive((folder / f"figures/{name}.svg").read_text(encoding="utf-8")) + "</main>")
    page = browser.open(file, dark=True)
    fills = page.eval_on_selector_all(
        "[id^=text_] > g", "(all) => all.map((one) => getComputedStyle(one).fill.match(/\\d+/g).map(Number))"
    )
    card = luminance([int(CARD[start : start + 2], 16) for start in (1, 3, 5)])
    assert len(fills) > 10
    assert min((luminance(fill) + 0.05) / (card + 0.05) for fill in fills) >= 4.5
