"""Modules that are imported when they are first used, because their import takes seconds."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


class Deferred(ModuleType):
    """Stands for the module of that name. Any thread may be the first to use it."""

    def __getattr__(self, name: str) -> Any:
        if self.__name__ not in sys.modules:
            with uncollected():
                import_module(self.__name__)
        return getattr(import_module(self.__name__), name)  # which waits for another thread that imports it


def deferred(name: str) -> Any:
    return Deferred(name)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection in the body: importing leaves no garbage, but a search for it after every few objects
    takes a second."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
