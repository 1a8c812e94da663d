"""Pictures on the page: small ones stay as they are, all photographs together stay below a limit."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sat_exp.report import atlas


def pictures(folder: Path, count: int, size: int) -> list[Path]:
    rng = np.random.default_rng(0)
    files = [folder / f"{number}.png" for number in range(count)]
    for file in files:
        coarse = Image.fromarray(rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        coarse.resize((size, size)).save(file)
    return files


def test_a_small_picture_is_the_file_itself(tmp_path):
    (file,) = pictures(tmp_path, 1, 32)
    (shown,) = atlas.fitted([file], most=10)
    assert base64.b64decode(shown.removeprefix("data:image/png;base64,")) == file.read_bytes()


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_photographs_fit_into_the_page_and_lose_no_more_than_they_must(tmp_path, share):
    files = pictures(tmp_path, 120, 96)
    best = sum(len(atlas.embedded(file, atlas.QUALITIES[0])) for file in files)
    assert sum(map(len, atlas.fitted(files, most=2 * best))) == best
    fitted = sum(map(len, atlas.fitted(files, most=int(share * best))))
    assert 0.9 * share * best < fitted <= 1.03 * share * best
    first = atlas.fitted(files, most=int(share * best))[0]
    assert Image.open(io.BytesIO(base64.b64decode(first.partition(",")[2]))).size == (96, 96)
