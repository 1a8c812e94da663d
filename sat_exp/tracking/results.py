"""The results of a finished run in W&B, under stable keys.

run.config                 the config of the start, completed from summary.json
run.notes                  the findings in words
tables/<name>              wandb.Table, every row and column (missing numbers are empty cells); tables for programs are
                           in the artifact only
tables/examples            the same with the example images themselves
tables/neighbours          the five models most similar to each
charts/<name>              custom charts with values on hover, see `charts`
figures/<name>, report     the PNG figures and report.html
run.summary                the numbers by which runs are sorted, at most `MOST` of them: mean/<table>/<column>,
                           lowest/… and highest/…; <table>/<row>/<column> of a study's `key_numbers` (a row is named by
                           its texts, for instance agreement/all/spearman/value); seconds, warnings (a count)
artifacts                  see `artifacts`
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import wandb

from sat_exp.runs import Run, registry
from sat_exp.similarity.scores import between_models, transfer_rates
from sat_exp.tracking import charts as custom
from sat_exp.tracking.artifacts import lineage
from sat_exp.tracking.owner import within

CONFIG_KEYS = ("task", "title", "command", "created", "choices", "versions", "hardware", "attack", "dataset")
OF_MODELS = ("clean_accuracy", "white_box_success", "mean_l2", "attack_images_per_second")
"""The columns of the table of models whose means runs are sorted by."""

MOST = 40
SMALL = 15  # rows of a study's table up to which its `key_numbers` are numbers of the run
FOR_READERS = ("models", "pairs")
"""Tables that are no part of the page as they are, and that readers sort in W&B all the same."""

PAGE = "report.html"
PICTURES = ("clean", "adversarial")


def config(client: wandb.Run, run: Run) -> None:
    """Complete the run's config with the choices, versions, commit and settings of summary.json; values stay."""
    summary = run.summary
    recorded = {key: summary[key] for key in (*CONFIG_KEYS, "measured") if key in summary}
    started = {key: value for key, value in client.config.items() if key != "_wandb"}
    settings = summary.get("settings", {})
    if filled(started, settings) != started:
        recorded["settings"] = settings
    client.config.update(filled(started, recorded), allow_val_change=True)


def notes(client: wandb.Run, run: Run) -> None:
    if findings := run.summary.get("findings"):
        client.notes = "\n\n".join(findings)


def tables(client: wandb.Run, run: Run) -> None:
    whole = run.tables()
    frames = {name: whole[name] for name in whole if name in FOR_READERS or registry.table(name).on_page}
    if "pairs" in frames and len(frames["pairs"]) > 1:
        frames["neighbours"] = custom.neighbours(frames["pairs"])
    for name, frame in frames.items():
        client.log({f"tables/{name}": table(frame)})


def charts(client: wandb.Run, run: Run) -> None:
    """The tables of the custom charts and, where the account is known, the charts. Online they are made for it."""
    frames = custom.tables(run)
    for chart, frame in frames.items():
        if client.entity:
            name = f"{client.entity}/{custom.preset(chart)}"
            drawn = wandb.plot_table(name, table(frame), custom.fields(chart), {"title": custom.TITLES[chart]})
            client.log({f"charts/{chart}": drawn})
        else:
            client.log({custom.key(chart): table(frame)})
    if frames and not client.offline:
        seconds = client.settings.init_timeout
        within(2 * seconds, lambda: custom.create(client.entity, seconds))


def examples(client: wandb.Run, run: Run) -> None:
    """The table of examples, with images instead of the names of files."""
    frame = run.table("examples")
    if frame is not None:
        with run.copied({file for name in PICTURES for file in frame[name]}) as place:
            images = {name: [wandb.Image(str(place / file)) for file in frame[name]] for name in PICTURES}
            client.log({"tables/examples": table(frame.assign(**images))})


def figures(client: wandb.Run, run: Run) -> None:
    if files := [file for file in run.files if file.startswith("figures/") and file.endswith(".png")]:
        with run.copied(files) as place:
            client.log({f"figures/{Path(file).stem}": wandb.Image(str(place / file)) for file in files})


def report(client: wandb.Run, run: Run) -> None:
    if PAGE in run.files:
        client.log({"report": wandb.Html(run.content(PAGE).decode("utf-8"), inject=False)})


def key_numbers(client: wandb.Run, run: Run) -> None:
    client.summary.update(scalars(run.tables(), run.summary))


UPLOADS = (config, notes, key_numbers, tables, charts, examples, figures, report, lineage)


def table(frame: pandas.DataFrame) -> wandb.Table:
    """The rows as exact Python values, None where one is missing."""
    values = frame.astype(object).where(frame.notna(), None)
    return wandb.Table(columns=[str(column) for column in frame.columns], data=values.to_numpy().tolist())


def scalars(frames: Mapping[str, pandas.DataFrame], summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers to sort runs by, without missing ones, the first `MOST`: of models and pairs, then of the studies."""
    numbers: dict[str, float] = {"warnings": len(summary.get("warnings", []))}
    if timings := summary.get("timings"):
        numbers["seconds"] = sum(timings.values())
    if (efficiency := summary.get("efficiency")) is not None:
        numbers["efficiency"] = efficiency
    numbers |= {f"planned/{stage}": seconds for stage, seconds in summary.get("planned_seconds", {}).items()}
    if "models" in frames:
        numbers |= of_models(frames["models"])
    if "pairs" in frames:
        numbers |= of_pairs(frames["pairs"])
    for name, frame in frames.items():
        columns = [column for column in registry.table(name).key_numbers if column in frame]
        if columns and len(frame) <= SMALL:
            numbers |= of_rows(name, frame, columns)
    known = {key: value for key, value in numbers.items() if not pandas.isna(value)}
    return dict(list(known.items())[:MOST])


def of_models(models: pandas.DataFrame) -> dict[str, float]:
    numbers: dict[str, float] = {f"mean/models/{column}": models[column].mean() for column in OF_MODELS}
    lowest = {f"lowest/models/{column}": models[column].min() for column in OF_MODELS[:2]}
    return {"models": len(models), "images": models["images"].max()} | numbers | lowest


def of_pairs(pairs: pandas.DataFrame) -> dict[str, float]:
    """SAT of the pairs of two models, and the mean rate over all their directions, whatever the order of the models."""
    between = between_models(pairs)
    same = between["family_a"] == between["family_b"]
    sat = between["sat"]
    return {
        "pairs": len(between),
        "mean/pairs/sat": sat.mean(),
        "median/pairs/sat": sat.median(),
        "lowest/pairs/sat": sat.min(),
        "highest/pairs/sat": sat.max(),
        "mean/pairs/sat_same_family": sat[same].mean(),
        "mean/pairs/sat_other_family": sat[~same].mean(),
        "mean/pairs/transfer_rate": transfer_rates(pairs)["rate"].mean(),
    }


def of_rows(name: str, frame: pandas.DataFrame, columns: list[str]) -> dict[str, float]:
    """<table>/<row>/<column>; {} where two rows have one name."""
    texts = [*frame.select_dtypes(["object", "string", "category"])]
    keys = texts or [column for column in registry.table(name).unique if column not in columns]
    rows = [f"{name}/{'/'.join(map(str, row))}" for row in frame[keys].to_numpy()]
    if len(set(rows)) < len(rows):
        return {}
    return {
        f"{row}/{column}": value
        for row, values in zip(rows, frame[columns].to_dict("records"), strict=True)
        for column, value in values.items()
    }


def filled(first: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`first` with the entries that it lacks taken from `more`, at every depth."""
    shared = [key for key in first.keys() & more.keys() if isinstance(first[key], Mapping)]
    deeper = {key: filled(first[key], more[key]) for key in shared if isinstance(more[key], Mapping)}
    return {**more, **first, **deeper}
