"""The figure of example images: clean, the change, adversarial, and the predictions of the attacked model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sat_exp.errors import UserError
from sat_exp.report import heatmap, theme
from sat_exp.report.theme import Drawing

LARGEST = 4096  # pixels per side of a picture
MOST = 6
TILE, GAP, TEXT, BETWEEN = 1.62, 0.08, 0.62, 0.55
CAPTION = (
    "Each group of three is the clean image, the change made by the attack (around mid-grey, times the factor below "
    "it), and the adversarial image. Above are the true class (or the clean prediction, where no label is known) and "
    "the attacked model. Below are the classes that this model predicts: ✓ for the class above, ✗ for another."
)
GOAL = " Below the change is the goal class of the attack, too."


@theme.style()
def draw(table: pd.DataFrame, folder: Path, class_names: Sequence[str]) -> Drawing:
    """Up to six examples, two per line, of sources spread over the pool.

    table: the table `examples`; known: whether the label is the true class, and not the clean prediction. folder: of
    its files. The change is drawn around mid-grey, times the largest whole number that keeps it within range.
    """
    chosen = spread(table)
    lines, across = -(-len(chosen) // 2), min(len(chosen), 2)
    block, height = 3 * TILE + 2 * GAP, TILE + TEXT
    total = lines * height + 0.4
    figure = Figure(figsize=(across * block + (across - 1) * BETWEEN + 0.4, total))
    for index, example in enumerate(chosen.to_dict("records")):
        left = 0.2 + (index % 2) * (block + BETWEEN)
        bottom = total - 0.2 - (index // 2 + 1) * height + 0.32
        panels = [heatmap.axes_at(figure, left + place * (TILE + GAP), bottom, TILE, TILE) for place in range(3)]
        _example(panels, example, folder, class_names if example["known"] else ())
    return Drawing(figure, chosen, "Examples", CAPTION + GOAL * ("goal" in table))


def pixels(file: Path) -> np.ndarray:
    """The pixels of a file, uint8 [H, W] or [H, W, 3]; UserError unless it is a PNG of 8 bits per channel and not too
    large."""
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if max(picture.size) > LARGEST or picture.mode not in ("L", "RGB"):
                raise ValueError(f"{picture.width} x {picture.height}, {picture.mode}")
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{file.name} of the examples is not a readable picture ({error})") from error


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Up to six rows of a table of examples: of as many sources as possible, and of different images."""
    models = table["model"].unique()
    models = models[np.linspace(0, len(models) - 1, min(MOST, len(models))).round().astype(int)]
    place = table["model"].map({model: index for index, model in enumerate(models)})
    count = table.groupby("model")["image"].transform("size")
    turn = (table.groupby("model").cumcount() - place) % count
    ordered = table.assign(turn=turn, place=place).dropna(subset="place").sort_values(["turn", "place"])
    return ordered.drop(columns=["turn", "place"]).head(MOST)


def _example(panels: Sequence[Axes], example: Mapping[Any, Any], folder: Path, names: Sequence[str]) -> None:
    """Draw one example; `names`: of the classes, where its label is the true class."""
    clean, adversarial = (pixels(folder / example[file]).astype(np.int64) for file in ("clean", "adversarial"))
    if clean.shape != adversarial.shape:
        raise UserError(f"{example['clean']} and {example['adversarial']} are of different sizes")
    change, label = adversarial - clean, int(example["label"])
    factor = max(1, 127 // max(1, int(np.abs(change).max())))
    goal = f", goal: {_class(names, int(example['goal']), 16)}" if "goal" in example else ""
    cells = [
        (clean, *_verdict(names, int(example["clean_prediction"]), label)),
        (np.clip(128 + factor * change, 0, 255), f"change × {factor}{goal}", theme.INK),
        (adversarial, *_verdict(names, int(example["adversarial_prediction"]), label)),
    ]
    for axes, (image, text, colour) in zip(panels, cells, strict=True):
        axes.imshow(image.astype(np.uint8), interpolation="auto", vmin=0, vmax=255, cmap="gray")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="#cccccc", linewidth=0.6)
        axes.set_xlabel(text, fontsize=8, color=colour, labelpad=3)
    above: dict[str, Any] = {"textcoords": "offset points", "xycoords": "axes fraction"}
    known = f"{'true' if example['known'] else 'clean'}: {_class(names, label, 32)}"
    panels[0].annotate(known, (0, 1), (0, 4), fontsize=8.5, weight="bold", ha="left", color=theme.INK, **above)
    source = _short(str(example["model"]), 26)
    panels[2].annotate(source, (1, 1), (0, 4), fontsize=7.5, ha="right", color=theme.QUIET, **above)


def _verdict(names: Sequence[str], predicted: int, label: int) -> tuple[str, str]:
    """The name of a predicted class, marked right or wrong, and its colour."""
    right = predicted == label
    return f"{_class(names, predicted)} {'✓' if right else '✗'}", theme.GOOD if right else theme.BAD


def _class(names: Sequence[str], label: int, width: int = 24) -> str:
    """The name of a class, the first of several synonyms."""
    return _short(str(names[label]).split(",")[0], width) if 0 <= label < len(names) else f"class {label}"


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip(" ,") + "…"
