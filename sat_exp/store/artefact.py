"""Facts and notes, which arrays and tables share: facts identify an artefact, notes do not."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sat_exp.errors import UserError
from sat_exp.files import PARTIAL
from sat_exp.store.encoding import Unsound, sign, verify
from sat_exp.store.storage import Entry, Listing

if TYPE_CHECKING:
    from sat_exp.store.store import Store

METADATA, SEAL, NOTES = "zarr.json", "seal.json", "notes.json"
DOCUMENTS = (METADATA, SEAL, NOTES)

log = logging.getLogger(__name__)


class Damaged(UserError):
    """A stored file is gone, or was damaged and moved to the quarantine. The same work computes it again."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; run the same command again")
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,)


class Dropped(Damaged):
    """A chunk that is needed was dropped, for example by another command at the same time."""


def damage_in(reads: Iterable[Callable[[], Any]]) -> list[str]:
    """The reasons of those `reads` that raise Damaged."""
    reasons = []
    for read in reads:
        try:
            read()
        except Damaged as damage:
            reasons.append(damage.reason)
    return reasons


class Named:
    """Anything at a `path` KIND/KEY of a store."""

    path: str

    @property
    def kind(self) -> str:
        return self.path.split("/")[0]

    @property
    def key(self) -> str:
        return self.path.split("/")[1]


class Artefact(Named, ABC):
    """An array or a table at `path`, KIND/KEY, in a store. facts: everything that determines its contents."""

    def __init__(self, store: "Store", path: str, facts: Mapping[str, Any]) -> None:
        self.store, self.path, self.facts = store, path, json.loads(json.dumps(dict(facts)))

    def begin(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        """The stored metadata, written where there are none. Adds those of `notes` that are missing, because a process
        may have died before it wrote them."""
        while (metadata := self.document(METADATA)) is None:
            self.store.backend.create(f"{self.path}/{METADATA}", sign(self.metadata()))
        if metadata["attributes"]["facts"] != self.facts:
            raise RuntimeError(f"{self.path} is sound, but has other facts: two artefacts share one key")
        known = self.notes
        if missing := {name: fact for name, fact in notes.items() if name not in known}:
            self.note(**missing)
        return metadata

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """The metadata of a new artefact."""

    @abstractmethod
    def extent(self) -> tuple[str | None, int, int, int]:
        """The SHA-256 of the contents if sealed, the numbers of rows and of chunks, and bytes."""

    def parts(self) -> dict[str, Entry]:
        """The stored chunks or rows by name, from one listing."""
        return parts_of(self.store.backend.list(self.path))

    def document(self, name: str) -> dict[str, Any] | None:
        """One of the artefact's documents; None where it is absent. A damaged document is named in a warning, moved to
        the quarantine and then absent."""
        place = f"{self.path}/{name}"
        while (data := self.store.backend.read(place)) is not None:
            try:
                return verify(data)
            except Unsound:
                if reason := self.store.quarantine(place, verify):
                    log.warning("%s: it is written again", reason)
        return None

    @property
    def notes(self) -> dict[str, Any]:
        """Timings, versions, warnings: nothing that the contents depend on."""
        found = self.document(NOTES)
        return {} if found is None else found["attributes"]["notes"]

    def note(self, **facts: Any) -> None:
        """Add to the notes."""
        added = json.loads(json.dumps(facts, allow_nan=False))
        self.revise(lambda notes: notes | added)

    def note_versions(self, versions: Mapping[str, str]) -> None:
        """Note the versions of libraries and device with which parts are about to be computed."""
        if dict(versions) not in self.notes.get("versions", []):
            self.revise(lambda notes: notes | {"versions": with_versions(notes.get("versions", []), dict(versions))})

    def revise(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Replace the notes by what `change` makes of them."""
        place = f"{self.path}/{NOTES}"

        def revised(data: bytes | None) -> bytes:
            notes = {} if data is None else verify(data)["attributes"]["notes"]
            return sign({"attributes": {"notes": change(notes)}})

        with self.store.lock(NOTES, self.path):
            while True:
                try:
                    return self.store.backend.update(place, revised)
                except Unsound:
                    self.document(NOTES)  # moves them to the quarantine

    def mixed_versions(self) -> list[str]:
        """The differences between the versions that parts were computed with, such as "torch 2.12.0 and 2.13.0"."""
        noted = self.notes.get("versions", [])
        values = {name: list(dict.fromkeys(str(each.get(name)) for each in noted)) for each in noted for name in each}
        return [f"{name} {' and '.join(several)}" for name, several in values.items() if len(several) > 1]


def with_versions(known: Sequence[dict[str, str]], versions: dict[str, str]) -> list[dict[str, str]]:
    """`known` versions, and `versions` where they are new."""
    return [*known, *([versions] if versions not in known else [])]


def parts_of(listing: Listing) -> dict[str, Entry]:
    """The chunks or rows among the objects of an artefact."""
    return {
        name: entry for name, entry in listing.objects.items() if name not in DOCUMENTS and not name.endswith(PARTIAL)
    }
