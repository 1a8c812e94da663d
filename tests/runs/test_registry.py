"""Studies register themselves: their tables and figures are listed without a heavy import."""

import subprocess
import sys
from types import MappingProxyType

import pytest

from sat_exp import plugins
from sat_exp.errors import UserError
from sat_exp.runs import registry
from sat_exp.runs.registry import Study
from sat_exp.runs.schema import Table, columns

MINE = Study("mine", "what is mine", MappingProxyType({"my_table": Table(columns(name="model"))}))


@pytest.fixture
def with_plugins(monkeypatch):
    """A function that installs studies as plug-ins do."""

    def install(*studies: Study) -> None:
        known = {study.name: study for study in studies}
        monkeypatch.setattr(plugins, "loaded", lambda group, kind=None: known if group == "sat_exp.studies" else {})
        forget()

    def forget():
        registry.studies.cache_clear()
        registry.tables.cache_clear()

    yield install
    monkeypatch.undo()
    forget()


def test_every_study_has_a_question_and_figures_that_can_be_imported():
    for study in registry.studies():
        assert study.question
        assert callable(study.drawer())


def test_the_registry_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys; from sat_exp.runs import registry; assert registry.tables(); "
        "print({'torch', 'matplotlib'} & set(sys.modules))"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout == "set()\n"


def test_a_study_of_a_plugin_is_one_of_them(with_plugins):
    with_plugins(MINE)
    assert registry.studies()[-1] is MINE
    assert registry.table("my_table") is MINE.tables["my_table"]
    assert registry.table("unheard_of") == Table({}, open=True)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (Study("analyze", "", {}), "two studies are called analyze: remove one of the plug-ins"),
        (Study("mine", "", {"pairs": Table({})}), "the study mine and a measurement both state a table pairs"),
        (Study("mine", "", {"hubs": Table({})}), "the study mine and the study analyze both state a table hubs"),
    ],
)
def test_names_are_used_once(with_plugins, study, message):
    with_plugins(study)
    with pytest.raises(UserError, match=message):
        registry.studies()


def test_columns_that_a_schema_refers_to_are_its_own():
    for name, table in registry.tables().items():
        named = {*table.unique, *table.coloured, *(column for pair in table.at_most for column in pair)}
        assert named <= set(table.columns), name
        assert set(table.requires) <= set(registry.tables()), name
