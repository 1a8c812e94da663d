"""The HTML page of a run: every number on it comes from the run's tables and summary."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd

from sat_exp.report import atlas, cells, origin, theme
from sat_exp.report.headline import headline, key_numbers, warnings
from sat_exp.report.origin import Attack, Origin, duration, moment, plain
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.runs import registry

WEB = Path(__file__).parent / "web"
SCRIPTS = ("common", "tables", "views", "search", "map", "plane", "start")
LARGEST_SVG = 1_000_000  # bytes of an SVG file that is embedded; the picture takes the place of a larger one
PLAIN = " !$&'()*+,-./:;=?@[]^_{|}~"  # characters that stand for themselves in a data URI
LONGEST = 5000  # rows of a table on the page
Rows = list[tuple[str, str]]  # names and values of a table of settings


def render(results: Results, drawn: Mapping[str, Drawing], pngs: Mapping[str, Path]) -> str:
    """The page as text; pngs: the PNG file of each figure, whose SVG file is next to it."""
    summary, interactive = results.summary, atlas.atlas(results)
    pictures = ((interactive or {}).get("examples") or {}).pop("pictures", [])  # which are compressed already
    own = {name: table for name, table in results.own.items() if registry.table(name).on_page}
    studied = {name: results.tables[name] for name in ("models", "pairs") if name in results.tables}
    shown = {name: table for name, table in (own | studied).items() if len(table) <= LONGEST}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(WEB),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["packed"] = packed
    return environment.get_template("page.html.j2").render(
        title=summary.get("title") or "Similarity by attack transferability",
        created=moment(summary.get("created", "")),
        headline=headline(results),
        key_numbers=key_numbers(results),
        warnings=warnings(results),
        figures=[(name, drawing.heading, drawing.caption, _embedded(pngs[name])) for name, drawing in drawn.items()],
        families={family: style.colour for family, style in results.styles.items()},
        models=cells.models(results, linked=interactive is not None),
        pairs=cells.pairs(results, linked=interactive is not None),
        frames={name: _frame(table) for name, table in shown.items()},
        listed=[name for name in own if name in shown],
        origin=Origin.of(results),
        settings=_settings(results),
        details=json.dumps(origin.settings(summary), indent=2, ensure_ascii=False) if summary.get("settings") else "",
        command=summary.get("command", ""),
        atlas=interactive,
        pictures=pictures,
        mapped=interactive is not None and len(interactive["models"]) > 2,
        drawn={name: drawing.csv for name, drawing in drawn.items()},
        style=(WEB / "page.css").read_text(encoding="utf-8"),
        script="\n".join((WEB / f"{script}.js").read_text(encoding="utf-8") for script in SCRIPTS),
    )


def packed(value: Any) -> str:
    """A value as JSON, compressed and in letters of base64; the same value gives the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def _frame(table: pd.DataFrame) -> dict[str, list[Any]]:
    rows = [[atlas.plain(value) for value in row] for row in table.astype(object).to_numpy()]
    return {"columns": [str(column) for column in table.columns], "rows": rows}


def _embedded(png: Path) -> str:
    """A figure as a data URI: its SVG file, dark where the reader prefers that, or the picture where that is large."""
    svg = png.with_suffix(".svg")
    if svg.stat().st_size > LARGEST_SVG:
        return atlas.embedded(png, quality=90)
    text = re.sub(r"<!--.*?-->|\s+(?=<)", "", theme.adaptive(svg.read_text(encoding="utf-8")), flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    return f"data:image/svg+xml,{quote(text, safe=PLAIN)}"


def _settings(results: Results) -> list[tuple[str, Rows]]:
    """Tables of settings with their headings: of the run, of the run studied where the study has none, the machine."""
    summary = results.summary
    own, studied = (
        {
            "Attack": Attack.of(facts).settings,
            "Data set": _rows(facts.get("dataset") or {}),
            "Choices": _rows(origin.choices(facts)),
        }
        for facts in (summary, results.studied)
    )
    before = {f"{name} of the run studied": rows for name, rows in studied.items() if not own[name]}
    made_by = {
        "Versions": _rows(summary.get("versions", {})),
        "Hardware": _rows(origin.hardware(summary)),
        "Time": [(stage, duration(seconds)) for stage, seconds in summary.get("timings", {}).items()],
    }
    return [(name, rows) for name, rows in (own | before | made_by).items() if rows]


def _rows(mapping: Mapping[str, Any]) -> Rows:
    return [(str(key), plain(value)) for key, value in mapping.items()]
