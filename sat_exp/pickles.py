"""Pickles of arrays, read as data: no code that they name is imported or called."""

import pickle
import pickletools
from io import BytesIO
from typing import Any, ClassVar

import numpy as np

MOST = 10_000_000  # the most values of one pickle; a value that is referred to several times counts as often

PUTS, GETS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")
ENCODINGS = ("latin1", "latin-1", "iso-8859-1")


def check_size(file: Any) -> None:
    """Read the instructions of the pickle at the position of `file`, a file or a memory map, without building a value.
    ValueError where it is damaged, or has too many nested values to hash or print."""
    stack: list[int | None] = []  # for each value the number of values in it; None is a mark
    memo: dict[int, int] = {}
    try:
        for instruction, argument, _ in pickletools.genops(file):
            if instruction.name in PUTS:
                place = len(memo) if instruction.name == "MEMOIZE" else int(argument or 0)
                if place > MOST:
                    raise ValueError("it numbers more values than it can have")
                memo[place] = stack[-1] or 0
                continue
            size = memo[int(argument or 0)] if instruction.name in GETS else 1 + taken(stack, instruction)
            if size > MOST:
                raise ValueError(f"it has more than {MOST:,} values")
            stack += [None if kind is pickletools.markobject else size for kind in instruction.stack_after]
    except (IndexError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"it is damaged: {type(error).__name__}") from error


def taken(stack: list[int | None], instruction: pickletools.OpcodeInfo) -> int:
    """Remove an instruction's operands from the stack, and return the number of values in them."""
    before, total = list(instruction.stack_before), 0
    if pickletools.markobject in before:
        while (size := stack.pop()) is not None:
            total += size
        before = before[: before.index(pickletools.markobject)]
    return total + sum(stack.pop() or 0 for _ in before)


class Kind:
    """Replaces numpy's dtype: a plain type of numbers."""

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        kind = np.dtype(code) if isinstance(code, str) and code[:1] in "biuf" and code[1:].isdecimal() else None
        if kind is None:
            raise pickle.UnpicklingError(f"it has arrays of {str(code)[:20]!r}, and only numbers are read")
        self.kind = kind

    def __setstate__(self, state: Any) -> None:
        _, order, *others = state
        if order not in ("<", ">", "=", "|") or any(part is not None for part in others[:3]):
            raise pickle.UnpicklingError("it has arrays of several types, and only numbers are read")
        self.kind = self.kind.newbyteorder(order)


class Array:
    """Replaces numpy's ndarray and the function that makes an empty one. values: the contents."""

    values: np.ndarray

    def __init__(self, *_: object) -> None:
        self.values = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, Kind):
            raise pickle.UnpicklingError("it has an array without a type")
        content = content.encode("latin1") if isinstance(content, str) else content
        flat = np.frombuffer(content, kind.kind)
        self.values = flat.reshape(shape, order="F" if by_columns else "C")


class Encoded(bytes):
    """Replaces the function with which Python 3 writes bytes for Python 2."""

    def __new__(cls, text: str, encoding: str) -> "Encoded":
        if encoding not in ENCODINGS:
            raise pickle.UnpicklingError(f"it needs the encoding {str(encoding)[:20]!r}")
        return super().__new__(cls, text.encode("latin1"))

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes bytes")


class ArrayUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists, dicts and `Array`s, and refuses everything else. All classes that it uses have a
    `__setstate__`, so that a pickle cannot change attributes."""

    known: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): Array,
        ("numpy._core.multiarray", "_reconstruct"): Array,
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): Kind,
        ("_codecs", "encode"): Encoded,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"it names {module}.{name}, and only arrays are read")
        return self.known[module, name]


def read(content: bytes) -> Any:
    """The value in the pickle `content`: arrays as `Array`, texts of Python 2 as latin-1. ValueError, UnpicklingError
    or another exception of Python's where it is damaged or has other values."""
    check_size(BytesIO(content))
    return ArrayUnpickler(BytesIO(content), encoding="latin1").load()
