"""Images, folders and tables that try to run code, to hang or to reach other files: each is refused with one line."""

import csv
import gzip
import io
import os
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.pictures import decode

from .hostile import TENCH, encoded, folder, harmless, imagenet, listing, put, read_all, refused

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_what_is_no_file_is_not_read(tmp_path: Path, make: Any) -> None:
    put(tmp_path / "set/a/1.png")
    make(tmp_path / "set/a/2.png")
    refused(lambda: read_all(folder(tmp_path / "set")), r"2\.png (is no file|cannot be read)")


def test_a_picture_that_is_larger_than_any(tmp_path: Path) -> None:
    path = put(tmp_path / "set/a/1.png", b"")
    os.truncate(path, 1 << 40)
    refused(lambda: read_all(folder(tmp_path / "set")), r"1\.png cannot be read \(Larger than 256 MB\)")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(10_000, 10_000), (20_000, 10_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_unpacked(tmp_path: Path, size: tuple[int, int]) -> None:
    """A header is enough to say so: nothing is decoded."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    put(tmp_path / "set/a/1.png", b"\x89PNG\r\n\x1a\n" + content)
    refused(lambda: read_all(folder(tmp_path / "set")), r"1\.png is not a readable 8-bit image .*pixels")


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1)])
def test_a_picture_that_is_too_long_and_narrow(tmp_path: Path, size: tuple[int, int]) -> None:
    put(tmp_path / "set/a/1.png", encoded(size))
    refused(lambda: read_all(folder(tmp_path / "set")), "a/1.png of set cannot be resized .*too long and narrow")


def test_a_picture_in_a_format_that_runs_a_program_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    ran = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **options: ran.append(given))
    content = encoded(kind="EPS")
    with pytest.raises(AssertionError):  # as nothing was drawn
        Image.open(io.BytesIO(content)).load()
    assert len(ran) == 1
    refused(lambda: decode(content, "a.png"), r"a\.png is not a readable 8-bit image")
    assert len(ran) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_formats_that_are_read(kind: str) -> None:
    assert decode(encoded(kind=kind), "a").size == (30, 20)


def test_colours_that_cannot_be_converted_are_one_line(tmp_path: Path) -> None:
    put(tmp_path / "set/a/1.png", encoded(kind="TIFF", mode="LAB"))
    refused(lambda: read_all(folder(tmp_path / "set", mode="L")), r"a/1\.png of set cannot be resized|not a readable")


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF", b"II*\0"]),
)
def test_any_bytes_are_an_image_or_one_line(content: bytes, start: bytes) -> None:
    harmless(lambda: decode(start + content, "a"))


def test_a_link_to_a_folder_above_has_an_end(tmp_path: Path) -> None:
    put(tmp_path / "set/a/1.png")
    (tmp_path / "set/a/up").symlink_to(tmp_path / "set")
    refused(lambda: folder(tmp_path / "set"), r"a/up is a link to a folder that contains it: remove it")


def test_two_links_to_one_another_have_an_end(tmp_path: Path) -> None:
    put(tmp_path / "set/a/1.png")
    put(tmp_path / "set/b/1.png")
    (tmp_path / "set/a/other").symlink_to(tmp_path / "set/b")
    (tmp_path / "set/b/other").symlink_to(tmp_path / "set/a")
    refused(lambda: folder(tmp_path / "set"), "is a link to a folder that contains it")


def test_a_link_to_another_folder_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/1.png")
    put(tmp_path / "set/b/1.png")
    for name in ("a", "c"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "elsewhere")
    assert folder(tmp_path / "set").ids == ("a/1.png", "b/1.png", "c/1.png")


@pytest.mark.parametrize("name", [b"a\nb", b"a\x1b[31m", b"\xff\xfe", b"a\x7f", "a\u2028".encode()])
@pytest.mark.parametrize("place", ["file", "folder"])
def test_names_that_cannot_be_shown(tmp_path: Path, name: bytes, place: str) -> None:
    part = os.fsdecode(name)
    put(tmp_path / "set" / (f"a/{part}.png" if place == "file" else f"{part}/1.png"))
    refused(lambda: folder(tmp_path / "set"), "has characters that cannot be shown in its name: give it another")


@pytest.mark.parametrize("name", ["模型", "a b", "é", "a\u3000b", "=1+1", "<b>"])
def test_names_that_can_be_shown(tmp_path: Path, name: str) -> None:
    put(tmp_path / "set" / name / f"{name}.png")
    assert folder(tmp_path / "set").ids == (f"{name}/{name}.png",)


@pytest.mark.parametrize(
    "options",
    [
        {"resize": 10**6},
        {"resize": 4096 + 1},
        {"resize": 10**30, "crop": 10**30},
        {"resize": 0},
        {"resize": 2.5},
    ],
)
def test_a_canvas_without_bounds(tmp_path: Path, options: dict[str, Any]) -> None:
    put(tmp_path / "set/a/1.png")
    refused(lambda: folder(tmp_path / "set", **options), r"dataset\.resize=.*: give a (whole number|value of)")
    Canvas(4096, 4096)


def test_nothing_is_written_into_a_folder(tmp_path: Path) -> None:
    put(tmp_path / f"set/{TENCH}/1.png")
    before = listing(tmp_path)
    for read in (folder, imagenet):
        read_all(read(tmp_path / "set"))
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 1000, b"\xff\xfe\0i\0d", b"id\n" + b'"' * 5001, pickle.dumps([1]), b"id"]
)
def test_lists_of_images_that_are_none(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "set/a/1.png")
    file = put(tmp_path / "ids.csv", content)
    refused(lambda: folder(tmp_path / "set", ids=str(file)), r"ids\.csv")


def test_a_list_of_images_that_is_no_file_or_larger_than_any(tmp_path: Path) -> None:
    put(tmp_path / "set/a/1.png")
    os.mkfifo(tmp_path / "ids.csv")
    refused(lambda: folder(tmp_path / "set", ids=str(tmp_path / "ids.csv")), "Not a regular file")
    os.truncate(put(tmp_path / "long.csv", b"id\n"), 1 << 40)
    refused(lambda: folder(tmp_path / "set", ids=str(tmp_path / "long.csv")), "Larger than 256 MB")
    packed = put(tmp_path / "ids.csv.gz", gzip.compress(b"id\na/1.png\n"))
    refused(lambda: folder(tmp_path / "set", ids=str(packed)), r"ids\.csv\.gz cannot be read")


@pytest.mark.parametrize(
    ("name", "label", "line"),
    [
        ("/etc/passwd", "1", "leads out of"),
        ("../secret.png", "1", "leads out of"),
        ("a/../../secret.png", "1", "leads out of"),
        ("a.png", "9" * 5000, "give a class index"),
        ("a.png", "-1", "give a class index"),
        ("a.png", "1e3", "give a class index"),
        ("a\x1b.png", "1", "there is no file"),
        ("", "1", "there is no file"),
    ],
)
def test_a_table_of_imagenet_that_leads_elsewhere(tmp_path: Path, name: str, label: str, line: str) -> None:
    put(tmp_path / "secret.png")
    put(tmp_path / "set/a.png")
    with (tmp_path / "set/labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "imagenet_class"], [name, label]])
    refused(lambda: imagenet(tmp_path / "set"), line)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_any_table_of_imagenet_is_one_line(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "set/labels.csv", b"path,imagenet_class\n" + content)
    refused(lambda: imagenet(tmp_path / "set"), r"labels\.csv")
