"""The data of the page's interactive part: models, pairs, the plane of the models, example images.

The scripts of the page (`web/`) draw them. Numbers are rounded to six digits and pictures are compressed.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from PIL import Image

from sat_exp import similarity
from sat_exp.report.figures.examples import pixels
from sat_exp.report.origin import Origin
from sat_exp.report.results import Results, leaf_order, model_families
from sat_exp.similarity.scores import between_models

LOSSLESS = 64
"""Pixels per side up to which a picture is embedded as it is; a larger one is embedded as WebP."""

QUALITIES = range(60, 5, -5)

MOST = 4_400_000
"""Letters of all pictures of a page together. The first of `QUALITIES` with which they fit is taken, else the last."""

RATES = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]
NUMBERS = ["images", "sat", "sat_low", "sat_high", *RATES]
OF_PAIRS = {
    "residual": ("pairs_without_hubs", "SAT beyond what each shares with everyone"),
    "agreement": ("controls", "same clean prediction, share of images"),
    "error_consistency": ("controls", "error consistency κ"),
    "noise_sat": ("controls", "log of the mean rate fooled by noise (%)"),
}
"""More numbers of a pair: by column, the table that has it and its meaning."""

OF_MODELS = {
    "models": ("parameters", "clean_accuracy", "white_box_success"),
    "directed": ("fools", "fools_rank", "fooled", "fooled_rank"),
    "hubs": ("mean_sat", "rank", "nearest_to"),
}
"""The numbers of a model by table."""


def atlas(results: Results) -> dict[str, Any] | None:
    """All of it; None for a run that compares no two models."""
    if results.pairs is None or not len(between_models(results.pairs)):
        return None
    names, origin = list(model_families(results.pairs)), Origin.of(results)
    table, grouped = with_more(results.tables, results.pairs), clusters(results, names)
    return {
        "interval": f"{origin.level} interval",
        "models": models(results, names),
        "pairs": pairs(table, names),
        "more": {column: words for column, (_, words) in OF_PAIRS.items() if column in table},
        "orders": orders(results, names, grouped),
        "places": places(results, names),
        "colours": colours(origin),
        "clusters": grouped,
        "palettes": {
            "sat": sns.color_palette("rocket_r", 64).as_hex(),
            "rate": sns.color_palette("mako_r", 64).as_hex(),
            "residual": sns.color_palette("vlag", 65).as_hex(),
        },
        "examples": examples(results, names),
    }


def colours(origin: Origin) -> dict[str, dict[str, str]]:
    """The name and the reading of every number that the cells of the map can be coloured by."""
    both = "It is the same in both directions."
    made = f"The {origin.attack.images} were made on the source (row) and evaluated on the target (column)."
    return {
        "sat": {"name": "SAT", "words": f"SAT is the natural log of the mean transfer rate in percent. {both}"},
        "rate": {"name": "transfer rate in %", "words": made},
        "residual": {"name": OF_PAIRS["residual"][1], "words": both},
    }


def models(results: Results, names: list[str]) -> list[dict[str, Any]]:
    """The name, family, colour, `OF_MODELS` and components of every model."""
    rows = {
        table: results.tables[table].set_index("model").to_dict("index")
        for table in (*OF_MODELS, "components")
        if table in results.tables
    }
    found = []
    for name, family in ((name, results.families[name]) for name in names):
        facts: dict[str, Any] = {"name": name, "family": family, **asdict(results.styles[family])}
        for table, columns in OF_MODELS.items():
            if name in rows.get(table, {}):
                facts |= {column: plain(rows[table][name][column]) for column in columns}
        if name in rows.get("components", {}):
            facts["components"] = {column: str(value) for column, value in rows["components"][name].items()}
        found.append(facts)
    return found


def with_more(tables: Mapping[str, pd.DataFrame], pairs: pd.DataFrame) -> pd.DataFrame:
    """The table of pairs with the columns of `OF_PAIRS` that the run has."""
    keys = [frozenset(pair) for pair in pairs[["model_a", "model_b"]].to_numpy()]
    for column, (source, _) in OF_PAIRS.items():
        if column in tables.get(source, ()):
            other = tables[source][["model_a", "model_b", column]].to_numpy()
            known = {frozenset(pair): value for *pair, value in other}
            pairs = pairs.assign(**{column: [known.get(key, np.nan) for key in keys]})
    return pairs


def pairs(table: pd.DataFrame, names: list[str]) -> dict[str, list[Any]]:
    """Columns: a and b, positions in `names`, and numbers; missing ones are null."""
    columns = {side: pd.Index(names).get_indexer(table[f"model_{side}"]).tolist() for side in "ab"}
    numbers = [column for column in (*NUMBERS, *OF_PAIRS) if column in table]
    return columns | {column: [plain(value) for value in table[column]] for column in numbers}


def orders(results: Results, names: list[str], grouped: list[int] | None) -> dict[str, list[int]]:
    """The orders in which the heat map can be drawn, by name. grouped: the cluster of each of `names`."""
    assert results.pairs is not None
    by: dict[str, list[str]] = {}
    if between_models(results.pairs)["sat"].notna().any():
        by["tree"] = leaf_order(similarity.matrix(results.pairs))
        if grouped is not None:
            by["cluster"] = sorted(by["tree"], key=lambda name: grouped[names.index(name)])
    by["family"] = sorted(names, key=lambda name: (results.families[name], name))
    by["name"] = sorted(names)
    return {order: pd.Index(names).get_indexer(ordered).tolist() for order, ordered in by.items()}


def places(results: Results, names: list[str]) -> dict[str, dict[str, list[Any]]]:
    """The coordinates x and y of `names` for each method of embedding."""
    table = results.tables.get("embedding")
    if table is None:
        return {}
    return {
        str(method): {axis: [plain(value) for value in points.set_index("model")[axis].reindex(names)] for axis in "xy"}
        for method, points in table.groupby("method", sort=False)
    }


def clusters(results: Results, names: list[str]) -> list[int] | None:
    """The cluster of each of `names`, 0 for none; None for a run without clusters."""
    if "clusters" not in results.tables:
        return None
    table = results.tables["clusters"].set_index("model")["cluster"]
    return table.reindex(names, fill_value=0).astype(int).to_list()


def examples(results: Results, names: list[str]) -> dict[str, Any] | None:
    """items: source, image, label and the two pictures (indices of `pictures`) of every example. predictions: by
    "image/source" the class that each target predicts. classes: names by label."""
    table, predicted = results.tables.get("examples"), results.tables.get("example_predictions")
    if table is None or predicted is None:
        return None
    table = table[table["model"].isin(names)]
    files = list(dict.fromkeys([*table["clean"], *table["adversarial"]]))
    position = {name: index for index, name in enumerate(names)}
    items = table.assign(
        model=table["model"].map(position),
        image=table["image"].astype(int),
        id=table["image_id"].astype(str),
        label=table["label"].astype(int),
        known=table["known"].astype(bool),
        clean=table["clean"].map(files.index),
        adversarial=table["adversarial"].map(files.index),
    )[["model", "image", "id", "label", "known", "clean", "adversarial"]]
    predictions: dict[str, dict[str, int]] = {}
    between = predicted[predicted["source"].isin(names) & predicted["target"].isin(names)]
    for row in between.to_dict("records"):
        key = f"{int(row['image'])}/{position[row['source']]}"
        predictions.setdefault(key, {})[str(position[row["target"]])] = int(row["prediction"])
    used = sorted({int(value) for value in [*table["label"], *table["clean_prediction"], *predicted["prediction"]]})
    class_names = results.class_names
    for file in files:
        pixels(results.examples / file)  # refuses what is no picture
    return {
        "items": items.to_dict("records"),
        "pictures": fitted([results.examples / file for file in files]),
        "predictions": predictions,
        "classes": {label: str(class_names[label]).split(",")[0] for label in used if 0 <= label < len(class_names)},
    }


def fitted(files: list[Path], most: int = MOST) -> list[str]:
    """All pictures as data URIs. The quality is chosen with fifty of them, evenly spaced."""
    some = files[:: max(1, len(files) // 50)]
    for quality in QUALITIES:
        if sum(len(embedded(file, quality)) for file in some) * len(files) <= most * len(some):
            break
    return [embedded(file, quality) for file in files]


def embedded(file: Path, quality: int) -> str:
    """A PNG file as a data URI; a large one is converted to WebP of that quality, 0 to 100."""
    with Image.open(file) as picture:
        if max(picture.size) <= LOSSLESS:
            kind, content = "png", file.read_bytes()
        else:
            packed = io.BytesIO()
            picture.save(packed, "WEBP", quality=quality)
            kind, content = "webp", packed.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def plain(value: Any) -> Any:
    """A number with six digits, null where it is missing; other values as they are."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return None if value is pd.NA else value
