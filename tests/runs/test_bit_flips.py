"""One bit is flipped in each kind of file of a run: a reader gets the same numbers, or one line that states the fault.

Without the manifest, or with a manifest that matches the damage, a flipped file may be another sound file. It is then
read as such, or refused with one line. No other exception is raised.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp import runs, strict_json
from sat_exp.errors import UserError
from sat_exp.runs import tables
from sat_exp.runs.manifest import Manifest

from ..flipping import flips
from .test_hostile import pairs, whole

FLIPS = 1500
FEW = 40
KINDS = [
    *("manifest.json", "summary.json", "tables/pairs.parquet", "tables/pairs.csv", "predictions.npz"),
    *("figures/matrix.png", "figures/matrix.svg", "figures/matrix.csv", "examples/0/clean.png", "report.html"),
]
BESIDE = [".hydra/overrides.yaml", ".hydra/config.yaml", "tracking.json"]
"""What no reader takes numbers from."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with a file of every kind."""
    rng = np.random.default_rng(0)
    names = sorted({*pairs()["model_a"]})
    clean = {name: rng.integers(0, 10, 100).astype(np.int32) for name in names}
    ways = {(a, b): rng.integers(0, 10, 100).astype(np.int32) for a in names for b in names}
    known = runs.Predictions(names, rng.integers(0, 10, 100), clean, ways, {way: clean[way[1]] for way in ways})
    table = pairs()
    table["sat"] = np.log(100 * rng.uniform(0.05, 0.95, len(table)))
    place = tmp_path / "run"
    with runs.drafted(place) as draft:
        picture = {"examples/0/clean.png": rng.integers(0, 256, (3, 24, 24), np.uint8)}
        runs.fill(draft, whole(), {"pairs": table}, picture, known)
        (draft / "figures").mkdir()
        (draft / "figures/matrix.png").write_bytes((draft / "examples/0/clean.png").read_bytes())
        (draft / "figures/matrix.svg").write_text("<svg>" + "<text>3.14</text>" * 20 + "</svg>")
        table.to_csv(draft / "figures/matrix.csv")
        (draft / "report.html").write_text("<p>3.14</p>" * 20)
    (place / ".hydra").mkdir()
    (place / ".hydra/overrides.yaml").write_text("- task=matrix\n- 'pool.models=[a,b]'\n")
    (place / ".hydra/config.yaml").write_text("seed: 0\n")
    (place / "tracking.json").write_text('{"id": "ab12"}')
    return place


def everything(folder: Path) -> dict[str, Any]:
    """All that can be read of a run."""
    run = runs.Run.open(folder)
    known = run.predictions()
    assert known is not None
    answers = [known.labels, *known.clean.values(), *known.adversarial.values(), *known.reference.values()]
    return {
        "summary": run.summary,
        "pairs": run.tables()["pairs"].to_dict("list"),
        "predictions": [known.names, *(part.tolist() for part in answers if part is not None)],
        "files": [run.content(name) for name in run.files],
    }


def outcome(use: Callable[[], Any], sound: Any) -> str:
    try:
        found = use()
    except UserError as error:
        told = str(error)
    else:
        return "the same" if found == sound else "other"
    assert told.isprintable(), told
    return "one line"


def counted(folder: Path, kind: str, count: int) -> Counter[str]:
    sound, path = everything(folder), folder / kind
    content, found = path.read_bytes(), Counter[str]()
    for changed in flips(content, count, kind):
        path.write_bytes(changed)
        found[outcome(lambda: everything(folder), sound)] += 1
    path.write_bytes(content)
    assert everything(folder) == sound
    return found


COUNTS = [pytest.param(FEW, id="few"), pytest.param(FLIPS, id="all", marks=pytest.mark.faults)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_one_line(folder, record_property, kind, count):
    found = counted(folder, kind, count)
    record_property("outcomes", dict(found))
    print(f"{kind}: {dict(found)}")
    assert set(found) == {"one line"}


@pytest.mark.parametrize("kind", BESIDE)
def test_what_lies_beside_the_results_changes_none(folder, kind):
    assert set(counted(folder, kind, FLIPS)) == {"the same"}


@pytest.mark.parametrize("kind", BESIDE[:1])
def test_what_was_typed_may_be_damaged_where_it_is_told(folder, kind):
    (folder / "summary.json").write_bytes(b"damage")
    for changed in flips((folder / kind).read_bytes(), FLIPS, kind):
        (folder / kind).write_bytes(changed)
        with pytest.raises(UserError, match=r"summary\.json is damaged: run its command again") as error:
            runs.Run.open(folder)
        assert str(error.value).isprintable()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["summary.json", "tables/pairs.parquet", "predictions.npz"])
def test_a_flipped_bit_that_the_manifest_fits_raises_nothing_else(folder, record_property, kind, count):
    """The run is then another one: sound by all that is known of it, or refused."""
    sound, path = everything(folder), folder / kind
    manifest = Manifest.read(folder)
    assert manifest is not None
    found = Counter[str]()
    for changed in flips(path.read_bytes(), count, kind):
        path.write_bytes(changed)
        runs.seal(folder)
        found[outcome(lambda: {**everything(folder), "files": sound["files"]}, sound)] += 1
    record_property("outcomes", dict(found))
    print(f"{kind}, its manifest made to fit: {dict(found)}")
    assert found["one line"] > count / 5


@pytest.mark.parametrize("count", COUNTS)
def test_values_of_a_table_without_a_manifest_are_the_same_or_refused(folder, record_property, count):
    """Pages are summed: a flip is noticed wherever values lie."""
    path = folder / "tables/pairs.parquet"
    content, found = path.read_bytes(), Counter[str]()
    sound = tables.decoded(content)
    for changed in flips(content, count, "a table alone"):
        try:
            read = tables.decoded(changed)
        except ValueError as error:
            found["one line" if str(error).isprintable() else "lines"] += 1
            continue
        found["the same" if [*read.to_dict("list").values()] == [*sound.to_dict("list").values()] else "other"] += 1
    record_property("outcomes", dict(found))
    print(f"a table alone: {dict(found)}")
    assert set(found) == {"one line", "the same"}


def test_a_manifest_has_one_form():
    """What it says twice or in other words is damage, whatever JSON allows."""
    assert strict_json.loads(b'{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="a name twice"):
        strict_json.loads(b'{"a": 1, "a": 1}')
