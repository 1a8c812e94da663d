"""Objects in a folder: each is complete or absent and is created once; an error of the file system gives one line."""

import errno
import multiprocessing
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sat_exp.files import PARTIAL
from sat_exp.store.folder import Folder
from sat_exp.store.storage import Unwritable

WRITERS, NAMES, SIZE = 4, 60, 50_000


@pytest.fixture
def backend(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "store")


def put(backend: Folder, name: str, data: bytes) -> None:
    backend.update(name, lambda _: data)


def below(backend: Folder) -> list[str]:
    return sorted(str(path.relative_to(backend.root)) for path in backend.root.rglob("*") if path.is_file())


def test_an_object_is_created_once(backend: Folder) -> None:
    assert backend.read("kind/key/a") is None
    assert backend.create("kind/key/a", b"first")
    assert not backend.create("kind/key/a", b"second")
    assert backend.read("kind/key/a") == b"first"
    assert below(backend) == ["kind/key/a"]


def test_an_update_knows_the_bytes_before(backend: Folder) -> None:
    for _ in range(3):
        backend.update("kind/key/a", lambda data: (data or b"") + b".")
    assert backend.read("kind/key/a") == b"..."


def test_an_object_is_replaced(backend: Folder) -> None:
    for data in (b"first", b"", b"third"):
        put(backend, "kind/key/a", data)
        assert backend.read("kind/key/a") == data
    assert below(backend) == ["kind/key/a"]


def test_an_object_moves_to_a_folder_that_is_made(backend: Folder) -> None:
    backend.create("kind/key/a", b"data")
    backend.move("kind/key/a", "quarantine/kind/key/a", b"data")
    backend.move("kind/key/gone", "quarantine/kind/key/b", b"data")
    assert below(backend) == ["quarantine/kind/key/a"]


def test_what_is_gone_may_be_removed_again(backend: Folder) -> None:
    backend.create("kind/key/a", b"data")
    for _ in range(2):
        backend.remove("kind/key/a")
    backend.create("kind/key/b", b"data")
    backend.remove_folder("kind/key")
    backend.remove_folder("kind/gone")
    assert below(backend) == ["kind/key/b"]
    backend.remove("kind/key/b")
    backend.remove_folder("kind/key")
    assert backend.list("kind").folders == []


def test_a_listing_is_of_what_lies_directly_below(backend: Folder) -> None:
    for name, size in (("a", 3), ("b", 0), ("b1/c", 1), ("b1/d/e", 1)):
        backend.create(f"kind/{name}", b"." * size)
    os.utime(backend.root / "kind/a", (5, 1_000_000_000))
    (backend.root / "kind/dangling").symlink_to("nowhere")
    listing = backend.list("kind")
    assert listing.folders == ["b1"]
    assert {name: entry.size for name, entry in listing.objects.items()} == {"a": 3, "b": 0}
    assert listing.objects["a"].modified == 1_000_000_000
    assert backend.list("").folders == ["kind"]
    assert (backend.list("absent").folders, backend.list("absent").objects) == ([], {})


def test_a_listing_while_objects_come_and_go(backend: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        backend.create(f"kind/{name}", b"1")
    scandir = os.scandir

    def removing(path: Any) -> Any:
        entries = list(scandir(path))
        (backend.root / "kind/b").unlink(missing_ok=True)
        return Entries(entries)

    monkeypatch.setattr(os, "scandir", removing)
    assert sorted(backend.list("kind").objects) == ["a", "c"]


class Entries(list):  # type: ignore[type-arg]
    """Entries of a folder, as a context."""

    def __enter__(self) -> "Entries":
        return self

    def __exit__(self, *_: object) -> None:
        return


def create_all(root: Path, writer: int, start: Any, results: Any) -> None:
    """Create all names, each with bytes that tell the writer."""
    backend = Folder(root)
    start.wait()
    results.put([backend.create(f"kind/{name}", bytes([writer]) * SIZE) for name in range(NAMES)])


def race(kind: str, root: Path) -> list[list[bool]]:
    """Who created what, of writers that started at once."""
    context: Any = multiprocessing.get_context("fork")
    start, results = context.Barrier(WRITERS), context.Queue()
    make: Any = context.Process if kind == "processes" else threading.Thread
    writers = [make(target=create_all, args=(root, writer, start, results)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    created = [results.get(timeout=60) for _ in writers]
    for writer in writers:
        writer.join()
    return created


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_of_those_who_create_at_once_exactly_one_does(backend: Folder, kind: str) -> None:
    seen: list[bytes] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.extend(filter(None, (backend.read(f"kind/{name}") for name in range(NAMES))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    created = race(kind, backend.root)
    stop.set()
    watcher.join()
    assert [sum(flags) for flags in zip(*created, strict=True)] == [1] * NAMES
    whole = {bytes([writer]) * SIZE for writer in range(WRITERS)}
    kept = [backend.read(f"kind/{name}") for name in range(NAMES)]
    assert set(kept) <= whole
    assert set(seen) <= set(kept)
    assert len(below(backend)) == NAMES


def test_a_reader_sees_the_old_bytes_or_the_new(backend: Folder) -> None:
    put(backend, "a", b"0" * SIZE)
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for digit in (b"1", b"2"):
                put(backend, "a", digit * SIZE)

    writer = threading.Thread(target=replace)
    writer.start()
    read = [backend.read("a") for _ in range(300)]
    stop.set()
    writer.join()
    assert set(read) <= {digit * SIZE for digit in (b"0", b"1", b"2")}


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS])
def test_a_file_system_without_links(backend: Folder, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some such report that links are not to be had before they look whether the name is taken."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert backend.create("kind/a", b"first")
    assert not backend.create("kind/a", b"second")
    assert backend.read("kind/a") == b"first"
    assert below(backend) == ["kind/a"]


NUMBERS = [
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.EACCES,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.ENAMETOOLONG,
]
OPERATIONS: dict[str, tuple[Callable[[Folder], Any], Any, str]] = {
    "read": (lambda backend: backend.read("kind/a"), Path, "read_bytes"),
    "create": (lambda backend: backend.create("kind/b", b"new"), Path, "write_bytes"),
    "link": (lambda backend: backend.create("kind/b", b"new"), os, "link"),
    "make": (lambda backend: backend.create("other/b", b"new"), Path, "mkdir"),
    "update": (lambda backend: put(backend, "kind/a", b"new"), Path, "replace"),
    "move": (lambda backend: backend.move("kind/a", "kind/b", b"old"), Path, "rename"),
    "remove": (lambda backend: backend.remove("kind/a"), Path, "unlink"),
    "list": (lambda backend: backend.list("kind"), os, "scandir"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.__getitem__)
def test_a_refusal_is_one_line_and_changes_nothing(
    backend: Folder, operation: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.create("kind/a", b"old")
    work, owner, name = OPERATIONS[operation]

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, refuse)
        with pytest.raises(Unwritable) as refusal:
            work(backend)
    line = str(refusal.value)
    assert "\n" not in line
    assert str(backend.root) in line
    full = number in (errno.ENOSPC, errno.EDQUOT)
    assert ("the disk is full" if full else os.strerror(number)) in line
    assert below(backend) == ["kind/a"]
    assert backend.read("kind/a") == b"old"


def test_a_folder_in_the_way_is_one_line(backend: Folder) -> None:
    (backend.root / "kind/a/b").mkdir(parents=True)
    with pytest.raises(Unwritable, match="a folder is in the way: move it elsewhere"):
        backend.read("kind/a")
    with pytest.raises(Unwritable, match="a folder is in the way"):
        put(backend, "kind/a", b"")
    assert (backend.root / "kind/a/b").is_dir()
    assert below(backend) == []


def test_a_file_in_the_way_is_one_line(backend: Folder) -> None:
    backend.create("kind", b"a file")
    for work in (
        lambda: backend.create("kind/a", b""),
        lambda: backend.read("kind/a"),
        lambda: backend.list("kind"),
        lambda: put(backend, "kind/a", b""),
    ):
        with pytest.raises(Unwritable, match=r"(Not a directory|File exists); .*"):
            work()
    assert backend.read("kind") == b"a file"


def test_a_full_disk_leaves_no_half_of_an_object(mount: Path) -> None:
    backend = Folder(mount)
    for number in range(4):
        assert backend.create(f"kind/{number}", bytes([number]) * 45_000)
    written = 4
    with pytest.raises(Unwritable, match=r"the disk is full at .*: free some space and run the same command again"):
        backend.create("kind/4", b"." * 45_000)
    assert below(backend) == [f"kind/{number}" for number in range(written)]
    assert all(backend.read(f"kind/{number}") == bytes([number]) * 45_000 for number in range(written))


def test_a_read_only_disk_is_one_line(mount: Path) -> None:
    backend = Folder(mount)
    backend.create("kind/a", b"data")
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    assert backend.read("kind/a") == b"data"
    assert list(backend.list("kind").objects) == ["a"]
    for work in (
        lambda: backend.create("kind/b", b""),
        lambda: backend.create("other/b", b""),
        lambda: put(backend, "kind/a", b""),
        lambda: backend.move("kind/a", "kind/b", b"old"),
        lambda: backend.remove("kind/a"),
    ):
        with pytest.raises(Unwritable, match=r"cannot .*Read-only file system; give output_dir=FOLDER"):
            work()


def test_a_partial_file_is_not_an_object_of_its_name(backend: Folder) -> None:
    backend.create("kind/a", b"data")
    (backend.root / f"kind/b.0123{PARTIAL}").write_bytes(b"half")
    assert backend.read("kind/b") is None
    assert backend.create("kind/b", b"whole")
    assert backend.read("kind/b") == b"whole"
