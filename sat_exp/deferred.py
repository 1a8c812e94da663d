"""Modules that are imported when they are first used, because their import takes seconds."""

from importlib import import_module
from types import ModuleType
from typing import Any


class Deferred(ModuleType):
    """Stands for the module of that name. Any thread may be the first to use it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def deferred(name: str) -> Any:
    return Deferred(name)
