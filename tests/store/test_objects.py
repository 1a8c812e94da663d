"""Objects in a bucket: each is created once among any number of processes, without locks; errors show no secret."""

import time
import traceback
from collections import Counter
from typing import Any

import numpy as np
import pytest
from loky import ProcessPoolExecutor

from sat_exp.errors import printable
from sat_exp.store import Damaged, Store, Unwritable, inventory
from sat_exp.store import objects as module
from sat_exp.store.objects import Objects, without_secrets
from sat_exp.store.store import QUARANTINE

from ..buckets import SECRET
from .helpers import CHUNK, ROWS, contents, fill, open_array

PROCESSES = 4


@pytest.fixture
def backend(bucket: str) -> Objects:
    return Objects(bucket)


def below(backend: Objects) -> dict[str, bytes | None]:
    """Every object of a store, by name."""
    names = [name for name, _ in inventory.everything_below(Store(backend), "kind")]
    return {name: backend.read(name) for name in names}


def test_an_object_is_created_once(backend: Objects) -> None:
    assert backend.read("kind/key/a") is None
    assert backend.create("kind/key/a", b"first")
    assert not backend.create("kind/key/a", b"second")
    assert below(backend) == {"kind/key/a": b"first"}


def test_an_update_knows_the_bytes_before(backend: Objects) -> None:
    for _ in range(3):
        backend.update("kind/key/a", lambda data: (data or b"") + b".")
    assert backend.read("kind/key/a") == b"..."


def test_the_name_of_an_object_that_moved_is_free(backend: Objects) -> None:
    backend.create("kind/key/a", b"damaged")
    backend.move("kind/key/a", "kind/moved/a", b"damaged")
    assert backend.read("kind/key/a") is None
    assert below(backend) == {"kind/moved/a": b"damaged"}
    assert backend.create("kind/key/a", b"sound")
    assert not backend.create("kind/key/a", b"other")
    backend.move("kind/key/a", "kind/moved/b", b"sound")
    backend.update("kind/key/a", lambda data: repr(data).encode())
    assert backend.read("kind/key/a") == b"None"


@pytest.mark.parametrize("there", [b"sound by now", None])
def test_an_object_with_other_bytes_by_now_stays(backend: Objects, there: bytes | None) -> None:
    if there:
        backend.create("kind/key/a", there)
    backend.move("kind/key/a", "kind/moved/a", b"damaged")
    assert below(backend) == ({"kind/key/a": there} if there else {})


def test_what_is_gone_may_be_removed_again(backend: Objects) -> None:
    backend.create("kind/key/a", b"data")
    for _ in range(2):
        backend.remove("kind/key/a")
    backend.remove_folder("kind/key")
    assert below(backend) == {}


def test_a_listing_is_of_what_lies_directly_below(backend: Objects) -> None:
    before = time.time()
    for name in ("a", "b1/c", "b1/d/e", "b/f"):
        backend.create(f"kind/{name}", b"...")
    backend.create("kinds/g", b"...")
    listing = backend.list("kind")
    assert listing.folders == ["b", "b1"]
    assert {name: entry.size for name, entry in listing.objects.items()} == {"a": 3}
    assert abs(listing.objects["a"].modified - before) < 60
    assert backend.list("").folders == ["kind", "kinds"]
    assert (backend.list("absent").folders, backend.list("absent").objects) == ([], {})


@pytest.mark.parametrize("name", ["0f~vit %28small%29", "0f~a%2Fb%25", "0f~%C3%A9t%C3%A9", "0f~x+y=z&a?b#c", "3.0.0.0"])
def test_a_listing_gives_names_as_they_were_written(backend: Objects, name: str) -> None:
    backend.create(f"kind/key/{name}", b"data")
    assert list(backend.list("kind/key").objects) == [name]
    assert backend.read(f"kind/key/{name}") == b"data"


def creating(backend: Objects, writer: int, start: float) -> list[bool]:
    time.sleep(max(0, start - time.time()))
    return [backend.create(f"kind/{name}", bytes([writer])) for name in range(20)]


def counting(backend: Objects, start: float) -> None:
    time.sleep(max(0, start - time.time()))
    for _ in range(10):
        backend.update("kind/count", lambda data: str(int(data or b"0") + 1).encode())


def test_of_processes_that_create_at_once_exactly_one_does_and_no_update_is_lost(backend: Objects) -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(creating, [Objects(f"{backend.url}/first")] * PROCESSES, range(PROCESSES), [0.0] * PROCESSES))
        start = time.time() + 0.5
        futures = [pool.submit(creating, backend, writer, start) for writer in range(1, PROCESSES + 1)]
        created = [future.result() for future in futures]
        start = time.time() + 0.5
        for future in [pool.submit(counting, backend, start) for _ in range(PROCESSES)]:
            future.result()
    assert [sum(flags) for flags in zip(*created, strict=True)] == [1] * 20
    winners = [backend.read(f"kind/{name}") for name in range(20)]
    assert Counter(winners) == {bytes([n + 1]): sum(flags) for n, flags in enumerate(created) if any(flags)}
    assert backend.read("kind/count") == b"40"


@pytest.fixture
def store(bucket: str) -> Store:
    return Store.at(bucket)


def again(store: Store) -> Store:
    """The store as another process opens it."""
    return Store.at(store.backend.locate(""))


def test_an_array_is_read_as_it_was_written(store: Store) -> None:
    array = open_array(store)
    values = fill(array)
    other = open_array(again(store))
    assert other.missing() == []
    assert other.digest == array.digest
    np.testing.assert_array_equal(other.read_all(), values)


@pytest.mark.parametrize("part", ["1.0.0.0", "zarr.json", "seal.json", "notes.json"])
@pytest.mark.parametrize("data", [b"not this", b"", b"\0" * 304])
def test_a_damaged_object_goes_to_the_quarantine_and_is_written_again(store: Store, part: str, data: bytes) -> None:
    array = open_array(store)
    values = fill(array)
    digest = array.digest
    name = f"{array.path}/{part}"
    store.backend.update(name, lambda _: data)
    for _ in range(2):
        reader = open_array(again(store))
        try:
            fill(reader)
            np.testing.assert_array_equal(reader.read_all(), values)
            break
        except Damaged as damage:
            assert name in str(damage)  # noqa: PT017
    assert open_array(again(store)).digest == digest
    moved = [name for name, _ in inventory.quarantined(store)]
    assert [name.rpartition(".")[0] for name in moved] == ([f"{QUARANTINE}/{name}"] if data else [])


def test_notes_of_two_processes_are_both_kept(store: Store) -> None:
    ours, other = open_array(store), open_array(again(store))
    ours.note(ours=1)
    other.note(other=2)
    other.note_versions({"torch": "1"})
    ours.note_versions({"torch": "2"})
    assert open_array(again(store)).notes == {
        "name": "some", "ours": 1, "other": 2, "versions": [{"torch": "1"}, {"torch": "2"}],
    }  # fmt: skip


def test_everything_is_listed_checked_and_removed(store: Store) -> None:
    array = open_array(store)
    fill(array)
    row = store.table("predictions", {"of": "vit"}, columns=5, dtype="int32", name="vit").row({"target": 1}, "a/b é")
    row.write(0, np.arange(5, dtype=np.int32))
    assert [(item.kind, item.name, item.done, item.rows) for item in inventory.items(again(store))] == [
        ("adversarial", "some", ROWS, ROWS),
        ("predictions", "vit -> a/b é", 5, 5),
    ]
    assert inventory.check(again(store), array.path) == []
    store.backend.update(f"{array.path}/2.0.0.0", lambda _: b"damaged")
    (line,) = inventory.check(again(store), array.path)
    assert f"{array.path}/2.0.0.0 is damaged" in line
    assert open_array(again(store)).missing() == [2]
    removed, freed = inventory.remove(again(store), "*")
    assert len(removed) == 2
    assert freed > ROWS * 75 * (CHUNK - 1) / CHUNK
    assert inventory.items(again(store)) == []
    np.testing.assert_array_equal(fill(open_array(again(store))), contents())


OPERATIONS: dict[str, Any] = {
    "read": lambda backend: backend.read("kind/a"),
    "write to": lambda backend: backend.create("kind/a", b"data"),
    "list": lambda backend: backend.list("kind"),
    "remove": lambda backend: backend.remove("kind/a"),
}


@pytest.mark.parametrize("verb", OPERATIONS)
def test_a_server_that_does_not_answer_is_one_line_without_secrets(
    bucket: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:9/{SECRET}")
    with pytest.raises(Unwritable) as refusal:
        OPERATIONS[verb](Objects(bucket))
    line = str(refusal.value)
    assert line.startswith(f"cannot {verb} {bucket}/kind")
    assert "HTTP error" in line
    assert line.endswith("run the same command again")
    assert "\n" not in line
    assert SECRET not in line
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_a_bucket_that_does_not_exist_is_one_line(s3: dict[str, str], bucket: str) -> None:
    with pytest.raises(Unwritable, match=r"cannot write to s3://absent/x/kind/a: .*bucket"):
        Objects("s3://absent/x").create("kind/a", b"data")


def test_a_url_of_no_service_is_one_line() -> None:
    with pytest.raises(Unwritable, match=r"cannot open ftp://host/x/? \(.*Unable to recognise URL.*\): check"):
        Objects("ftp://host/x").read("a")


def test_values_of_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_SAS_KEY", "GOOGLE_SERVICE_ACCOUNT_KEY"):
        monkeypatch.setenv(name, f"<{name}>")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    shown = without_secrets("us-east-1 <AWS_SECRET_ACCESS_KEY> <AZURE_STORAGE_SAS_KEY> <GOOGLE_SERVICE_ACCOUNT_KEY>")
    assert shown == "us-east-1 [hidden] [hidden] [hidden]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://user:word@bucket/a is damaged", "s3://[hidden]@bucket/a is damaged"),
        ("s3://user:wo/rd@bucket/a is damaged", "s3://[hidden]@bucket/a is damaged"),
        ("GET https://b.example/a?X-Sig=abc&y=1 failed", "GET https://b.example/a?[hidden] failed"),
        ("what is store? a=b", "what is store? a=b"),
        ("a@b.example", "a@b.example"),
    ],
)
def test_credentials_in_a_url_are_hidden(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_signed_document_in_a_bucket_has_the_bytes_of_one_in_a_folder(store: Store, tmp_path: Any) -> None:
    local = Store.at(tmp_path / "store")
    for each in (store, local):
        fill(open_array(each))
    path = open_array(store).path
    names = sorted(local.backend.list(path).objects)
    assert names == sorted(store.backend.list(path).objects)
    assert {name: local.backend.read(f"{path}/{name}") for name in names} == {
        name: store.backend.read(f"{path}/{name}") for name in names
    }
