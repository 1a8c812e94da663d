"""The look shared by all figures: a colour and a marker per family, and matplotlib settings of our own."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

INK = "#222222"
QUIET = "#767676"
MISSING = "#e6e6e6"
GOOD = "#0173b2"
BAD = "#c44e00"
MARKERS = "os^DvPX"
DARK = {
    INK: "#e4e8ec",
    QUIET: "#9aa5af",
    MISSING: "#343c44",
    "#ffffff": "#1d2227",
    "#cccccc": "#4a545e",
    "#e4e4e4": "#343c44",
}
"""What the colours of figures become on the page of a reader who prefers dark colours; cells keep theirs."""
DARK_WORDS = {GOOD: "#5fb3ea", BAD: "#ff9c5e"}
"""The same for words alone: areas and points in these colours stand for families."""
MARGIN = 0.12
"""The width of the empty edge of figures, in inches."""
RC: dict[str, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "svg.hashsalt": "sat_exp",
    "text.color": INK,
    "text.parse_math": False,
}
for ticks in ("xtick", "ytick"):
    RC |= {f"{ticks}.color": QUIET, f"{ticks}.labelcolor": INK, f"{ticks}.labelsize": 8.5}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults plus `RC`, whatever the user's matplotlibrc states; undone at the end."""
    with matplotlib.style.context(["default", RC]):
        yield


@dataclass(frozen=True)
class Drawing:
    """A figure with its heading and caption.

    data: the numbers in the figure, in the order in which they are drawn; an index with a name is written too.
    """

    figure: Figure
    data: pd.DataFrame
    heading: str
    caption: str

    @property
    def csv(self) -> str:
        """The numbers as CSV."""
        return self.data.to_csv(index=self.data.index.name is not None)


def save(drawing: Drawing, stem: Path, note: str = "") -> Path:
    """Write `stem`.svg and `stem`.png, with a note on top, and the numbers as `stem`.csv; returns the PNG file."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    png = stem.with_suffix(".png")
    with style():
        drawing.figure.text(0.5, 1, note, ha="center", va="bottom", color=BAD, fontsize=10)
        drawing.figure.draw_without_rendering()  # lays it out, once for both files
        box = drawing.figure.get_tightbbox().padded(MARGIN)
        drawing.figure.set_layout_engine("none")
        drawing.figure.savefig(stem.with_suffix(".svg"), bbox_inches=box, metadata={"Date": None})
        drawing.figure.savefig(png, bbox_inches=box)
    stem.with_suffix(".csv").write_text(drawing.csv, encoding="utf-8")
    return png


def adaptive(svg: str) -> str:
    """A figure written by `save`, as SVG, with colours for readers who prefer dark ones."""
    rules = []
    for light, dark in DARK.items():
        # white text is in cells, white areas are the background
        filled = '[id^="patch_"] > path' if light == "#ffffff" else ""
        rules += [f'{filled}[style*="fill: {light}"] {{ fill: {dark} !important }}']
        rules += [f'[style*="stroke: {light}"] {{ stroke: {dark} !important }}']
    rules += [
        f'[id^="text_"] > [style*="fill: {light}"] {{ fill: {dark} !important }}' for light, dark in DARK_WORDS.items()
    ]
    style = f'<style id="dark">@media (prefers-color-scheme: dark) {{ {" ".join(rules)} }}</style>'
    return svg.replace("<defs>", f"{style}<defs>", 1)


def label(axes: Axes, x: pd.Series, y: pd.Series, names: pd.Series) -> None:
    """Write names next to points, moved apart where they would overlap; none where a coordinate is missing."""
    known = x.notna().to_numpy() & y.notna().to_numpy()
    x, y, names = x[known], y[known], names[known]
    size = float(np.interp(len(names), (15, 70), (8.5, 6)))
    texts = [axes.text(right, up, str(name), fontsize=size) for right, up, name in zip(x, y, names, strict=True)]
    line = {"arrowstyle": "-", "color": QUIET, "lw": 0.4}
    adjust_text(texts, x=list(x), y=list(y), ax=axes, expand=(1.2, 1.7), iter_lim=100, arrowprops=line)


@dataclass(frozen=True)
class FamilyStyle:
    colour: str
    marker: str


def family_styles(families: Iterable[str]) -> dict[str, FamilyStyle]:
    """Styles by family name, in alphabetical order. families: of every model.

    The ten families with most models get ten colour-blind-safe hues, the others darker shades of them. Markers repeat
    with another period, so that no two of the first seventy families share hue and marker.
    """
    hues = sns.color_palette("colorblind", 10)
    styles = {}
    counts = Counter(families)
    for index, family in enumerate(sorted(counts, key=lambda family: (-counts[family], family))):
        shade = 0.6 ** (index // len(hues) % 3)
        red, green, blue = hues[index % len(hues)]
        colour = to_hex((shade * red, shade * green, shade * blue))
        styles[family] = FamilyStyle(colour, MARKERS[index % len(MARKERS)])
    return dict(sorted(styles.items()))
