"""task=store: what is stored, how large it is, whether it is sound; and to be rid of it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sat_exp.errors import UserError
from sat_exp.store import Store, inventory
from sat_exp.store.inventory import Artefact


def run(config: DictConfig, *, name: str, verify: bool, prune: str | None) -> None:
    store = Store(Path(config.output_dir) / "store")
    console = Console(file=sys.stdout)
    if prune is not None:
        remove(store, prune, console)
    found = inventory.artefacts(store)
    if not found:
        console.print(f"nothing is stored in {store.folder}", soft_wrap=True)
        return
    damaged = (
        [line for artefact in track(found, "checking", transient=True) for line in inventory.check(artefact)]
        if verify
        else []
    )
    show(store, inventory.artefacts(store), console)
    for line in damaged:
        console.print(f"[red]removed:[/] {line}", soft_wrap=True)
    if damaged:
        raise UserError(f"damaged files removed from {store.folder}: {len(damaged)}; run the task that made them again")
    if verify:
        console.print("every file is as it was written")


def remove(store: Store, pattern: str, console: Console) -> None:
    removed, freed = inventory.remove(store, pattern)
    for kind, name, rows, size, _ in lines(removed, {}):
        console.print(f"removed {kind}: {name}, {rows} rows, {amount(size)}", soft_wrap=True, highlight=False)
    fitting = sum(artefact.fits(pattern) for artefact in removed)
    if not fitting:
        kinds = sorted({artefact.kind for artefact in inventory.artefacts(store)})
        console.print(
            f"nothing stored has the kind or name {pattern!r}; kinds: {', '.join(kinds) or 'none'}", soft_wrap=True
        )
    console.print(f"freed {amount(freed)}", highlight=False)


def show(store: Store, found: Sequence[Artefact], console: Console) -> None:
    """A row for each artefact, one for all predictions on the same adversarial images, and the totals by kind."""
    table = Table("kind", "what", title=f"stored in {store.folder}", title_justify="left")
    for heading in ("rows", "size", "age"):
        table.add_column(heading, justify="right", no_wrap=True)
    sets = {
        artefact.facts["images"]: artefact.name
        for artefact in found
        if artefact.kind == "images" and not artefact.damage
    }
    for kind, name, rows, size, modified in lines(found, sets):
        table.add_row(kind, name, rows, amount(size), age(modified))
    table.add_section()
    for kind in sorted({artefact.kind for artefact in found}):
        members = [artefact for artefact in found if artefact.kind == kind]
        arrays = f"{len(members)} array" + "s" * (len(members) != 1)
        table.add_row(kind, arrays, "", amount(sum(artefact.size for artefact in members)), "")
    table.add_row("[bold]total", f"{len(found)} arrays", "", amount(sum(artefact.size for artefact in found)), "")
    console.print(table)


def lines(found: Sequence[Artefact], sets: dict[str, str]) -> list[tuple[str, str, str, int, float]]:
    """Kind, what it is, rows, bytes and time of last change; predictions on the same adversarial images together."""
    groups: dict[tuple[str, str], list[Artefact]] = {}
    for artefact in found:
        groups.setdefault((artefact.kind, artefact.facts.get("adversarial", artefact.key)), []).append(artefact)
    return [
        (
            kind,
            title(members, sets),
            progress(sum(artefact.done for artefact in members), sum(artefact.rows for artefact in members)),
            sum(artefact.size for artefact in members),
            max(artefact.modified for artefact in members),
        )
        for (kind, _), members in groups.items()
    ]


def title(members: Sequence[Artefact], sets: dict[str, str]) -> str:
    first = members[0]
    if first.damage is not None:
        return "unreadable"
    name = first.name if len(members) == 1 else f"{first.name.split(' -> ')[0]} -> {len(members)} models"
    where = sets.get(first.facts.get("images", ""), "") if first.kind != "images" else first.key[:6]
    return ", ".join(part for part in (name, inventory.numbers(first.facts), where) if part)


def progress(done: int, rows: int) -> str:
    return f"{rows:,}" if done == rows else f"{done:,} of {rows:,}"


def amount(size: int) -> str:
    """Bytes, readably."""
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.0f} {units[0]}" if units[0] == "B" else f"{number:.1f} {units[0]}"


def age(modified: float) -> str:
    seconds = max(0.0, time.time() - modified)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
