"""The figure of example images: clean, the change, adversarial, and what the attacked model sees in them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.errors import UserError
from sat_exp.report import heatmap, pictures, theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing

MOST = 6


def drawings(results: Results) -> dict[str, Drawing]:
    """The figure of examples, where the run has any."""
    table = results.own.get("examples")
    return {} if table is None else {"examples": examples(table, results.examples, results.class_names)}


@theme.style()
def examples(table: pd.DataFrame, folder: Path, class_names: Sequence[str]) -> Drawing:
    """Clean image, magnified perturbation and adversarial image, two examples a line, of sources spread over the pool.

    `table` holds model (the source), image, label, known (whether the label is the true class, one of `class_names`, or
    else the clean prediction), both predictions of the source, and the files clean and adversarial in `folder`. The
    perturbation is drawn around mid-grey, times the whole number that just keeps it within range.
    """
    chosen = spread(table)
    lines, across = -(-len(chosen) // 2), min(len(chosen), 2)
    tile, gap, text, between = 1.62, 0.08, 0.62, 0.55
    block, height = 3 * tile + 2 * gap, tile + text
    width, total = across * block + (across - 1) * between + 0.4, lines * height + 0.4
    figure = Figure(figsize=(width, total))
    for index, example in enumerate(chosen.to_dict("records")):
        left = 0.2 + (index % 2) * (block + between)
        bottom = total - 0.2 - (index // 2 + 1) * height + 0.32
        clean, adversarial = (
            pictures.pixels(folder / example[file]).astype(np.int64) for file in ("clean", "adversarial")
        )
        if clean.shape != adversarial.shape:
            raise UserError(f"{example['clean']} and {example['adversarial']} are of different sizes")
        change = adversarial - clean
        factor = max(1, 127 // max(1, int(np.abs(change).max())))
        label, known = int(example["label"]), bool(example["known"])
        names = class_names if known else ()
        cells = [
            (clean, *_verdict(names, int(example["clean_prediction"]), label)),
            (np.clip(128 + factor * change, 0, 255), f"change × {factor}", theme.INK),
            (adversarial, *_verdict(names, int(example["adversarial_prediction"]), label)),
        ]
        for column, (image, caption, colour) in enumerate(cells):
            axes = heatmap.axes_at(figure, left + column * (tile + gap), bottom, tile, tile)
            axes.imshow(image.astype(np.uint8), interpolation="auto", vmin=0, vmax=255, cmap="gray")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color="#cccccc", linewidth=0.6)
            axes.set_xlabel(caption, fontsize=8, color=colour, labelpad=3)
            above = {
                0: f"{'true' if known else 'clean'}: {_class(names, label, 32)}",
                2: _short(str(example["model"]), 26),
            }
            if column in above:
                axes.annotate(
                    above[column],
                    (column / 2, 1),
                    (0, 4),
                    textcoords="offset points",
                    xycoords="axes fraction",
                    fontsize=7.5 if column else 8.5,
                    weight="normal" if column else "bold",
                    ha="right" if column else "left",
                    color=theme.QUIET if column else theme.INK,
                )
    return Drawing(
        figure,
        chosen,
        "Examples",
        "Each group of three: the clean image, the change made by the attack around mid-grey and multiplied by the "
        "factor below it, and the adversarial image. Above stand the true class (or, where no label is known, the "
        "clean prediction) and the attacked model, below the images the classes that this model predicts: ✓ where that "
        "is the class above, ✗ where it is another.",
    )


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Up to six rows of a table of examples: of as many sources as there are, of these of different images."""
    models = table["model"].unique()
    models = models[np.linspace(0, len(models) - 1, min(MOST, len(models))).round().astype(int)]
    place = table["model"].map({model: index for index, model in enumerate(models)})
    count = table.groupby("model")["image"].transform("size")
    turn = (table.groupby("model").cumcount() - place) % count
    ordered = table.assign(turn=turn, place=place).dropna(subset="place").sort_values(["turn", "place"])
    return ordered.drop(columns=["turn", "place"]).head(MOST)


def _verdict(names: Sequence[str], predicted: int, label: int) -> tuple[str, str]:
    """Name of a predicted class, marked right or wrong, and its colour."""
    right = predicted == label
    return f"{_class(names, predicted)} {'✓' if right else '✗'}", theme.GOOD if right else theme.BAD


def _class(names: Sequence[str], label: int, width: int = 24) -> str:
    """The name of a class, the first of its synonyms where they are listed with commas."""
    return _short(str(names[label]).split(",")[0], width) if 0 <= label < len(names) else f"class {label}"


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip(" ,") + "…"
