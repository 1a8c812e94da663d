"""task=store: list, check or remove the stored results."""

import time
from collections.abc import Sequence

import pandas as pd
from humanize import naturaldelta, naturalsize
from more_itertools import map_reduce
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.text import Text as Line

from sat_exp.errors import UserError
from sat_exp.names import suggest
from sat_exp.settings.types import FileName, Text
from sat_exp.store import Store, inventory
from sat_exp.store.inventory import Item
from sat_exp.tasks import printing


def run(config: DictConfig, *, name: FileName, kind: Text | None, verify: bool, prune: Text | None) -> None:
    store = Store.at(config.store)
    console = printing.console()
    if prune is not None:
        remove(store, prune, console)
    stored = inventory.items(store)
    kinds = sorted({item.kind for item in stored})
    if not stored:
        console.print(f"nothing is stored in {store.backend.locate('')}", soft_wrap=True)
    elif kind is not None and kind not in kinds:
        raise UserError(f"task.kind={kind}: {suggest(kind, kinds)}")
    damaged = []
    if verify:
        paths = list(dict.fromkeys(item.path for item in stored))
        damaged = [line for path in track(paths, "checking", transient=True) for line in inventory.check(store, path)]
        stored = inventory.items(store)
    if stored and kind is None:
        show_kinds(store, stored, console)
    elif stored:
        show(store, str(kind), stored, console)
    for line in damaged:
        console.print(Line.assemble(("damaged:", "red"), " ", line), soft_wrap=True)
    if quarantined := inventory.quarantined(store):
        size = naturalsize(sum(size for _, size in quarantined))
        console.print(
            f"{len(quarantined)} damaged files, {size}, are in {store.backend.locate(inventory.QUARANTINE)}, each with "
            "a line that states why; task.prune=quarantine removes them",
            soft_wrap=True,
            highlight=False,
        )
    if damaged:
        raise UserError(f"damaged files: {len(damaged)}; run the task that made them again")
    if verify and stored:
        console.print("every file is as it was written")


def remove(store: Store, pattern: str, console: Console) -> None:
    removed, freed = inventory.remove(store, pattern)
    for kind, name, rows, size, _ in lines(removed, {}):
        console.print(f"removed {kind}: {name}, {rows} rows, {naturalsize(size)}", soft_wrap=True, highlight=False)
    if not removed and pattern != inventory.QUARANTINE:
        kinds = sorted({item.kind for item in inventory.items(store)})
        console.print(
            f"nothing stored has the kind or name {pattern!r}; kinds: {', '.join(kinds) or 'none'}", soft_wrap=True
        )
    console.print(f"freed {naturalsize(freed)}", highlight=False)


def show_kinds(store: Store, stored: Sequence[Item], console: Console) -> None:
    """Print the numbers of arrays and of complete ones, and the sizes, of each kind and of all."""
    by_kind = map_reduce(stored, lambda item: item.kind)
    rows = []
    for kind, members in [*sorted(by_kind.items()), ("total", stored)]:
        arrays = map_reduce(members, lambda item: item.path).values()
        complete = sum(all(part.complete for part in parts) for parts in arrays)
        size, modified = sum(item.size for item in members), max(item.modified for item in members)
        rows.append((kind, len(arrays), complete, naturalsize(size), age(modified)))
    columns = {"kind": "", "arrays": ",d", "complete": ",d", "size": "s", "last_written": "s"}
    title = f"stored in {store.backend.locate('')}"
    console.print(printing.table(title, pd.DataFrame(rows, columns=list(columns)), columns))
    console.print("each array of one kind: task.kind=NAME", soft_wrap=True)


def show(store: Store, kind: str, stored: Sequence[Item], console: Console) -> None:
    """Print one row per array of a kind, one for all predictions on the same images."""
    members = [item for item in stored if item.kind == kind]
    rows = [
        (name, rows, naturalsize(size), age(modified))
        for _, name, rows, size, modified in lines(members, inventory.image_sets(store, stored))
    ]
    columns = {"name": "", "rows": "s", "size": "s", "last_written": "s"}
    title = f"{kind} in {store.backend.locate('')}"
    console.print(printing.table(title, pd.DataFrame(rows, columns=list(columns)), columns))


def age(modified: float) -> str:
    """How long ago a time was, which is in seconds since 1970."""
    return f"{naturaldelta(max(0.0, time.time() - modified))} ago"


def lines(stored: Sequence[Item], sets: dict[str, str]) -> list[tuple[str, str, str, int, float]]:
    """Kind, title, rows, bytes and time of the last write of each array and of each table. sets: the names of image
    sets by the digest of their pixels."""
    found = []
    for members in map_reduce(stored, lambda item: item.path).values():
        done, rows, size = (sum(getattr(item, field) for item in members) for field in ("done", "rows", "size"))
        progress = f"{rows:,}" if done == rows else f"{done:,} of {rows:,}"
        progress += ", others dropped" * members[0].dropped
        found.append((members[0].kind, title(members, sets), progress, size, max(item.modified for item in members)))
    return found


def title(members: Sequence[Item], sets: dict[str, str]) -> str:
    first = members[0]
    if first.damage is not None:
        return f"unreadable: {first.damage}"
    name = first.name if len(members) == 1 else f"{first.name.split(' -> ')[0]} -> {len(members)} models"
    where = sets.get(first.facts.get("images", ""), "") if first.kind != "images" else first.key[:6]
    numbers = [f"{number} {value}" for number, value in first.facts.get("numbers", {}).items()]
    return ", ".join(part for part in (name, *numbers, where) if part)
