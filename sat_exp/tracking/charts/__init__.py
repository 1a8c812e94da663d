"""Custom charts in W&B: the matrix, the plane, and every source in parallel coordinates, all with values on hover.

chart      table                     rows
matrix     charts/matrix_table       a pair and a direction, models in the order of the average-linkage tree
plane      charts/plane_table        a model and a method
sources    charts/sources_table      a model
neighbours tables/neighbours         a model and a rank; without a chart

The other files here are the charts' Vega-Lite specifications. W&B writes a column's name in place of ${field:NAME}. The
names are the same in the tables. The tables state their run, so that one chart of several runs tells them apart.
"""

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import wandb

from sat_exp.runs import Run
from sat_exp.similarity import scores
from sat_exp.similarity.profiles import profiles
from sat_exp.statistics import clustering, hubs

TITLES = {
    "matrix": "SAT of every pair",
    "plane": "Similar models are close to each other",
    "sources": "Every model as a source and as a target",
}
NEIGHBOUR = ["model", "neighbour", "sat"]
OF_WAY = ["source", "target", "sat", "sat_low", "sat_high", "transfer_rate", "images"]


@cache
def specification(chart: str) -> str:
    """The Vega-Lite specification of a chart, as JSON."""
    return files(__name__).joinpath(f"{chart}.json").read_text(encoding="utf-8")


def preset(chart: str) -> str:
    """The name of a chart in an account of W&B: a changed specification has another name, and the old one stays."""
    return f"sat-exp-{chart}-{hashlib.sha256(specification(chart).encode()).hexdigest()[:8]}"


def key(chart: str) -> str:
    """The key in W&B of the table of a chart, as `wandb.plot_table` names it for the key charts/<chart>."""
    return f"charts/{chart}_table"


def create(entity: str, timeout: float) -> None:
    """Give the account `entity` the charts that it lacks; wandb.Error where the server refuses.

    timeout: of one request, in seconds. A server is expected to refuse a second chart of one name with a message that
    says that it exists.
    """
    api = wandb.Api(timeout=max(1, round(timeout)))
    for chart, title in TITLES.items():
        try:
            api.create_custom_chart(entity, preset(chart), title, "vega2", "private", specification(chart))
        except Exception as error:  # the service's own class of errors is not public
            if not re.search("exist|duplicate", str(error), re.IGNORECASE):
                raise


def tables(run: Run) -> dict[str, pd.DataFrame]:
    """The tables of the charts, without those that the run has no results for; {} for a study."""
    models, pairs, embedding = run.table("models"), run.table("pairs"), run.table("embedding")
    if models is None or run.measured is not None:
        return {}
    name = str(run.summary.get("name") or run.folder.name)
    found = {"sources": profiles(models, pairs)}
    if pairs is not None and len(models) > 1:
        found["matrix"] = directions(pairs)
        if embedding is not None:
            found["plane"] = placed(embedding, found["sources"], neighbours(pairs))
    return {chart: table.assign(run=name) for chart, table in found.items()}


def directions(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per measured source and target, which may be one model: SAT with its interval, the rate at which images
    of the source fool the target, and the number of common images."""
    sat = scores.matrix(pairs)
    order = list(sat.index)
    if len(order) > 2:
        order = clustering.hierarchy(sat.fillna(sat.stack().mean()).fillna(0.0)).leaves
    there, back = (
        pairs.rename(columns={f"model_{a}": "source", f"model_{b}": "target", f"transfer_rate_{a}{b}": "transfer_rate"})
        for a, b in scores.DIRECTIONS
    )
    whole = pd.concat([there, back[back["source"] != back["target"]]], ignore_index=True)[OF_WAY]
    whole = whole.dropna(subset="transfer_rate")
    places = {model: place for place, model in enumerate(order)}
    ordered = whole[["source", "target"]].apply(lambda names: names.map(places)).sort_values(["source", "target"])
    return whole.loc[ordered.index].reset_index(drop=True)


def neighbours(pairs: pd.DataFrame) -> pd.DataFrame:
    """The five models most similar to each model: model, rank, neighbour, sat."""
    return hubs.nearest(scores.matrix(pairs))


def placed(embedding: pd.DataFrame, models: pd.DataFrame, nearest: pd.DataFrame) -> pd.DataFrame:
    """The table `embedding` with the facts of each model and its nearest neighbour."""
    first = nearest.loc[nearest["rank"] == 1, NEIGHBOUR]
    facts = models[["model", "family", "clean_accuracy", "white_box_success"]]
    return embedding.merge(facts, on="model", how="left").merge(first, on="model", how="left")


def fields(chart: str) -> dict[str, str]:
    """The columns that a specification names, each under its own name."""
    return {name: name for name in re.findall(r"\$\{field:(\w+)\}", specification(chart))}


def filled(chart: str, table: pd.DataFrame, title: str) -> dict[str, Any]:
    """The specification as W&B draws it: with the names of columns, a title and the rows of a table."""
    text = specification(chart).replace("${string:title}", title)
    for name in table.columns:
        text = text.replace(f"${{field:{name}}}", str(name))
    rows = json.loads(table.to_json(orient="records"))
    return json.loads(text) | {"data": {"name": "wandb", "values": rows}}
