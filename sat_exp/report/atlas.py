"""What the interactive part of the page shows, as plain data: models, pairs, where models lie, example images.

The page's script (`page.js`) draws it; numbers are rounded to six digits, pictures are made small.
"""

import base64
import importlib.resources
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from PIL import Image

from sat_exp import similarity
from sat_exp.report import pictures, results
from sat_exp.report.origin import Origin
from sat_exp.report.results import Results
from sat_exp.report.theme import FamilyStyle

LOSSLESS = 64
"""Pictures of up to so many pixels a side are embedded as they are; larger ones as WebP of quality `QUALITY`."""

QUALITY = 80

RATES = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]
NUMBERS = ["images", "sat", "sat_low", "sat_high", *RATES]
BESIDE = {
    "residual": ("pairs_without_hubs", "SAT beyond what each shares with everyone"),
    "agreement": ("controls", "same clean prediction, share of images"),
    "error_consistency": ("controls", "error consistency κ"),
    "noise_sat": ("controls", "log of the mean rate fooled by noise (%)"),
}
"""What other tables say of a pair: by column, the table it is in and what it is."""

SCRIPTS = ("bokeh.min.js", "bokeh-api.min.js")


def atlas(found: Results, styles: Mapping[str, FamilyStyle]) -> dict[str, Any] | None:
    """All of it, or None for a run that compares no two models."""
    if found.pairs is None or not len(results.between_models(found.pairs)):
        return None
    names, origin = list(results.model_families(found.pairs)), Origin.of(found)
    return {
        "directed": origin.directed,
        "interval": f"{origin.level} interval",
        "models": [model(name, found, styles) for name in names],
        "pairs": pairs(found, names),
        "beside": {column: words for column, (_, words) in BESIDE.items() if column in of_pairs(found)},
        "orders": orders(found, names),
        "places": places(found, names),
        "clusters": clusters(found, names),
        "palettes": {
            "sat": sns.color_palette("rocket_r", 64).as_hex(),
            "rate": sns.color_palette("mako_r", 64).as_hex(),
            "residual": sns.color_palette("vlag", 65).as_hex(),
        },
        "examples": examples(found, names),
    }


def scripts() -> list[str]:
    """The sources of the plotting library, Bokeh's own files."""
    folder = importlib.resources.files("bokeh.server") / "static" / "js"
    return [(folder / script).read_text(encoding="utf-8").replace("</script", "<\\/script") for script in SCRIPTS]


def model(name: str, found: Results, styles: Mapping[str, FamilyStyle]) -> dict[str, Any]:
    """name, family, colour, components, and of its row in the table of models the rates with intervals."""
    family = found.families[name]
    facts: dict[str, Any] = {"name": name, "family": family, "colour": styles[family].colour}
    for table, columns in (
        ("models", ["parameters", "clean_accuracy", "white_box_success"]),
        ("directed", ["fools", "fools_rank", "fooled", "fooled_rank"]),
        ("hubs", ["mean_sat", "rank", "nearest_to"]),
    ):
        for row in _rows(found, table, name):
            facts |= {column: plain(row[column]) for column in columns}
    for row in _rows(found, "components", name):
        facts["components"] = {column: str(value) for column, value in row.items() if column != "model"}
    return facts


def of_pairs(found: Results) -> pd.DataFrame:
    """The table of pairs with the columns of `BESIDE` that the run knows."""
    assert found.pairs is not None
    table = found.pairs
    keys = [frozenset(pair) for pair in table[["model_a", "model_b"]].to_numpy()]
    for column, (source, _) in BESIDE.items():
        other = found.tables.get(source)
        if other is not None and {"model_a", column} <= set(other):
            known = {frozenset(pair): value for *pair, value in other[["model_a", "model_b", column]].to_numpy()}
            table = table.assign(**{column: [known.get(key, np.nan) for key in keys]})
    return table


def pairs(found: Results, names: list[str]) -> dict[str, list[Any]]:
    """Columns: a and b, places among `names`, and numbers; missing ones are null."""
    table = of_pairs(found)
    place = {name: index for index, name in enumerate(names)}
    columns = {"a": [place[name] for name in table["model_a"]], "b": [place[name] for name in table["model_b"]]}
    return columns | {
        column: [plain(value) for value in table[column]] for column in (*NUMBERS, *BESIDE) if column in table
    }


def orders(found: Results, names: list[str]) -> dict[str, list[int]]:
    """Orders in which the heat map can be shown, by what they are."""
    assert found.pairs is not None
    place = {name: index for index, name in enumerate(names)}
    families = found.families
    by: dict[str, list[str]] = {}
    if results.between_models(found.pairs)["sat"].notna().any():
        by["tree"] = results.leaf_order(similarity.matrix(found.pairs))
    grouped = clusters(found, names)
    if grouped is not None and "tree" in by:
        by["cluster"] = sorted(by["tree"], key=lambda name: grouped[place[name]])
    by["family"] = sorted(names, key=lambda name: (families[name], name))
    by["name"] = sorted(names)
    return {what: [place[name] for name in order] for what, order in by.items()}


def places(found: Results, names: list[str]) -> dict[str, dict[str, list[Any]]]:
    """For each method of embedding x and y of `names`."""
    table = found.tables.get("embedding")
    if table is None:
        return {}
    return {
        str(method): {axis: [plain(value) for value in points.set_index("model")[axis].reindex(names)] for axis in "xy"}
        for method, points in table.groupby("method", sort=False)
    }


def clusters(found: Results, names: list[str]) -> list[int] | None:
    table = found.tables.get("clusters")
    if table is None or not {"model", "cluster"} <= set(table):
        return None
    return table.set_index("model")["cluster"].reindex(names, fill_value=0).astype(int).to_list()


def examples(found: Results, names: list[str]) -> dict[str, Any] | None:
    """shown: of every source and image its label, whether that is the true class, and its clean and adversarial picture
    (indices of pictures); predictions: by "image/source" the class that each target sees; classes: names of labels."""
    table, seen = found.tables.get("examples"), found.tables.get("example_predictions")
    if table is None or seen is None:
        return None
    table = table[table["model"].isin(names)]
    files = dict.fromkeys([*table["clean"], *table["adversarial"]])
    shots = [embedded(pictures.checked(found.examples / file)) for file in files]
    place = {name: index for index, name in enumerate(names)}
    numbers = {file: index for index, file in enumerate(files)}
    shown = [
        {
            "model": place[row["model"]],
            "image": int(row["image"]),
            "id": str(row["image_id"]),
            "label": int(row["label"]),
            "known": bool(row["known"]),
            "before": int(row["clean_prediction"]),
            "clean": numbers[row["clean"]],
            "adversarial": numbers[row["adversarial"]],
        }
        for row in table.to_dict("records")
    ]
    predictions: dict[str, dict[str, int]] = {}
    for row in seen[seen["source"].isin(place) & seen["target"].isin(place)].to_dict("records"):
        key = f"{int(row['image'])}/{place[row['source']]}"
        predictions.setdefault(key, {})[str(place[row["target"]])] = int(row["prediction"])
    classes = found.class_names
    used = {int(value) for value in [*table["label"], *table["clean_prediction"], *seen["prediction"]]}
    return {
        "shown": shown,
        "pictures": shots,
        "predictions": predictions,
        "classes": {
            number: str(classes[number]).split(",")[0] for number in sorted(used) if 0 <= number < len(classes)
        },
    }


def embedded(file: Path, quality: int = QUALITY) -> str:
    """A PNG file as a data URI: a large one as WebP of that quality, 0 to 100."""
    with Image.open(file) as picture:
        if max(picture.size) <= LOSSLESS:
            kind, content = "png", file.read_bytes()
        else:
            packed = io.BytesIO()
            picture.save(packed, "WEBP", quality=quality)
            kind, content = "webp", packed.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def plain(value: Any) -> Any:
    """A number of six digits, null where it is missing; other things as they are."""
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    if value is pd.NA:
        return None
    return value.item() if isinstance(value, np.generic) else value


def _rows(found: Results, table: str, name: str) -> list[dict[str, Any]]:
    """The row of `name` in one of the tables, if it is there."""
    if table not in found.tables:
        return []
    frame = found.tables[table]
    return frame[frame["model"] == name].head(1).to_dict("records")  # type: ignore[return-value]
