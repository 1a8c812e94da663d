"""A process that works for an engine. What is imported here is imported before its work is known."""

import gc
from collections.abc import Callable
from typing import Any

from sat_exp.progress import Advance, ignored

prepare = gc.disable
"""Called first: importing libraries leaves no garbage, but a search for it after every few objects takes seconds."""


def begin(work: Callable[[Advance], Any]) -> Any:
    """Do a piece of work, for which libraries were imported. Only they are frozen, not what earlier pieces left."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return work(ignored)
