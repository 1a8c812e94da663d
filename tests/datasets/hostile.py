"""Helpers for the tests of hostile data sets."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sat_exp.datasets import Folder, ImageNet, ImageSet
from sat_exp.errors import UserError

TENCH = "n01440764"


def encoded(size: tuple[int, int] = (30, 20), kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


def put(path: Path, content: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded() if content is None else content)
    return path


def folder(root: Path, **options: Any) -> ImageSet:
    return Folder(str(root), None, 0, **options).images


def imagenet(root: Path) -> ImageSet:
    return ImageNet(str(root), None, 0).images


def read_all(images: ImageSet) -> None:
    for index in range(len(images)):
        images.contents(index)
        images.read(index)


def harmless(act: Any) -> None:
    """Do something that may succeed, or be refused in one line."""
    try:
        act()
    except UserError as error:
        message = str(error)
    else:
        message = ""
    assert not message or message.isprintable()


def refused(act: Any, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        act()
    assert str(caught.value).isprintable()


def listing(path: Path) -> dict[str, Any]:
    return {str(each.relative_to(path)): each.stat().st_mtime_ns for each in path.rglob("*")}
