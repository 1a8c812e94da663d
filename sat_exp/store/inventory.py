"""Listing, checking and removing the contents of a store."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from sat_exp.files import PARTIAL
from sat_exp.store.arrays import StoredArray
from sat_exp.store.artefact import DOCUMENTS, METADATA, NOTES, SEAL, Named, damage_in, parts_of
from sat_exp.store.encoding import Unsound, verify
from sat_exp.store.storage import Entry
from sat_exp.store.store import NOT_KINDS, QUARANTINE, WHY, Store
from sat_exp.store.tables import StoredRow, StoredTable

LEFT_OVER_SECONDS = 60  # the writer of a partial file older than this has died


@dataclass(frozen=True)
class Item(Named):
    """An array, a row of a table, or an empty table. done: how many of its `rows` rows are stored. size: bytes of its
    objects. modified: the time of the last write, in seconds since 1970. row: the object of a table's row. damage: the
    reason why its metadata cannot be read, if any. dropped: whether the rows that are not stored were dropped."""

    path: str
    name: str
    facts: dict[str, Any]
    done: int
    rows: int
    size: int
    modified: float
    row: str | None = None
    damage: str | None = None
    dropped: bool = False

    @property
    def complete(self) -> bool:
        """Whether no row is missing, except dropped ones."""
        return self.damage is None and (self.done == self.rows or self.dropped)


def items(store: Store) -> list[Item]:
    """Everything in the store, sorted by kind and name; nothing is changed."""
    kinds = [kind for kind in store.backend.list("").folders if kind not in NOT_KINDS]
    paths = [f"{kind}/{key}" for kind in kinds for key in store.backend.list(kind).folders]
    found = [item for path in paths for item in described(store, path)]
    return sorted(found, key=lambda item: (item.kind, item.name, item.key))


def described(store: Store, path: str) -> Iterator[Item]:
    """The array at `path`, or each row of the table there, or the table while it has no rows."""
    listing = store.backend.list(path)
    parts = parts_of(listing)
    size = sum(entry.size for entry in listing.objects.values())
    modified = max((entry.modified for entry in listing.objects.values()), default=0.0)
    try:
        metadata = document(store, f"{path}/{METADATA}")
    except Unsound as error:
        yield Item(path, "?", {}, 0, 0, size, modified, damage=str(error))
        return
    facts, notes = metadata["attributes"]["facts"], {}
    with suppress(Unsound):
        notes = document(store, f"{path}/{NOTES}")["attributes"]["notes"]
    name = str(notes.get("name", "?"))
    if "table" not in metadata:
        array = StoredArray.of(store, path, metadata)
        done = sum(array.length(chunk) for chunk in range(array.chunks) if array.part(chunk) in parts)
        dropped = done < array.rows and bool(notes.get("dropped")) and SEAL in listing.objects
        yield Item(path, name, facts, done, array.rows, size, modified, dropped=dropped)
        return
    if not parts:
        yield Item(path, name, facts, 0, 0, size, modified)
    columns = metadata["table"]["columns"]
    for part, entry in parts.items():
        row = unquote(part.partition("~")[2])
        yield Item(path, f"{name} -> {row}", facts, columns, columns, entry.size, entry.modified, part)


def document(store: Store, name: str) -> dict[str, Any]:
    """A signed document; Unsound where it is damaged or gone."""
    data = store.backend.read(name)
    if data is None:
        raise Unsound(f"{store.backend.locate(name)} is gone")
    try:
        return verify(data)
    except Unsound as error:
        raise Unsound(f"{store.backend.locate(name)} is damaged ({error})") from error


def image_sets(store: Store, found: Iterable[Item]) -> dict[str, str]:
    """Digest of the pixels → name, for each complete image set among `found`."""
    sets = {}
    for item in found:
        if item.kind == "images" and item.damage is None:
            with suppress(Unsound):
                sets[document(store, f"{item.path}/{SEAL}")["attributes"]["sha256"]] = item.name
    return sets


def check(store: Store, path: str) -> list[str]:
    """Check every byte of an artefact. A line for each damaged part, which is moved to the quarantine."""
    listing = store.backend.list(path)
    if METADATA not in listing.objects:
        return [f"{store.backend.locate(f'{path}/{METADATA}')} is gone"] if parts_of(listing) else []
    found = {name: damaged_document(store, f"{path}/{name}") for name in sorted({*DOCUMENTS} & {*listing.objects})}
    reasons = [reason for reason in found.values() if reason]
    return reasons if found[METADATA] else reasons + damaged_parts(store, path)


def damaged_document(store: Store, name: str) -> str | None:
    """The reason why a document is damaged, after moving it to the quarantine; None where it is sound."""
    try:
        document(store, name)
    except Unsound:
        return store.quarantine(name, verify)
    return None


def damaged_parts(store: Store, path: str) -> list[str]:
    """A line for each damaged chunk or row, which is moved to the quarantine; the metadata must be sound."""
    metadata = document(store, f"{path}/{METADATA}")
    if "table" not in metadata:
        array = StoredArray.of(store, path, metadata)
        array.sealed = array.seal()
        return array.damaged()
    facts, form = metadata["attributes"]["facts"], metadata["table"]
    table = StoredTable(store, path, facts, form["columns"], form["dtype"])
    return damage_in(StoredRow(table, key, "").read_all for key in table.listed().copy())


def remove(store: Store, pattern: str) -> tuple[list[Item], int]:
    """Remove what the glob `pattern` matches by kind or name, the files of dead writers, and locks; the removed items
    and the bytes freed. "quarantine" empties the quarantine. UserError where another process is using the store."""
    with store.backend.alone():
        chosen = [each for each in items(store) if any(fnmatchcase(text, pattern) for text in (each.kind, each.name))]
        gone = left_over(store)
        if pattern == QUARANTINE:
            gone += [(name, entry.size) for name, entry in everything_below(store, QUARANTINE)]
        freed = sum(item.size for item in chosen) + sum(size for _, size in gone)
        for name, _ in gone:
            store.backend.remove(name)
            for folder in PurePosixPath(name).parents[:-1]:
                store.backend.remove_folder(str(folder))  # stays where it is not empty
        for item in chosen:
            remove_item(store, item)
    return chosen, freed


def remove_item(store: Store, item: Item) -> None:
    """Remove an array, or a row of a table; the table too when its last row goes. Metadata go first, so that a kill
    leaves no incomplete array. The seal goes after the chunks, because chunks that a kill leaves may be used again."""
    if item.row is not None:
        store.backend.remove(f"{item.path}/{item.row}")
        if parts_of(store.backend.list(item.path)):
            return
    names = store.backend.list(item.path).objects
    for name in sorted(names, key=lambda name: (name != METADATA, name in DOCUMENTS)):
        store.backend.remove(f"{item.path}/{name}")
    store.backend.remove_folder(item.path)


def left_over(store: Store) -> list[tuple[str, int]]:
    """The partial files of dead writers, each with its size."""
    before = time.time() - LEFT_OVER_SECONDS
    folders = [folder for folder in store.backend.list("").folders if folder not in NOT_KINDS]
    entries = [each for folder in folders for each in everything_below(store, folder)]
    return [(name, entry.size) for name, entry in entries if name.endswith(PARTIAL) and entry.modified < before]


def quarantined(store: Store) -> list[tuple[str, int]]:
    """The files in the quarantine, without the reasons, each with its size."""
    return [(name, entry.size) for name, entry in everything_below(store, QUARANTINE) if not name.endswith(WHY)]


def everything_below(store: Store, folder: str) -> Iterator[tuple[str, Entry]]:
    """The full name of every object in a folder, at any depth, with its entry."""
    listing = store.backend.list(folder)
    yield from ((f"{folder}/{name}", entry) for name, entry in listing.objects.items())
    for below in listing.folders:
        yield from everything_below(store, f"{folder}/{below}")
