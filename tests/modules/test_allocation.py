"""Memory that a process frees and needs again."""

import ctypes
import subprocess
import sys

import pytest

from sat_exp.modules import allocation

FAULTS = """
import resource
import torch
from sat_exp.modules.hardware import Hardware
Hardware("cpu", "32-true", 8, threads=1, workers=1)
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 64 << 20 >> 12


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_freed_memory_is_used_again_without_new_pages() -> None:
    command = [sys.executable, "-c", FAULTS]
    faults = [int(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
    assert faults[0] > PAGES / 2
    assert min(faults[2:]) < PAGES / 20


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_other_c_libraries_stay_as_they_are(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: None) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not allocation.keep_freed_memory()
