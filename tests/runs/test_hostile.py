"""A run from other people is read as it is, or refused with one line that states the fault."""

import itertools
import shutil
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from sat_exp import runs, strict_json
from sat_exp.errors import UserError
from sat_exp.runs import manifest, predictions, registry, tables, text
from sat_exp.runs import summary as summaries
from sat_exp.runs.schema import Table

from ..schemas import table_of
from .hostile import PAIRS, SUMMARIES, sealed, summary, value

MODELS = ["fashion_resnet", "vit.in1k", "mixer"]


def pairs() -> pd.DataFrame:
    rates = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]
    names = list(itertools.combinations_with_replacement(MODELS, 2))
    table = pd.DataFrame(names, columns=["model_a", "model_b"]).assign(family_a="one", family_b="two")
    counts = {"images": 100, "fooled_ab": 40, "fooled_ba": 60}
    return table.assign(**counts, **dict.fromkeys(rates, 0.5), sat=np.log(50), sat_low=3.5, sat_high=4.0)


def whole() -> dict:
    models = {name: {"name": name, "family": "one", "classes": 10, "checkpoint": None} for name in MODELS}
    settings = {"seed": 0, "labels": "truth", "protocol": "canvas", "score": {"floor": 0.01, "confidence": 0.95}}
    return {
        "task": "matrix", "name": "some", "title": "Some", "command": "python -m sat_exp",
        "created": "2026-11-23T04:40:12+00:00", "settings": settings, "choices": {"pool": None, "attack": "pgd"},
        "versions": {"torch": "2"}, "hardware": {"machine": "x", "threads": 2}, "class_names": ["a", "b"],
        "models": models, "attack": {"name": "pgd", "epsilon": 8, "steps": 10}, "findings": [], "warnings": ["one"],
        "dataset": {"name": "set", "images": 100, "classes": 10, "digest": "ab"}, "timings": {"attack": 1.5},
    }  # fmt: skip


@pytest.fixture
def measured(tmp_path):
    with runs.drafted(tmp_path / "measured") as place:
        runs.fill(place, whole(), {"pairs": pairs()})
    return tmp_path / "measured"


def one_line(error: pytest.ExceptionInfo[UserError], file: str) -> str:
    told = str(error.value)
    assert told.isprintable()
    assert f"/run/{file}" in told or file in told
    return told


def test_what_this_program_writes_is_read(measured):
    run = runs.Run.open(measured)
    assert run.summary == whole()
    pd.testing.assert_frame_equal(run.tables()["pairs"], pairs())
    run.require("settings.score.floor", "dataset.digest")
    with pytest.raises(UserError, match=r"summary\.json has no settings\.hardware\.tf32: run its command again"):
        run.require("settings.labels", "settings.hardware.tf32")


@pytest.mark.parametrize("change", SUMMARIES.values(), ids=SUMMARIES)
def test_a_summary_that_is_none_is_refused(measured, tmp_path, change):
    with pytest.raises(UserError) as error:
        runs.Run.open(sealed(measured, tmp_path / "run", change))
    assert one_line(error, "summary.json").endswith("run its command again")


WRONG = [None, True, 3, -2.5, "word", "", [], ["a"], [1], {}, {"a": 1}, {"a": {"b": []}}]


@pytest.mark.parametrize("field", sorted(whole()))
def test_every_field_has_a_type(field):
    """Of all JSON values only those of its type stand in a field; what is refused names it."""
    said = []
    for wrong in WRONG:
        content = strict_json.dumps(whole() | {field: wrong}).encode()
        try:
            assert summaries.decoded(content)[field] == wrong
        except ValueError as error:
            said.append(str(error))
    assert len(said) >= 6
    assert all(f"has a bad {field}" in line and line.isprintable() for line in said)


@pytest.mark.parametrize("change", PAIRS.values(), ids=PAIRS)
def test_pairs_that_are_none_are_refused(measured, tmp_path, change):
    folder = sealed(measured, tmp_path / "run", change)
    with pytest.raises(UserError) as error:
        runs.Run.open(folder).table("pairs")
    assert one_line(error, "tables/pairs.parquet").endswith("run its command again")


def test_the_floor_is_the_runs_own(measured, tmp_path):
    low = value("pairs", "sat", -4.7)
    folder = sealed(measured, tmp_path / "run", low, summary(settings__score__floor=0.001))
    assert runs.Run.open(folder).tables()["pairs"]["sat"].min() == -4.7


def test_tables_that_are_drawn_with_others_do_not_come_alone(measured, tmp_path):
    def change(folder):
        table_of("cluster_stability").to_parquet(folder / "tables/cluster_stability.parquet")

    with pytest.raises(UserError, match="has tables/cluster_stability without tables/pairs_without_hubs"):
        runs.Run.open(sealed(measured, tmp_path / "run", change)).tables()


def test_a_table_is_called_by_a_word(measured, tmp_path):
    for name in ("a b", "<b>", "\x1b[2J", "a" * 101):
        folder = sealed(
            measured, tmp_path / "run", lambda folder, name=name: pairs().to_parquet(folder / f"tables/{name}.parquet")
        )
        with pytest.raises(UserError, match=r"manifest\.json is damaged"):
            runs.Run.open(folder)
        shutil.rmtree(folder)


def first_fault(schema: Table, table: pd.DataFrame, floor: float = -5) -> str:
    return next(tables.faults(schema, table, floor), "")


SCHEMAS = [(name, column) for name, table in registry.tables().items() for column in table.columns]


@pytest.mark.parametrize(("name", "column"), SCHEMAS, ids=map("-".join, SCHEMAS))
def test_every_column_is_checked(name, column):
    """Missing, of another type, and out of range; a sound table has no fault."""
    schema, table, floor = registry.table(name), table_of(name), float(np.log(0.01))
    kind = schema.columns[column]
    assert first_fault(schema, table, floor) == ""
    wrong = {"text": [1, 2, 3], "number": ["a", "b", "c"], "flag": [0.5, 1, 0]}[kind.type]
    assert column in first_fault(schema, table.assign(**{column: wrong}), floor)
    if not kind.optional:
        assert f"no column {column}" == first_fault(schema, table.drop(columns=column), floor)
    if kind.type == "number":
        low = floor if kind.sat else kind.low
        outside = [np.inf, -np.inf, *([kind.high + 0.01] if np.isfinite(kind.high) else [])]
        outside += [low - 0.01] if np.isfinite(low) else []
        for number in outside:
            assert f"a bad {column}" in first_fault(schema, table.assign(**{column: [1, 1, number]}), floor)
    if kind.name:
        for bad in ("", " ", "a\nb", "\x9b31m", "a" * 301):
            assert f"a bad {column}" in first_fault(schema, table.assign(**{column: ["a", "b", bad]}), floor)
    if kind.required:
        missing = table[column].astype(object).where([True, False, True])
        missing = pd.to_numeric(missing) if kind.type == "number" else missing
        assert column in first_fault(schema, table.assign(**{column: missing}), floor)


@pytest.mark.parametrize("name", [name for name, table in registry.tables().items() if table.unique])
def test_no_row_is_there_twice(name):
    schema, table = registry.table(name), table_of(name)
    twice = pd.concat([table, table.iloc[[0]]], ignore_index=True)
    assert first_fault(schema, twice).endswith("twice")
    if {"model_a", "model_b"} <= set(schema.unique):
        table = table.assign(model_b="b")
        turned = table.rename(columns={"model_a": "model_b", "model_b": "model_a"}).iloc[[0]]
        assert first_fault(schema, pd.concat([table, turned], ignore_index=True)).endswith("twice")


@pytest.mark.parametrize("name", [name for name, table in registry.tables().items() if table.least_rows])
def test_an_analysis_has_rows_for_three_models(name):
    few = table_of(name, registry.table(name).least_rows - 1)
    assert first_fault(registry.table(name), few) == "2 rows, where 3 are the least"


WRITTEN = {
    "no schema": ({"mine": pd.DataFrame({"a": [1]})}, "tables/mine has no schema"),
    "a column too many": ({"models": table_of("models", mine=1)}, "models has a column mine that its schema does not"),
    "a column missing": ({"models": table_of("models").drop(columns="images")}, "tables/models has no column images"),
    "a rate above 1": ({"models": table_of("models", changed_pixels=2)}, "a bad changed_pixels: 2 is not from 0 to 1"),
    "another table missing": ({"pickers": table_of("pickers")}, "a run has tables/pickers without tables/by_pair"),
}


@pytest.mark.parametrize(("written", "message"), WRITTEN.values(), ids=WRITTEN)
def test_a_mistake_in_a_table_is_noticed_when_it_is_written(tmp_path, written, message):
    with pytest.raises(ValueError, match=message), runs.drafted(tmp_path) as place:
        runs.fill(place, {}, written)
    assert not (tmp_path / "tables").exists()


def test_a_page_of_parquet_is_summed(tmp_path):
    """A bit in the values of a table is noticed though nothing else is known of it."""
    table = pd.DataFrame({"number": np.random.default_rng(0).random(2000)})
    tables.write(table, tmp_path / "table.parquet")
    content = bytearray((tmp_path / "table.parquet").read_bytes())
    content[4000] ^= 1
    with pytest.raises(ValueError, match="is no table"):
        tables.decoded(bytes(content))


BOMBS = {
    "rows": pa.table(
        {"a": pa.array(np.zeros(tables.MOST_CELLS // 2 + 1, bool)), "b": pa.nulls(tables.MOST_CELLS // 2 + 1)}
    ),
    "columns": pa.table({f"c{number}": [0] for number in range(tables.MOST_COLUMNS + 1)}),
    "a long text often": pa.table({"a": pa.array(["a" * (text.LONGEST + 1)] * 1000)}),
    "lists": pa.table({"a": [[1]]}),
    "bytes": pa.table({"a": [b"a"]}),
    "dates": pa.table({"a": pa.array([0], pa.timestamp("s"))}),
    "a column without a name": pa.table({"": [1]}),
    "a column that a terminal obeys": pa.table({"\x1b[2J": [1]}),
    "a text that a terminal obeys": pa.table({"a": ["\x1b[2J"]}),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_what_is_no_table_that_can_be_read_is_refused(tmp_path, bomb):
    parquet.write_table(bomb, tmp_path / "bomb.parquet", compression="zstd")
    content = (tmp_path / "bomb.parquet").read_bytes()
    assert len(content) < 2_000_000
    with pytest.raises(ValueError, match=r"^(has|is too large)") as error:
        tables.decoded(content)
    assert str(error.value).isprintable()


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(f"{name}.npy", content)


def array(shape: tuple[int, ...], content: bytes, descr: str = "<i4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


ARCHIVES = {
    "an array larger than it is": array((1 << 40,), b"\0" * 64),
    "an array smaller than it is": array((2,), b"\0" * 64),
    "a size below 0": array((-1,), b"\0" * 64),
    "texts of no length": array((1 << 30,), b"", "<U0"),
    "numbers of nothing": array((5,), b"\0" * 20),
    "objects": array((1,), b"\x80\x04N.", "|O"),
    "no array": b"no array",
    "nested": b"\x93NUMPY\x01\x00\x88\x13" + b"(" * 5000,
    "nothing": b"",
}


@pytest.mark.parametrize("content", ARCHIVES.values(), ids=ARCHIVES)
@pytest.mark.parametrize("part", [*predictions.PARTS, predictions.GOALS])
def test_an_archive_that_was_made_to_harm_is_refused(measured, tmp_path, part, content):
    path = tmp_path / "predictions.npz"
    clean = {name: np.arange(4, dtype=np.int32) for name in MODELS}
    predictions.write(runs.Predictions(MODELS, None, clean, {}), path)
    with zipfile.ZipFile(path) as packed:
        members = {name.removesuffix(".npy"): packed.read(name) for name in packed.namelist()}
    archive(path, **members)
    assert predictions.read(path.read_bytes(), str(path)).names == MODELS
    archive(path, **members | {part: content})
    with pytest.raises(UserError, match="holds no predictions of a run: run its command again"):
        predictions.read(path.read_bytes(), str(path))


def test_an_archive_larger_than_any_predictions_is_refused(tmp_path, monkeypatch):
    clean = {name: np.zeros(10_000, np.int32) for name in MODELS}
    predictions.write(runs.Predictions(MODELS, None, clean, {}), tmp_path / "predictions.npz")
    monkeypatch.setattr(predictions, "MOST", 100_000)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(UserError, match="holds no predictions of a run"):
        predictions.read((tmp_path / "predictions.npz").read_bytes(), "predictions.npz")


@pytest.mark.parametrize("file", ["manifest.json", "summary.json", "tables/pairs.parquet", ".hydra/overrides.yaml"])
@pytest.mark.parametrize("kind", ["pipe", "device", "loop"])
def test_no_file_of_a_run_is_waited_for(measured, file, kind):
    path = measured / file
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    made = {
        "pipe": lambda: manifest.os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "loop": lambda: path.symlink_to(path),
    }
    made[kind]()
    if file == ".hydra/overrides.yaml":
        (measured / "summary.json").unlink()
    why = {"pipe": "Not a regular file", "device": "Not a regular file", "loop": "Too many levels of symbolic links"}
    expected = "is missing" if file == ".hydra/overrides.yaml" else rf"{file} cannot be read \({why[kind]}\)"
    with pytest.raises(UserError, match=rf"{expected}: run its command again$"):
        runs.Run.open(measured)


TYPED = {
    "aliases": b"- &a [x, x]\n- &b [*a, *a]\n" + b"".join(
        b"- &%c [*%c, *%c]\n" % (name + 1, name, name) for name in range(98, 121)
    ),
    "deep": b"[" * 20_000,
    "a terminal's": b'- "\\e[2Ja=b"\n',
    "a mapping": b"a: b\n",
    "numbers": b"- 1\n",
    "an object": b"!!python/object/apply:os.system [ls]\n",
    "large": b"- a\n" * 30_000,
}  # fmt: skip


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED)
def test_what_was_typed_for_a_run_is_told_only_where_it_is_plain(measured, typed):
    (measured / ".hydra").mkdir()
    (measured / ".hydra/overrides.yaml").write_bytes(typed)
    (measured / "summary.json").write_bytes(b"damage")
    with pytest.raises(UserError, match=r"summary\.json is damaged: run its command again$"):
        runs.Run.open(measured)


def test_what_a_terminal_obeys_is_taken_out_of_what_is_written(tmp_path):
    bad = "\x1b[31mred\x1b[0m\x07 \x9b2J \N{RIGHT-TO-LEFT OVERRIDE}txt \r\nnext\tline"
    kept = "�[31mred�[0m� �2J �txt �\nnext\tline"
    with runs.drafted(tmp_path) as place:
        failures = table_of("components", 1, text=bad, number=[1.5], count=pd.array([None], "Int64"))
        runs.fill(place, {"warnings": [bad], "timings": {"a": 1.5}}, {"components": failures})
    run = runs.Run.open(tmp_path)
    assert run.summary == {"warnings": [kept], "timings": {"a": 1.5}}
    found = run.tables()["components"]
    pd.testing.assert_frame_equal(found, failures.assign(text=[kept]))
    assert kept in (tmp_path / "tables/components.csv").read_text()
