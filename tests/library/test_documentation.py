"""The examples in docstrings and in the notebook run as written."""

import doctest
from importlib import import_module
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

import sat_exp

NOTEBOOK = Path(__file__).parents[2] / "docs" / "library.ipynb"


@pytest.mark.parametrize("name", ["sat_exp", "sat_exp.library.measure", "sat_exp.library.wrapping"])
def test_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = import_module(name)
    assert isinstance(module, ModuleType)
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


def test_the_notebook_runs_and_holds_no_outputs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output.get("data", {}) for cell in code for output in cell.outputs]
    assert any("image/png" in data for data in shown), "the figure"
    assert any("<table" in data.get("text/html", "") for data in shown), "the matrix"
    assert (tmp_path / "out" / "report.html").is_file()


def test_every_public_name_is_found_and_listed() -> None:
    assert {*sat_exp.PLACES, "__version__"} == set(dir(sat_exp))
    assert set(sat_exp.__all__) == set(sat_exp.PLACES)
    for name in sat_exp.__all__:
        assert getattr(sat_exp, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = sat_exp.nothing
    assert (Path(sat_exp.__file__).parent / "py.typed").is_file()
