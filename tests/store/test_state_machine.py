"""Any sequence of work, damage, kills and pruning: sound files stay, damaged files move to the quarantine."""

import hashlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sat_exp.files import PARTIAL
from sat_exp.store import Store
from sat_exp.store.artefact import METADATA, NOTES, SEAL
from sat_exp.store.encoding import Unsound, verify

from .helpers import files, quarantined
from .worker import ARRAYS, TABLE, TARGETS, Worker, perform, row_of, values_of

ABSENT, SOUND, DAMAGED = "absent", "sound", "damaged"
DAMAGE = ["flip", "cut", "empty", "longer", "noise", "removed"]
WHO = ["this", "second", "other process"]

whos = st.sampled_from(WHO)
kinds = st.sampled_from(sorted(ARRAYS))
rows = st.integers(0, TARGETS - 1)


def reference() -> tuple[dict[str, bytes], dict[str, list[str]], dict[int, str]]:
    """All files of a complete store but notes; the chunks of each kind; the object of each row."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.at(Path(folder))
        chunks = {}
        for kind in ARRAYS:
            for chunk in perform(store, "missing", kind)[1]:
                perform(store, "write", kind, chunk)
            perform(store, "digest", kind)
            array = store.arrays()[-1]
            chunks[kind] = [array.named(chunk) for chunk in range(array.chunks)]
        rows = {}
        for target in range(TARGETS):
            before = set(files(store))
            perform(store, "write row", target)
            (rows[target],) = (name for name in set(files(store)) - before if "~" in name)
        return {name: data for name, data in files(store).items() if not name.endswith(NOTES)}, chunks, rows


EXPECTED, CHUNKS, ROWS = reference()
PATHS = {name.split("/")[0]: name.rpartition("/")[0] for name in EXPECTED}
DATA = sorted({name for names in CHUNKS.values() for name in names} | set(ROWS.values()))
KEPT_APART = [*sorted(EXPECTED), *(f"{path}/{NOTES}" for path in PATHS.values())]


class Stored(RuleBasedStateMachine):
    """The state of every file follows from the disk and from the damage that was done."""

    worker: ClassVar[Worker]

    @initialize(complete=st.booleans())
    def begin(self, complete: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="store-"))
        for name, data in EXPECTED.items() if complete else ():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)
        self.stores = {who: Store.at(self.folder) for who in WHO[:2]}
        self.damaged: dict[str, bytes] = {}
        self.swapped: set[str] = set()
        self.put_away: list[bytes] = []
        self.sound: set[str] = set()
        self.allowed: set[str] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def do(self, who: str, operation: str, *arguments: Any) -> tuple[str, Any]:
        if who in self.stores:
            return perform(self.stores[who], operation, *arguments)
        return self.worker.perform(self.folder, operation, *arguments)

    def state(self, name: str) -> str:
        if not (self.folder / name).exists():
            return ABSENT
        return DAMAGED if self.there_as_was(name) else SOUND

    def states(self, names: list[str]) -> list[str]:
        return [self.state(name) for name in names]

    @invariant()
    def every_sound_file_is_as_it_was(self) -> None:
        """A damaged file is there as it was, or in the quarantine; whatever else is there is sound."""
        now = files(self.stores["this"])
        kept = list(quarantined(self.stores["this"]).values())
        for name, bad in list(self.damaged.items()):
            if now.get(name) != bad:
                assert name in self.allowed or kept.count(bad) > self.put_away.count(bad), f"{name} is gone"
                del self.damaged[name]
                self.swapped.discard(name)
        for name, data in EXPECTED.items():
            if name in now and name not in self.damaged:
                assert now[name] == data, f"{name} has other bytes"
        sound = {name for name in KEPT_APART if name in now and name not in self.damaged}
        for name in sound - EXPECTED.keys():
            verify(now[name])
        assert self.sound - sound <= self.allowed, "sound files are gone"
        assert "the quarantine" in self.allowed or not Counter(self.put_away) - Counter(kept)
        self.sound, self.put_away, self.allowed = sound, kept, set()

    @rule(who=whos, kind=kinds, chunk=st.integers(1, 12))
    def opens(self, who: str, kind: str, chunk: int) -> None:
        known = [f"{PATHS[kind]}/{METADATA}", f"{PATHS[kind]}/{SEAL}", *CHUNKS[kind]]
        own = ARRAYS[kind][2]
        asked = chunk if SOUND in self.states(known) else own
        assert self.do(who, "open", kind, asked) == ("ok", own)

    @rule(who=whos, kind=kinds)
    def asks_what_is_missing(self, who: str, kind: str) -> None:
        absent = [chunk for chunk, state in enumerate(self.states(CHUNKS[kind])) if state == ABSENT]
        assert self.do(who, "missing", kind) == ("ok", absent)

    @rule(who=whos, kind=kinds, chunk=st.integers(0, 2))
    def writes(self, who: str, kind: str, chunk: int) -> None:
        name = CHUNKS[kind][chunk]
        before = self.state(name)
        assert self.do(who, "write", kind, chunk) == ("ok", None)
        assert self.state(name) == (SOUND if before == ABSENT else before)

    @rule(who=whos, kind=kinds)
    def completes(self, who: str, kind: str) -> None:
        for chunk in self.do(who, "missing", kind)[1]:
            self.do(who, "write", kind, chunk)
        assert ABSENT not in self.states(CHUNKS[kind])

    @rule(who=whos, kind=kinds, chunk=st.integers(0, 2))
    def reads(self, who: str, kind: str, chunk: int) -> None:
        name = CHUNKS[kind][chunk]
        sound = self.state(name) == SOUND
        status, found = self.do(who, "read", kind, chunk)
        assert status == ("ok" if sound else "damaged"), found
        if sound:
            own = ARRAYS[kind][2]
            np.testing.assert_array_equal(found, values_of(kind)[chunk * own : (chunk + 1) * own])
        else:
            assert self.state(name) == ABSENT
            assert self.do(who, "write", kind, chunk) == ("ok", None)
            assert self.do(who, "read", kind, chunk)[0] == "ok"

    @rule(who=whos, kind=kinds, data=st.data())
    def gathers(self, who: str, kind: str, data: Any) -> None:
        shape, _, own = ARRAYS[kind]
        chosen = sorted(data.draw(st.sets(st.integers(0, shape[0] - 1))))
        touched = [CHUNKS[kind][chunk] for chunk in sorted({each // own for each in chosen})]
        unsound = [name for name in touched if self.state(name) != SOUND]
        status, found = self.do(who, "gather", kind, chosen)
        assert status == ("damaged" if unsound else "ok")
        if unsound:
            assert self.state(unsound[0]) == ABSENT
        else:
            np.testing.assert_array_equal(found, values_of(kind)[chosen])

    @rule(who=whos, kind=kinds)
    def asks_for_the_digest(self, who: str, kind: str) -> None:
        states, seal = self.states(CHUNKS[kind]), self.state(f"{PATHS[kind]}/{SEAL}")
        status, found = self.do(who, "digest", kind)
        if ABSENT in states or (set(states) != {SOUND} and seal != SOUND):
            assert status == "damaged"
        else:
            assert (status, found) == ("ok", hashlib.sha256(values_of(kind).tobytes()).hexdigest())
            assert self.state(f"{PATHS[kind]}/{SEAL}") == SOUND

    @rule(who=whos, kind=kinds, number=st.integers(0, 9))
    def notes(self, who: str, kind: str, number: int) -> None:
        assert self.do(who, "note", kind, number) == ("ok", None)
        assert verify((self.folder / PATHS[kind] / NOTES).read_bytes())["attributes"]["notes"]["number"] == number

    @rule(who=whos, row=rows)
    def writes_a_row(self, who: str, row: int) -> None:
        before = self.state(ROWS[row])
        assert self.do(who, "write row", row) == ("ok", None)
        assert self.state(ROWS[row]) == (SOUND if before == ABSENT else before)

    @rule(who=whos, row=rows)
    def reads_a_row(self, who: str, row: int) -> None:
        sound = self.state(ROWS[row]) == SOUND
        status, found = self.do(who, "read row", row)
        assert status == ("ok" if sound else "damaged")
        if sound:
            np.testing.assert_array_equal(found, row_of(row))
        else:
            assert self.state(ROWS[row]) == ABSENT
            assert self.do(who, "row missing", row) == ("ok", [0])

    @rule(who=whos)
    def lists_rows(self, who: str) -> None:
        there = sum(state != ABSENT for state in self.states(list(ROWS.values())))
        assert self.do(who, "listed") == ("ok", there)

    @precondition(lambda self: self.sound)
    @rule(how=st.sampled_from(DAMAGE), data=st.data())
    def a_file_is_damaged(self, how: str, data: Any) -> None:
        """But for the seal of an array whose chunks have changed places, which nothing else could tell."""
        name = data.draw(st.sampled_from(sorted(self.sound)))
        if name.endswith(SEAL) and self.swapped:
            return
        path, good = self.folder / name, (self.folder / name).read_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        bad = {
            "flip": good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :],
            "cut": good[:at], "empty": b"", "longer": good + b"?", "noise": b"\xff" * len(good), "removed": None,
        }[how]  # fmt: skip
        self.sound.discard(name)
        if bad is None:
            path.unlink()
        elif how != "flip" or not name.endswith(".json") or unsound(bad):
            path.write_bytes(bad)
            self.damaged[name] = bad
        else:
            self.sound.add(name)

    @rule(kind=kinds, first=st.integers(0, 2), second=st.integers(0, 2))
    def chunks_change_places(self, kind: str, first: int, second: int) -> None:
        """In a sealed array: no checksum of a chunk itself tells."""
        if f"{PATHS[kind]}/{SEAL}" in self.sound:
            self.change(CHUNKS[kind][first], CHUNKS[kind][second])

    @rule(first=rows, second=rows)
    def rows_change_places(self, first: int, second: int) -> None:
        self.change(ROWS[first], ROWS[second])

    def change(self, first: str, second: str) -> None:
        if first == second or not {first, second} <= self.sound:
            return
        for name, other in ((first, second), (second, first)):
            self.damaged[name] = EXPECTED[other]
            (self.folder / name).write_bytes(EXPECTED[other])
        self.swapped |= {name for name in (first, second) if "~" not in name}
        self.sound -= {first, second}

    @rule(who=whos)
    def checks_everything(self, who: str) -> None:
        """What has damaged metadata cannot be checked further; the next check begins with nothing damaged."""
        readable = {path for path in PATHS.values() if self.state(f"{path}/{METADATA}") == SOUND}
        status, lines = self.do(who, "check")
        assert status == "ok"
        assert not [name for name in self.damaged if name.rpartition("/")[0] in readable and self.there_as_was(name)]
        named = [line for line in lines if not line.endswith(f"{METADATA} is gone")]
        assert len(named) == sum(not self.there_as_was(name) for name in self.damaged)

    def there_as_was(self, name: str) -> bool:
        path = self.folder / name
        return name in self.damaged and path.exists() and path.read_bytes() == self.damaged[name]

    @rule(who=whos)
    def lists_everything(self, who: str) -> None:
        _, found = self.do(who, "items")
        done = {item.kind: item.done for item in found if item.kind in ARRAYS and item.damage is None}
        for kind in done:
            shape, _, own = ARRAYS[kind]
            lengths = [min(own, shape[0] - start) for start in range(0, shape[0], own)]
            states = self.states(CHUNKS[kind])
            assert done[kind] == sum(
                length for length, state in zip(lengths, states, strict=True) if state != ABSENT
            )  # fmt: skip
        assert {item.path for item in found if item.damage is not None} == {
            path
            for path in PATHS.values()
            if (self.folder / path).exists() and self.state(f"{path}/{METADATA}") != SOUND
        }

    @rule(who=whos, pattern=st.sampled_from([*sorted(ARRAYS), TABLE, "*-> target 1", "nothing", "quarantine"]))
    def prunes(self, who: str, pattern: str) -> None:
        wanted = {name for name in KEPT_APART if name.startswith(f"{pattern}/")}
        if pattern == "*-> target 1" and self.state(f"{PATHS[TABLE]}/{METADATA}") == SOUND:
            others = [
                state for target, state in zip(ROWS, self.states(list(ROWS.values())), strict=True) if target != 1
            ]
            wanted = {ROWS[1]}
            if set(others) == {ABSENT} and self.state(ROWS[1]) != ABSENT:
                wanted |= {f"{PATHS[TABLE]}/{name}" for name in (METADATA, NOTES)}
        self.allowed = wanted or {"the quarantine" if pattern == "quarantine" else "nothing"}
        assert self.do(who, "prune", pattern)[0] == "ok"
        if pattern == "quarantine":
            assert quarantined(self.stores["this"]) == {}
        assert set(self.states(sorted(wanted))) <= {ABSENT}
        assert not list(self.folder.glob("locks/*.lock"))

    @rule(kind=kinds, at=st.integers(0, 4))
    def a_writer_is_killed(self, kind: str, at: int) -> None:
        """The chunk is there whole, or not at all."""
        absent = [chunk for chunk, state in enumerate(self.states(CHUNKS[kind])) if state == ABSENT]
        for chunk in absent[:1]:
            self.worker.perform(self.folder, "write", kind, chunk, at=at)
            assert self.state(CHUNKS[kind][chunk]) in (ABSENT, SOUND)

    @rule(kind=kinds, chunk=st.integers(0, 2), row=rows, at=st.integers(0, 12), data=st.data())
    def another_process_is_killed(self, kind: str, chunk: int, row: int, at: int, data: Any) -> None:
        """In the middle of anything that writes. What was pruned to the point of the kill is gone."""
        works: list[tuple[Any, ...]] = [
            ("write", kind, chunk), ("write row", row), ("digest", kind), ("note", kind, 5), ("open", kind, None),
            ("read", kind, chunk), ("read row", row), ("check",), ("prune", kind), ("prune", "nothing"),
        ]  # fmt: skip
        operation, *arguments = data.draw(st.sampled_from(works))
        if operation == "prune" and arguments[0] in ARRAYS:
            self.allowed = {name for name in KEPT_APART if name.startswith(f"{kind}/")}
        self.worker.perform(self.folder, operation, *arguments, at=at)

    @rule(name=st.sampled_from(KEPT_APART), old=st.booleans())
    def a_writer_left_a_half(self, name: str, old: bool) -> None:
        path = self.folder / f"{name}.0123456789abcdef{PARTIAL}"
        if path.parent.exists():
            path.write_bytes(b"half")
            if old:
                then = time.time() - 3600
                os.utime(path, (then, then))


def unsound(data: bytes) -> bool:
    try:
        verify(data)
    except Unsound:
        return True
    return False


@pytest.fixture
def worker() -> Iterator[None]:
    Stored.worker = Worker()
    yield
    Stored.worker.stop()


CHECKS = settings(
    deadline=None, suppress_health_check=list(HealthCheck), stateful_step_count=40, print_blob=True, derandomize=False
)


@pytest.mark.usefixtures("worker")
def test_any_sequence() -> None:
    run_state_machine_as_test(Stored, settings=settings(CHECKS, max_examples=80))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("worker")
def test_many_more_sequences() -> None:
    run_state_machine_as_test(Stored, settings=settings(CHECKS, max_examples=600, stateful_step_count=60))
