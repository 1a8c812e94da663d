"""Hugging Face data sets that try to run code, to hang or to read other files: each is refused with one line."""

import json
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from sat_exp.datasets import HuggingFace, ImageSet

from .hostile import encoded, harmless, imagenet, listing, put, read_all, refused

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def datasets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    return library


def faces(root: Path) -> ImageSet:
    return HuggingFace(str(root), None, 0).images


def rows(datasets: Any, labels: Any = None, kind: Any = None, **cell: Any) -> Any:
    columns = {"image": [{"bytes": None, "path": None} | cell]}
    features = {"image": datasets.Image()}
    if labels is not None:
        columns["label"], features["label"] = labels, kind
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


SCRIPT = """
import os
os.mkdir({made!r})
import datasets
class Set(datasets.GeneratorBasedBuilder):
    def _info(self):
        os.mkdir({made!r})
"""


@pytest.mark.parametrize("name", ["set.py", "dataset.py", "__init__.py", "conftest.py", "sitecustomize.py"])
@pytest.mark.parametrize("pictures", [True, False])
def test_a_script_in_a_folder_is_not_run(tmp_path: Path, datasets: Any, name: str, pictures: bool) -> None:
    made = tmp_path / "made"
    put(tmp_path / "set" / name, SCRIPT.format(made=str(made)).encode())
    put(tmp_path / "set/README.md", b"---\nconfigs:\n- config_name: default\n  trust_remote_code: true\n---\n")
    if pictures:
        put(tmp_path / "set/test/a/1.png")
    harmless(lambda: read_all(faces(tmp_path / "set")))
    refused(lambda: imagenet(tmp_path / "set"), "set")
    assert not made.exists()


@pytest.mark.parametrize(
    "place", ["/etc/passwd", "../../secret.csv", "https://127.0.0.1:9/a.parquet", "../secret.parquet"]
)
def test_a_description_of_files_elsewhere(tmp_path: Path, datasets: Any, place: str) -> None:
    rows(datasets, bytes=encoded()).to_parquet(tmp_path / "secret.parquet")
    put(tmp_path / "secret.csv", b"image\n1\n")
    put(tmp_path / "set/README.md", f"---\nconfigs:\n- config_name: default\n  data_files: {place}\n---\n".encode())
    rows(datasets, bytes=encoded()).to_parquet(tmp_path / "set/test.parquet")
    refused(lambda: faces(tmp_path / "set"), "set cannot be loaded")


@pytest.mark.parametrize("file", ["a.csv", "a.pkl", "a.txt", "a.h5", "a.xml"])
def test_formats_without_images(tmp_path: Path, datasets: Any, file: str) -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    put(tmp_path / "set" / file, pickle.dumps(Canary()) if file == "a.pkl" else b"a,b\n1,2\n")
    refused(lambda: faces(tmp_path / "set"), "cannot be loaded|no split")
    assert not (tmp_path / "made").exists()


def test_a_picture_elsewhere_is_not_read(tmp_path: Path, datasets: Any) -> None:
    put(tmp_path / "secret.png")
    for number, path in enumerate([str(tmp_path / "secret.png"), "/etc/passwd", "https://127.0.0.1:9/a.png", ""]):
        root = tmp_path / f"set{number}"
        root.mkdir()
        parquet.write_table(rows(datasets, path=path).data.table, root / "test.parquet")
        refused(lambda root=root: read_all(faces(root)), "row 0 of set. has no picture in")


def test_a_saved_set_whose_files_are_elsewhere(tmp_path: Path, datasets: Any) -> None:
    rows(datasets, bytes=encoded()).save_to_disk(tmp_path / "secret")
    rows(datasets, bytes=encoded()).save_to_disk(tmp_path / "set")
    state = json.loads((tmp_path / "set/state.json").read_text())
    (name,) = state["_data_files"]
    state["_data_files"] = [{"filename": f"../secret/{name['filename']}"}]
    (tmp_path / "set/state.json").write_text(json.dumps(state))
    refused(lambda: faces(tmp_path / "set"), "it describes .*which is not in it")


@pytest.mark.parametrize("format_type", ["torch", "jax", "custom", "os.system"])
def test_a_saved_set_cannot_choose_how_it_is_read(tmp_path: Path, datasets: Any, format_type: str) -> None:
    rows(datasets, bytes=encoded()).save_to_disk(tmp_path / "set")
    state = json.loads((tmp_path / "set/state.json").read_text()) | {"_format_type": format_type}
    (tmp_path / "set/state.json").write_text(json.dumps(state))
    harmless(lambda: read_all(faces(tmp_path / "set")))


@pytest.mark.parametrize(
    ("label", "kind"),
    [(2**40, "int64"), (None, "int64"), (None, "string"), ([1], "list"), (7, "class")],
)
def test_labels_that_are_no_classes(tmp_path: Path, datasets: Any, label: Any, kind: str) -> None:
    types = {"list": datasets.Sequence(datasets.Value("int64")), "class": datasets.ClassLabel(num_classes=8)}
    data = rows(datasets, [label], types.get(kind) or datasets.Value(kind), bytes=encoded())
    if kind == "class":
        data.info.features["label"]._int2str = ["a"]
        data.info.features["label"].names = ["a"]
    data.save_to_disk(tmp_path / "set")
    refused(lambda: faces(tmp_path / "set"), "the column label holds")


@pytest.mark.parametrize("name", ["test.parquet", "README.md", "dataset_infos.json", "state.json", "test/a/1.png"])
def test_a_pipe_in_a_set_is_not_read(tmp_path: Path, datasets: Any, name: str) -> None:
    put(tmp_path / "set/test/a/2.png")
    (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / "set" / name)
    refused(lambda: faces(tmp_path / "set"), "is no file: take it out")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"text"])
@pytest.mark.parametrize("name", ["test.parquet", "state.json", "dataset_dict.json", "README.md"])
def test_damaged_files_of_a_set(tmp_path: Path, datasets: Any, name: str, content: bytes) -> None:
    put(tmp_path / "set" / name, content)
    refused(lambda: faces(tmp_path / "set"), "set")


@pytest.mark.parametrize("layout", ["saved", "parquet", "pictures"])
def test_nothing_is_written_into_a_set(tmp_path: Path, datasets: Any, layout: str) -> None:
    data = rows(datasets, ["b"], datasets.Value("string"), bytes=encoded())
    (tmp_path / "set").mkdir()
    if layout == "saved":
        data.save_to_disk(tmp_path / "set")
    elif layout == "parquet":
        data.to_parquet(tmp_path / "set/test.parquet")
    else:
        put(tmp_path / "set/test/b/1.png")
    before = listing(tmp_path / "set")
    read_all(faces(tmp_path / "set"))
    assert listing(tmp_path / "set") == before


def test_many_names_of_classes_are_read_in_time(tmp_path: Path, datasets: Any) -> None:
    number = 20_000
    names = [f"kind {index}" for index in range(number)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    columns = {"image": [{"bytes": b"", "path": None}] * number, "label": names}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "set")
    before = time.process_time()
    assert len(faces(tmp_path / "set").class_names) == number
    assert time.process_time() - before < 20
