"""A deferred module is imported at its first use, by one of the threads that use it, and garbage is collected again."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sat_exp.deferred import deferred, uncollected


def test_a_module_is_imported_once_at_its_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(0.2)\nvalue = object()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = deferred("slow_module")
    assert "slow_module" not in sys.modules
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda number: module.value, range(4)))
    assert len(found) == 1
    assert found == {sys.modules["slow_module"].value}
    with pytest.raises(AttributeError, match="missing"):
        _ = module.missing


def test_a_module_that_is_not_there_is_an_error_at_its_first_use() -> None:
    module = deferred("no_such_module")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        _ = module.anything


@pytest.mark.parametrize("before", [True, False])
def test_collection_of_garbage_is_as_before_after_an_error_too(before: bool) -> None:
    (gc.enable if before else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError), uncollected():
            _ = 1 / gc.isenabled()
        assert gc.isenabled() == before
    finally:
        gc.enable()
