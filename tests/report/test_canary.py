"""Text from other people's runs stays plain text on the page and in figures: no markup, no script, no formula."""

import html
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sat_exp import runs
from sat_exp.errors import UserError
from sat_exp.report import draw

from .made_run import models_table, pairs_table, summary, unpacked

SIGN = "document.documentElement.dataset.canary=1"
BAD = [
    f"<script>{SIGN}</script>",
    f"</script><script>{SIGN}</script>",
    f"<img src=x onerror='{SIGN}'>",
    f'"><svg onload="{SIGN}">',
    f"' autofocus onfocus='{SIGN}' x='",
    f"<!--<script>{SIGN}//-->",
    f"{{{{ constructor.constructor('{SIGN}')() }}}}",
    f"javascript:{SIGN}",
    "]]><a xlink:href='javascript:1'>--></style></title>",
    "@name{safe} @{source} $index %(a)s {0} {{7*7}}",
]
FORMULAS = [
    "$\\frac{1}{",
    "$$x^2$$",
    "\\(x\\)",
    "$\\undefined$",
    "_hidden",
    "__proto__",
    "constructor",
    "a\\b\\n%s",
    "né ✓ 漢字 🙂",
]
NAMES = [*BAD, *FORMULAS]
FAMILIES = {name: NAMES[(place * 7 + 3) % len(NAMES)] for place, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run in which all that can be a word is one of `NAMES`."""
    models, pairs = models_table(FAMILIES), pairs_table(FAMILIES)
    place = tmp_path_factory.mktemp("canary") / "run"
    rng = np.random.default_rng(0)
    pictures = {
        f"examples/{name}.png": rng.integers(0, 256, (1, 24, 24), np.uint8) for name in ("clean", "adversarial")
    }
    shown = [
        {"model": name, "image": 0, "image_id": name, "label": index, "known": True, "clean_prediction": index}
        | {"adversarial_prediction": 0, "clean": "examples/clean.png", "adversarial": "examples/adversarial.png"}
        for index, name in enumerate(NAMES)
    ]
    seen = [{"source": a, "target": b, "image": 0, "prediction": 1} for a in NAMES for b in NAMES]
    places = {"x": rng.random(len(NAMES)), "y": rng.random(len(NAMES))}
    tables = {
        "models": models.assign(weak_attack=True, pretrained=False),
        "pairs": pairs,
        "components": pd.DataFrame({"model": NAMES} | dict.fromkeys(BAD, NAMES[::-1])),
        "embedding": pd.DataFrame({"model": NAMES, "method": BAD[0]} | places),
        "examples": pd.DataFrame(shown),
        "example_predictions": pd.DataFrame(seen),
        "failures": pd.DataFrame({"model": NAMES, "reason": NAMES[::-1]}),
    }
    words = summary(
        title=" ".join(NAMES),
        command=" ".join(NAMES),
        class_names=NAMES,
        findings=NAMES,
        warnings=NAMES,
        choices={name: name for name in NAMES},
        versions={name: name for name in NAMES},
        hardware={name: name for name in NAMES},
        timings=dict.fromkeys(NAMES, 1.0),
        settings={"attack": dict.fromkeys(NAMES, NAMES)},
        dataset={"name": BAD[0], "images": 500, "classes": 2, "digest": BAD[1]},
        attack={"name": BAD[2], "epsilon": 16, "steps": 20} | {name: name for name in NAMES},
    )
    with runs.drafted(place) as draft:
        runs.fill(draft, words, tables, pictures)
        pd.DataFrame(dict.fromkeys(NAMES, NAMES)).to_parquet(draft / "tables/other.parquet")
    return place


@pytest.fixture(scope="module")
def drawn(run):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        warnings.filterwarnings("ignore", ".*legend.*")
        return draw(run)


class Markup(HTMLParser):
    """Tags, attributes that run something, and what scripts hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.sources: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.comments: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name in ("autofocus", "srcdoc")]
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag == "script":
            self.scripts.append(dict(attrs))

    def handle_comment(self, data):
        self.comments.append(data)


def test_the_page_has_no_markup_but_its_own(run, drawn):
    markup = Markup()
    markup.feed(drawn.page.read_text(encoding="utf-8"))
    assert {"svg", "title"} - markup.tags == {"svg"}
    assert markup.handlers == []
    assert markup.comments == []
    assert all(source.startswith(("data:image/", "#")) for source in markup.sources)
    kinds = [script.get("type") or "" for script in markup.scripts]
    assert sorted(kinds) == ["", "application/gzip", "application/gzip", "application/gzip", "application/json"]


def test_every_word_is_on_the_page_as_it_is(run, drawn):
    page = drawn.page.read_text(encoding="utf-8")
    atlas = unpacked(page, "atlas")
    assert [model["name"] for model in atlas["models"]] == NAMES
    assert [model["family"] for model in atlas["models"]] == list(FAMILIES.values())
    frames = unpacked(page, "frames")
    assert frames["other"]["columns"] == NAMES
    assert [row[0] for row in frames["other"]["rows"]] == NAMES


def test_the_figures_hold_pictures_and_no_script(drawn):
    assert {"matrix", "nearest", "transfer", "accuracy", "examples"} == set(drawn.figures)
    for png in drawn.figures.values():
        root = ElementTree.parse(png.with_suffix(".svg")).getroot()
        for node in root.iter():
            assert node.tag.rpartition("}")[2] not in ("script", "foreignObject", "a", "iframe", "text")
            assert not any(key.rpartition("}")[2].startswith("on") for key in node.attrib)
            links = [value for key, value in node.items() if key.rpartition("}")[2] == "href"]
            assert all(link.startswith(("#", "data:image/png")) for link in links)
        with Image.open(png) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


POKE = """<script>
const later = (time) => new Promise((done) => setTimeout(done, time));
const kindOf = (kind) => (kind.startsWith("pointer") ? PointerEvent : MouseEvent);
const point = (node, kind, x, y) => node.dispatchEvent(new (kindOf(kind))(kind, {
  bubbles: true, composed: true, cancelable: true, pointerType: "mouse", isPrimary: true, pointerId: 1,
  clientX: x, clientY: y, view: window,
}));
async function poke() {
  await later(2000);
  const seen = { tips: new Set(), planted: 0 };
  const look = () => {
    seen.planted += [...document.querySelectorAll("*")].filter((node) => node.getAttribute("src") === "x"
      || [...node.attributes].some((attribute) => attribute.name.startsWith("on"))).length;
    if (!document.getElementById("tip").hidden) seen.tips.add(document.getElementById("tip").textContent);
  };
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const link of document.querySelectorAll("tbody a")) link.click();
  for (const select of document.querySelectorAll("select")) for (const option of select.options) {
    select.value = option.value;
    select.dispatchEvent(new Event("change"));
  }
  for (const node of document.querySelectorAll("#map td, #map th, #plane a")) {
    point(node, "pointerover", 0, 0);
    look();
  }
  for (const node of document.querySelectorAll("#map tr:nth-child(-n + 3) > *")) node.click();
  const field = document.getElementById("find");
  for (const heading of document.querySelectorAll("#models tbody th")) {
    field.value = heading.textContent;
    field.dispatchEvent(new Event("input"));
    look();
  }
  await later(500);
  look();
  const tips = [...seen.tips].join("\\n").slice(0, 50000);
  Object.assign(document.documentElement.dataset, { planted: seen.planted, tips });
}
addEventListener("load", poke);
</script>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_nothing_runs_in_a_browser(drawn, tmp_path):
    """Tables are unfolded, models and pairs shown, every choice made, and the charts hovered over and clicked."""
    page = tmp_path / "poked.html"
    page.write_text(drawn.page.read_text(encoding="utf-8").replace("</body>", POKE + "</body>"), encoding="utf-8")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom", "--v=0"]
    command = ["chromium", *switches, f"--user-data-dir={tmp_path}/profile", "--enable-logging=stderr", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    root = re.search(r"<html[^>]*>", done.stdout)[0]
    assert "data-canary" not in root
    assert 'data-planted="0"' in root, root + done.stderr[-2000:]
    tips = html.unescape(re.search(r'data-tips="([^"]*)"', root)[1])
    assert "SAT" in tips
    assert BAD[0] in tips
    assert not [line for line in done.stderr.splitlines() if "Uncaught" in line]


PICTURES = {
    "no picture": b"no picture",
    "empty": b"",
    "cut": lambda sound: sound[: len(sound) // 2],
    "another format": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "a bomb": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0" + b"\x9d\x9e\x9a\x9d",
}


@pytest.mark.parametrize("content", PICTURES.values(), ids=PICTURES)
def test_an_example_that_is_no_picture_is_one_line(run, tmp_path, content):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    path = folder / "examples/clean.png"
    path.write_bytes(content if isinstance(content, bytes) else content(path.read_bytes()))
    runs.seal(folder)
    with pytest.raises(UserError, match=r"clean\.png of the examples is not a readable picture") as error:
        draw(folder)
    assert "\n" not in str(error.value)
