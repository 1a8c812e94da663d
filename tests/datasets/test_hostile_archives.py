"""Tar files, devkits and packed numbers that try to hang, to fill the memory or to write elsewhere: each is refused in
one line.
"""

import gzip
import io
import os
import pickle
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from sat_exp.datasets import FashionMNIST, ImageSet
from sat_exp.datasets import imagenet as layouts

from .hostile import TENCH, encoded, imagenet, listing, put, read_all, refused

pytestmark = pytest.mark.timeout(60)


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for member, content in members:
            member.size = member.size or len(content)
            archive.addfile(member, io.BytesIO(content) if content else None)
    return path


@pytest.mark.parametrize("name", [f"/tmp/{TENCH}/1.jpg", f"{TENCH}/1.jpg", f"a/./b/{TENCH}/1.jpg"])
def test_members_of_a_tar_are_read_and_never_unpacked(tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / "set.tar", (tarfile.TarInfo(name), encoded(kind="JPEG")))
    before = listing(tmp_path)
    images = imagenet(path)
    read_all(images)
    assert images.ids == (f"{TENCH}/1.jpg",)
    assert listing(tmp_path) == before


def test_members_that_are_no_files_or_lead_out_of_a_tar_are_passed_over(tmp_path: Path) -> None:
    members = [(tarfile.TarInfo(f"../{TENCH}/2.jpg"), encoded()), (tarfile.TarInfo(f"{TENCH}/1.jpg"), encoded())]
    for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)):
        member = tarfile.TarInfo(f"{TENCH}/link{number}.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        members.append((member, b""))
    assert imagenet(tar(tmp_path / "set.tar", *members)).ids == (f"{TENCH}/1.jpg",)


def test_a_member_that_says_it_is_larger_than_the_tar(tmp_path: Path) -> None:
    member = tarfile.TarInfo(f"{TENCH}/1.jpg")
    member.size = 1 << 40
    (tmp_path / "set.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + encoded() + bytes(10240))
    refused(lambda: read_all(imagenet(tmp_path / "set.tar")), r"set\.tar")


def test_a_sparse_member_is_not_filled(tmp_path: Path) -> None:
    """A hole of a tebibyte in a member of a few bytes, as GNU tar writes it."""
    member = tarfile.TarInfo(f"{TENCH}/1.jpg")
    member.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,4",
                          "GNU.sparse.size": str(1 << 40)}  # fmt: skip
    with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member.size = 4
        archive.addfile(member, io.BytesIO(b"abcd"))
    refused(lambda: read_all(imagenet(tmp_path / "set.tar")), "is larger than .*: take it out|set.tar")


def test_tars_in_tars_in_tars(tmp_path: Path) -> None:
    content = encoded()
    for _ in range(60):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo("a.tar")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        content = buffer.getvalue()
    (tmp_path / "set.tar").write_bytes(content)
    refused(lambda: imagenet(tmp_path / "set.tar"), r"set\.tar")


def test_a_pickle_beside_a_tar_is_not_read(tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    tar(tmp_path / "set.tar", (tarfile.TarInfo(f"{TENCH}/1.jpg"), encoded(kind="JPEG")))
    for name in ("_set_tarinfos.pickle", "set_tarinfos.pickle", "_tarinfos.pickle"):
        (tmp_path / name).write_bytes(pickle.dumps(Canary()))
    read_all(imagenet(tmp_path / "set.tar"))
    assert not (tmp_path / "made").exists()


def devkit(root: Path, meta: bytes, truth: bytes = b"1\n") -> Path:
    put(root / "ILSVRC2012_val_00000001.JPEG", encoded(kind="JPEG"))
    put(root / "data" / layouts.TRUTH, truth)
    put(root / "data" / layouts.META, meta)
    return root


def matlab(**values: Any) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, values, do_compression=True)
    return buffer.getvalue()


SYNSETS = np.array([(1, TENCH)], dtype=[("ILSVRC2012_ID", "i4"), ("WNID", "U9")])


def test_a_devkit_that_is_sound(tmp_path: Path) -> None:
    assert imagenet(devkit(tmp_path, matlab(synsets=SYNSETS))).labels.tolist() == [0]  # type: ignore[union-attr]


def test_a_matlab_file_that_would_fill_the_memory(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(1 << 28))
    for order, mark in (("<", b"\0\x01IM"), (">", b"\x01\0MI")):
        meta = bytes(124) + mark + struct.pack(f"{order}II", 15, len(bomb)) + bomb
        refused(lambda meta=meta: imagenet(devkit(tmp_path, meta)), r"cannot be read \(it is larger than allowed\)")


def test_a_packed_devkit_that_would_fill_the_memory(tmp_path: Path) -> None:
    put(tmp_path / "ILSVRC2012_val_00000001.JPEG", encoded(kind="JPEG"))
    put(tmp_path / f"{layouts.DEVKIT}.tar.gz", gzip.compress(bytes(1 << 28), 1))
    refused(lambda: imagenet(tmp_path), r"tar\.gz cannot be read \(.*Larger than 64 MB")


@pytest.mark.parametrize(
    "meta", [b"", b"text" * 100, bytes(1000), matlab(synsets=SYNSETS)[:200], matlab(other=SYNSETS)]
)
def test_a_damaged_matlab_file(tmp_path: Path, meta: bytes) -> None:
    refused(lambda: imagenet(devkit(tmp_path, meta)), r"ground_truth\.txt cannot be read .*: fetch it again")


def idx(values: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def fashion(root: Path, pixels: bytes, labels: bytes) -> ImageSet:
    put(root / "t10k-images-idx3-ubyte.gz", gzip.compress(pixels, 1))
    put(root / "t10k-labels-idx1-ubyte.gz", gzip.compress(labels, 1))
    return FashionMNIST(str(root), None, 0).images


PIXELS, LABELS = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (idx(PIXELS), idx(LABELS + 8)),
        (idx(PIXELS), idx(LABELS[:2])),
        (idx(PIXELS[:, :20]), idx(LABELS)),
        (idx(PIXELS), idx(LABELS[:, None])),
        (idx(PIXELS)[:-1], idx(LABELS)),
        (b"\0\0\x08\x03" + b"\xff" * 12, idx(LABELS)),
        (bytes(1 << 27), idx(LABELS)),
        (b"", b""),
    ],
)
def test_files_that_are_not_fashion_mnists(tmp_path: Path, pixels: bytes, labels: bytes) -> None:
    assert len(fashion(tmp_path, idx(PIXELS), idx(LABELS))) == 3
    refused(lambda: fashion(tmp_path, pixels, labels), "fetch (it|them) again")
