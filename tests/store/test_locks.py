"""Locks between processes: nothing is pruned while another one uses the store, and a killed one holds nothing."""

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from filelock import Timeout

from sat_exp.errors import UserError
from sat_exp.store import Store, inventory
from sat_exp.store.encoding import sign

from .helpers import files, run


def hold(folder: Path, how: str, connection: Connection) -> None:
    """Hold the store in another process, until it is told to end."""
    store = Store.at(folder)
    ways = {
        "lock": lambda: store.lock("attack", "vit"),
        "use": store.backend.in_use,
        "alone": store.backend.alone,
        "reading": lambda: store.reading("adversarial/key"),
        "unread": lambda: store.unread("adversarial/key"),
    }
    with ways[how]():
        connection.send("held")
        connection.recv()


class Holder:
    """Another process that holds the store."""

    def __init__(self, store: Store, how: str) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=hold, args=(store.backend.root, how, other))
        self.process.start()
        assert self.connection.poll(60)

    def end(self) -> None:
        with suppress(BrokenPipeError):
            self.connection.send("end")
        self.process.join()


@pytest.fixture
def fresh(tmp_path: Path) -> Store:
    """A store that this process has not locked yet, so that a process can be forked that will."""
    return Store.at(tmp_path / "fresh" / "store")


@pytest.fixture
def holder(fresh: Store, request: pytest.FixtureRequest) -> Iterator[Holder]:
    holder = Holder(fresh, request.param)
    yield holder
    holder.end()


@pytest.mark.parametrize("holder", ["lock", "use", "alone"], indirect=True)
def test_nothing_is_pruned_while_others_work(fresh: Store, holder: Holder) -> None:
    folder = fresh.backend.root / "images/key"
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_bytes(sign({"table": {"columns": 1, "dtype": "int32"}, "attributes": {"facts": {}}}))
    before = files(fresh)
    with pytest.raises(UserError, match=r"another process is at work in .*: prune when it has ended") as refusal:
        run(fresh, prune="*")
    assert "\n" not in str(refusal.value)
    run(fresh, verify=True)
    assert files(fresh) == before
    holder.end()
    run(fresh, prune="*")
    assert files(fresh) == {}


@pytest.mark.parametrize("holder", ["lock", "use", "alone"], indirect=True)
def test_a_killed_holder_holds_nothing(fresh: Store, holder: Holder) -> None:
    holder.process.kill()
    holder.process.join()
    with fresh.lock("attack", "vit", timeout=20):
        pass
    inventory.remove(fresh, "*")


@pytest.mark.parametrize("holder", ["lock"], indirect=True)
def test_a_lock_is_of_one_piece_of_work(fresh: Store, holder: Holder) -> None:
    with pytest.raises(Timeout), fresh.lock("attack", "vit", timeout=0):
        pass
    with fresh.lock("attack", "resnet", timeout=0), fresh.lock("attack", "resnet", timeout=0):
        pass
    holder.end()
    with fresh.lock("attack", "vit", timeout=20):
        pass


@pytest.mark.parametrize("holder", ["alone"], indirect=True)
def test_no_lock_is_taken_while_another_process_is_alone(fresh: Store, holder: Holder) -> None:
    taken = threading.Event()

    def take() -> None:
        with fresh.lock("attack", "vit"):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(0.5)
    assert not list(fresh.backend.root.glob("locks/*.lock"))
    holder.end()
    assert taken.wait(20)
    thread.join()


@pytest.mark.parametrize("holder", ["reading"], indirect=True)
def test_what_others_read_is_not_dropped(fresh: Store, holder: Holder) -> None:
    with fresh.reading("adversarial/key"), fresh.unread("adversarial/other"):
        pass
    with pytest.raises(Timeout), fresh.unread("adversarial/key"):
        pass
    holder.process.kill()
    with fresh.unread("adversarial/key", timeout=20):
        pass
    inventory.remove(fresh, "*")
    assert not list(fresh.backend.root.glob("locks/*.lock"))


@pytest.mark.parametrize("holder", ["unread"], indirect=True)
def test_nothing_is_read_while_another_process_drops_it(fresh: Store, holder: Holder) -> None:
    taken = threading.Event()

    def take() -> None:
        with fresh.reading("adversarial/key"):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(0.5)
    holder.end()
    assert taken.wait(20)
    thread.join()
