"""The HTML page of a run: every number on it comes from the run's tables and summary."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd

from sat_exp.report import atlas, origin, results
from sat_exp.report.attack import Attack
from sat_exp.report.attack import plain as _text
from sat_exp.report.cautions import pair as pair_name
from sat_exp.report.cautions import warnings
from sat_exp.report.origin import UNKNOWN, Origin
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing, FamilyStyle, family_styles

HERE = Path(__file__).parent
LARGEST_SVG = 400_000
ELSEWHERE = {"models", "pairs", "images", "store", "examples", "example_predictions", "embedding", "consensus"}
"""Tables that the page shows in another form, or that are for machines."""

LONGEST = 5000
"""Rows up to which a table is on the page."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, a small note after it, what it sorts by, a dot's colour, whether it is a name, and
    where in the page a click on it leads."""

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


def render(found: Results, drawn: Mapping[str, Drawing], pngs: Mapping[str, Path]) -> str:
    """The page as text; each of `pngs` is embedded, or the SVG file beside it where that is small enough."""
    summary = found.summary
    styles = family_styles(found.families.values())
    shown = atlas.atlas(found, styles)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False}
    return environment.get_template("template.html.j2").render(
        title=summary.get("title") or "Similarity by attack transferability",
        created=moment(summary.get("created", "")),
        headline=headline(found),
        key_numbers=key_numbers(found),
        warnings=warnings(found),
        figures=[(name, drawing.heading, drawing.caption, _embedded(pngs[name])) for name, drawing in drawn.items()],
        families={family: style.colour for family, style in styles.items()},
        models=_models_table(found.models, styles, linked=shown is not None) if found.models is not None else [],
        pairs=_pairs_table(found, styles, linked=shown is not None),
        frames={
            name: frame(table) for name, table in found.own.items() if name not in ELSEWHERE and len(table) <= LONGEST
        },
        origin=Origin.of(found),
        settings=_settings(summary) + _settings_of_studied(found),
        details=json.dumps(origin.settings(summary), indent=2, ensure_ascii=False) if summary.get("settings") else "",
        made_by={
            "Versions": _rows(summary.get("versions", {})),
            "Hardware": _rows(origin.hardware(summary)),
            "Time": [(stage, duration(seconds)) for stage, seconds in summary.get("timings", {}).items()],
        },
        command=summary.get("command", ""),
        atlas=shown,
        libraries=atlas.scripts() if shown is not None and len(shown["models"]) > 2 else [],
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )


def frame(table: pd.DataFrame) -> dict[str, list[Any]]:
    """A table as plain data: columns and rows."""
    rows = [[atlas.plain(value) for value in row] for row in table.astype(object).to_numpy()]
    return {"columns": [str(column) for column in table.columns], "rows": rows}


def headline(found: Results) -> str:
    """The result in a few sentences: what the run found, then what its tables of pairs and models say."""
    sentences = list(found.summary.get("findings", []))
    said = of_pairs(found) + of_models(found)
    if said and {"pairs", "models"}.isdisjoint(found.own):
        sentences.append(f"Of the run studied, {Path(found.summary['measured']).name}:")
    return " ".join(sentences + said)


def of_pairs(found: Results) -> list[str]:
    if found.pairs is None:
        return []
    between = results.between_models(found.pairs).dropna(subset=["sat"])
    if len(between) == 1:
        (pair,) = between.to_dict("records")
        what = Origin.of(found).attack.images.capitalize()
        return [
            f"{what} of {pair['model_a']} fool {pair['model_b']} on "
            f"{percent_interval(pair, 'transfer_rate_ab')} of {pair['images']:,} images, those of {pair['model_b']} "
            f"fool {pair['model_a']} on {percent_interval(pair, 'transfer_rate_ba')}: SAT is {pair['sat']:.2f} "
            f"({Origin.of(found).level} interval {pair['sat_low']:.2f} to {pair['sat_high']:.2f})."
        ]
    if len(between):
        most, least = (between.loc[place].to_dict() for place in (between["sat"].idxmax(), between["sat"].idxmin()))
        said = [
            f"Of {len(between):,} pairs of {len(results.model_families(between))} models, {pair_name(most)} are the "
            f"most similar (SAT {most['sat']:.2f}, {percent(mean_rate(most))} mean transfer) and {pair_name(least)} "
            f"the least (SAT {least['sat']:.2f}, {percent(mean_rate(least))}); the median is "
            f"{between['sat'].median():.2f}."
        ]
        known = between[(between[["family_a", "family_b"]] != UNKNOWN).all(axis=1)]
        same = known["family_a"] == known["family_b"]
        if same.any() and not same.all():
            said.append(
                f"Pairs of one family average {known.loc[same, 'sat'].mean():.2f}, pairs of different families "
                f"{known.loc[~same, 'sat'].mean():.2f}."
            )
        return said
    ways = results.one_way(found.pairs)
    if ways.empty:
        return []
    most, least = (ways.loc[place].to_dict() for place in (ways["rate"].idxmax(), ways["rate"].idxmin()))
    return [
        f"Of {len(ways):,} transfers from {ways['source'].nunique()} to {ways['target'].nunique()} models, "
        f"that from {most['source']} to {most['target']} fools the most ({percent(most['rate'])} of images), "
        f"that from {least['source']} to {least['target']} the least ({percent(least['rate'])})."
    ]


def of_models(found: Results) -> list[str]:
    if found.models is None:
        return []
    attacked = found.models.dropna(subset="white_box_success")
    attack = Attack.of(found.studied or found.summary).name
    if len(attacked) == 1:
        (model,) = attacked.to_dict("records")
        clean = f"; its clean accuracy is {percent_interval(model, 'clean_accuracy')}"
        return [
            f"{attack} fools {model['model']} on {model['fooled']:,} of the {model['attacked']:,} "
            f"attacked images, {percent_interval(model, 'white_box_success')}"
            f"{clean * bool(np.isfinite(model['clean_accuracy']))}."
        ]
    if attacked.empty:
        return []
    success = attacked["white_box_success"]
    worst = attacked.loc[success.idxmin()]
    return [
        f"{attack} fools the median model on {percent(success.median())} of the images on which it is attacked "
        f"(lowest: {worst['model']}, {percent(worst['white_box_success'])})."
    ]


def key_numbers(found: Results) -> list[tuple[str, str]]:
    """(value, what it is) of the few numbers at the top of the page, those that are known."""
    numbers: list[tuple[str, str]] = []
    if found.models is not None and len(found.models):
        models = found.models
        numbers += [
            (f"{len(models)}", "model" if len(models) == 1 else "models"),
            (f"{models['images'].max():,}", "images"),
        ]
        for column in ("clean_accuracy", "white_box_success"):
            known, what = models[column].dropna(), column.replace("_", " ").replace("white box", "white-box")
            if len(known):
                numbers.append((percent(known.median()), what if len(known) == 1 else f"median {what}"))
    elif found.pairs is not None:
        numbers.append((f"{len(found.families)}", "models"))
    if found.pairs is not None:
        rates, sat = results.one_way(found.pairs)["rate"], results.between_models(found.pairs)["sat"].dropna()
        if len(rates):
            of = {1: "", 2: "mean "}.get(len(rates), "median ")
            numbers.append((percent(rates.median()), f"{of}transfer rate"))
        if len(sat):
            numbers.append((f"{sat.median():.2f}", "SAT" if len(sat) == 1 else "median SAT"))
    return numbers


def mean_rate(pair: Mapping[Any, Any]) -> float:
    """The mean of both transfer rates; what SAT says that it is where only SAT is known."""
    mean = (pair["transfer_rate_ab"] + pair["transfer_rate_ba"]) / 2
    return mean if np.isfinite(mean) else float(np.exp(pair["sat"]) / 100)


def percent(fraction: float) -> str:
    """For instance '37.0 %', with a space that does not break."""
    return f"{results.in_percent(fraction)}\N{NO-BREAK SPACE}%" if np.isfinite(fraction) else "–"


def percent_interval(row: Mapping[Any, Any], column: str) -> str:
    """For instance '37.0 % (34.1–39.8)', from `column`, `column`_low and `column`_high."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    return percent(row[column]) + (f" ({100 * low:.1f}–{100 * high:.1f})" if np.isfinite(low) else "")


def moment(iso: str) -> str:
    """For instance '2026-11-23 04:40 UTC' from an ISO time with its zone."""
    return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M %Z").strip() if iso else ""


def duration(seconds: float) -> str:
    """For instance '0.42 s', '31 s', '2 min 34 s', '3 h 05 min'."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _embedded(png: Path) -> str:
    """The figure as a data URI: its SVG file, or where that is large (big matrices, photographs) the picture."""
    svg = png.with_suffix(".svg")
    if svg.stat().st_size > LARGEST_SVG:
        return atlas.embedded(png, quality=90)
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode('ascii')}"


def _rows(mapping: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(key), _text(value)) for key, value in mapping.items()]


def _settings(summary: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Tables of (name, value) with their headings: the attack, the data set, what was chosen on the command line."""
    tables = [
        ("Attack", Attack.of(summary).settings),
        ("Data set", _rows(summary.get("dataset") or {})),
        ("Choices", _rows(origin.choices(summary))),
    ]
    return [(name, rows) for name, rows in tables if rows]


def _settings_of_studied(found: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """The same of the run that a study is about, where the study says nothing of its own."""
    own = {name for name, _ in _settings(found.summary)}
    return [(f"{name} of the run studied", rows) for name, rows in _settings(found.studied) if name not in own]


def _number(value: float, text: str, note: str = "") -> Cell:
    """A cell that reads '–' and sorts last where the value is missing."""
    return Cell(text, note, f"{value:.6g}") if np.isfinite(value) else Cell("–")


def _rate(row: Mapping[str, Any], column: str) -> Cell:
    """Percent with its interval, from `column`, `column`_low and `column`_high."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    note = f"{100 * low:.1f}–{100 * high:.1f}" if np.isfinite(low) else ""
    return _number(row[column], results.in_percent(row[column]), note)


def _count(value: float) -> Cell:
    return _number(value, f"{value:,.0f}")


def _model(name: str, family: str, styles: Mapping[str, FamilyStyle], link: str) -> Cell:
    return Cell(str(name), value=str(name), colour=styles[family].colour, link=link)


def _link(kind: str, *names: str) -> str:
    """Where the page shows a model or a pair."""
    return "#" + "/".join([kind, *(quote(str(name), safe="!~*'()") for name in names)])


def _pair_link(row: Mapping[Any, Any]) -> str:
    return _link("pair", row["model_a"], row["model_b"])


def _models_table(models: pd.DataFrame, styles: Mapping[str, FamilyStyle], linked: bool) -> list[Row]:
    """Rows in the order of the headings in the template."""
    return [
        Row(
            [
                _model(row["model"], row["family"], styles, _link("model", row["model"]) if linked else ""),
                Cell(str(row["family"]), value=str(row["family"]), name=True),
                _number(row["parameters"], f"{row['parameters'] / 1e6:.2f}"),
                _count(row["images"]),
                _rate(row, "clean_accuracy"),
                _count(row["attacked"]),
                _count(row["fooled"]),
                _rate(row, "white_box_success"),
                _number(row["mean_linf"], f"{row['mean_linf']:.1f}"),
                _number(row["mean_l2"], f"{row['mean_l2']:.0f}"),
                _number(row["changed_pixels"], f"{100 * row['changed_pixels']:.1f}"),
                _number(row["attack_seconds"], f"{row['attack_seconds']:.1f}"),
                _number(row["attack_images_per_second"], f"{row['attack_images_per_second']:.1f}"),
            ]
        )
        for row in models.to_dict("records")
    ]


def _pairs_table(found: Results, styles: Mapping[str, FamilyStyle], linked: bool) -> list[Row]:
    """Rows in the order of the headings in the template: most similar pairs first, models against themselves last; of
    pairs that were not measured their SAT alone."""
    if found.pairs is None:
        return []
    itself = found.pairs["model_a"] == found.pairs["model_b"]
    ordered = found.pairs.assign(itself=itself).sort_values(["itself", "sat"], ascending=[True, False], kind="stable")
    measured = not Origin.of(found).stated
    return [
        Row(
            [
                _model(row["model_a"], row["family_a"], styles, _pair_link(row) if linked else ""),
                _model(row["model_b"], row["family_b"], styles, _pair_link(row) if linked else ""),
                _number(
                    row["sat"],
                    f"{row['sat']:.3f}",
                    f"{row['sat_low']:.3f}–{row['sat_high']:.3f}" if np.isfinite(row["sat_low"]) else "",
                ),
                *(_rate(row, f"transfer_rate_{way}") for way in ("ab", "ba") if measured),
                *(_count(row[count]) for count in ("fooled_ab", "fooled_ba", "images") if measured),
            ],
            self_pair=row["itself"],
        )
        for row in ordered.to_dict("records")
    ]
