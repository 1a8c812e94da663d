"""Downloads: they write to the cache only, are complete or absent, and contain exactly the published bytes."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from sat_exp.datasets import CIFAR10, CIFAR100, Flowers102, Imagenette, downloading
from sat_exp.datasets.downloading import Published, downloaded
from sat_exp.errors import UserError

URL = "https://example.org/set.tgz"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache"


def packed(**files: bytes) -> bytes:
    """A compressed tar of files, `__` in their names for a slash and `up` for the folder above."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("up", ".."))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def served(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Have every address give `content`; the addresses that were asked."""
    asked: list[str] = []

    def fetch(url: str, root: str, filename: str) -> None:
        asked.append(url)
        (Path(root) / filename).write_bytes(content)

    monkeypatch.setattr(downloading, "download_url", fetch)
    return asked


def published(content: bytes, url: str = URL) -> Published:
    return Published(url, hashlib.sha256(content).hexdigest())


def test_a_set_is_downloaded_once_and_its_archive_is_not_kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    content = packed(set__a=b"1", set__b=b"2")
    asked = served(monkeypatch, content)
    for _ in range(2):
        assert downloaded("Set", None, "set", [published(content)]) == cache
    assert asked == [URL]
    assert sorted(str(path.relative_to(cache)) for path in cache.rglob("*")) == ["set", "set/a", "set/b"]


def test_a_file_that_is_no_archive_is_kept_where_it_belongs(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    served(monkeypatch, b"labels")
    file = published(b"labels", "https://example.org/labels.mat")
    downloaded("Set", None, "set", [Published(file.url, file.sha256, into="set")])
    assert (cache / "set/labels.mat").read_bytes() == b"labels"


@pytest.mark.parametrize(
    "content", [packed(set__a=b"other"), b"", b"<html>not found</html>"], ids=["other", "empty", "page"]
)
def test_another_file_than_the_published_one_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch, cache: Path, content: bytes
) -> None:
    files = [published(packed(set__a=b"1"))]
    served(monkeypatch, content)
    monkeypatch.setattr(tarfile, "open", None)
    with pytest.raises(UserError, match=r"Set could not be downloaded .* is not the published file: its SHA-256 is"):
        downloaded("Set", None, "set", files)
    assert not list(cache.iterdir())


@pytest.mark.parametrize("name", ["up__made", "set__up__up__made", "__made"])
def test_an_archive_cannot_write_elsewhere(monkeypatch: pytest.MonkeyPatch, cache: Path, name: str) -> None:
    content = packed(set__a=b"1", **{name: b"2"})
    served(monkeypatch, content)
    if name.startswith("__"):  # taken relative to the folder
        downloaded("Set", None, "set", [published(content)])
    else:
        with pytest.raises(UserError, match="could not be downloaded"):
            downloaded("Set", None, "set", [published(content)])
    found = {str(path.relative_to(cache.parent)) for path in cache.parent.rglob("*")}
    assert found <= {"cache", "cache/set", "cache/set/a"}


@pytest.mark.parametrize("failure", [URLError("no route to host"), RuntimeError("File not found or corrupted.")])
@pytest.mark.parametrize("module", [Imagenette, Flowers102, CIFAR10, CIFAR100])
def test_offline_is_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, cache: Path, module: Any, failure: Exception
) -> None:
    def fail(url: str, root: str, filename: str) -> None:
        (Path(root) / filename).write_bytes(b"half")
        raise failure

    monkeypatch.setattr(downloading, "download_url", fail)
    with pytest.raises(UserError, match=r"could not be downloaded.*dataset\.root=FOLDER.*quickstart") as caught:
        module(None, None, 0)
    assert "\n" not in str(caught.value)
    assert not list(cache.iterdir())


@pytest.mark.parametrize("module", [Imagenette, Flowers102, CIFAR10, CIFAR100])
def test_nothing_is_written_into_a_folder_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    asked = served(monkeypatch, b"")
    (tmp_path / "given").mkdir()
    with pytest.raises(UserError, match=r"no .* in .*given: give dataset.root=FOLDER .*, or leave it out to download"):
        module(str(tmp_path / "given"), None, 0)
    assert not list((tmp_path / "given").iterdir())
    assert not asked
