"""The tables of models and of pairs on the page, cell by cell in the order of the headings in the template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from sat_exp.report.origin import Origin, in_percent
from sat_exp.report.results import Results


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a small note, the value to sort by, the colour of a dot, whether it is a name, and the target
    of a link within the page."""

    text: str
    note: str = ""
    value: float | str = ""
    colour: str = ""
    name: bool = False
    link: str = ""


@dataclass(frozen=True)
class Row:
    cells: list[Cell]
    self_pair: bool = False


def models(results: Results, linked: bool) -> list[Row]:
    """One row per model; linked: whether the page has a view of each model."""
    if results.models is None:
        return []
    return [
        Row(
            [
                _name(row["model"], results, _link("model", row["model"]) if linked else ""),
                Cell(str(row["family"]), value=str(row["family"]), name=True),
                _number(row["parameters"], f"{row['parameters'] / 1e6:.2f}"),
                _number(row["images"]),
                _rate(row, "clean_accuracy"),
                _number(row["attacked"]),
                _number(row["fooled"]),
                _rate(row, "white_box_success"),
                _number(row["mean_linf"], f"{row['mean_linf']:.1f}"),
                _number(row["mean_l2"]),
                _number(row["changed_pixels"], f"{100 * row['changed_pixels']:.1f}"),
                _number(row["attack_seconds"], f"{row['attack_seconds']:.1f}"),
                _number(row["attack_images_per_second"], f"{row['attack_images_per_second']:.1f}"),
            ]
        )
        for row in results.models.to_dict("records")
    ]


def pairs(results: Results, linked: bool) -> list[Row]:
    """One row per pair, the most similar first, models against themselves last; only SAT for pairs read from a file."""
    if results.pairs is None:
        return []
    itself = results.pairs["model_a"] == results.pairs["model_b"]
    ordered = results.pairs.assign(itself=itself)
    ordered = ordered.sort_values(["itself", "sat"], ascending=[True, False], kind="stable")
    measured, rows = not Origin.of(results).stated, []
    for row in ordered.to_dict("records"):
        link = _link("pair", row["model_a"], row["model_b"]) if linked else ""
        interval = f"{row['sat_low']:.3f}–{row['sat_high']:.3f}" if np.isfinite(row["sat_low"]) else ""
        cells = [_name(row[side], results, link) for side in ("model_a", "model_b")]
        cells.append(_number(row["sat"], f"{row['sat']:.3f}", interval))
        if measured:
            cells += [_rate(row, f"transfer_rate_{way}") for way in ("ab", "ba")]
            cells += [_number(row[count]) for count in ("fooled_ab", "fooled_ba", "images")]
        rows.append(Row(cells, self_pair=row["itself"]))
    return rows


def _number(value: float, text: str | None = None, note: str = "") -> Cell:
    """A cell with `text`, by default the rounded value; it reads '–' and sorts last where the value is missing."""
    if not np.isfinite(value):
        return Cell("–")
    return Cell(f"{value:,.0f}" if text is None else text, note, f"{value:.6g}")


def _rate(row: Mapping[Any, Any], column: str) -> Cell:
    """Percent with its interval, from `column`, `column`_low and `column`_high."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    note = f"{100 * low:.1f}–{100 * high:.1f}" if np.isfinite(low) else ""
    return _number(row[column], in_percent(row[column]), note)


def _name(model: Any, results: Results, link: str) -> Cell:
    return Cell(str(model), value=str(model), colour=results.styles[results.families[model]].colour, link=link)


def _link(kind: str, *names: str) -> str:
    """The fragment of the page's view of a model or a pair."""
    return "#" + "/".join([kind, *(quote(str(name), safe="!~*'()") for name in names)])
