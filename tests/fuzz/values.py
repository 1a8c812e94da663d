"""Values that are wrong for the type of a setting. `meanings.py` has the values that are wrong for its meaning.

These values do not depend on the checks in `sat_exp.settings`: only the plain type of an annotation is read, and never
its validators.
"""

import math
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

TYPE, RANGE, FINITE, NULL, EMPTY = "another type", "out of range", "not finite", "null", "empty"
NESTED, HUGE, LETTERS, PATHS, REFERENCE = "nested", "huge", "letters", "paths", "interpolation"
UNKNOWN, MISSING, SYNTAX = "unknown name", "deleted", "syntax"

LONG = "a" * 10_000
REFERENCES = ("${nowhere}", "${oc.env:NO_SUCH_VARIABLE}", "${no_resolver:1}", "${.no_neighbour}", "${", "${oc.env:HOME")
"""Interpolations that lead to nothing."""

UNPRINTABLE = ("a\nb", "a\tb", "\x1b[31mred", "\x7f", "a\u202eb", "\ufeff", "\ud7ff\uffff")
CODE: Any = {"_target_": "os.getcwd"}

Wrong = tuple[str, Any]
"""A kind of wrongness and a value."""


def plain(hint: Any) -> Any:
    """A type without Required, NotRequired and Annotated."""
    while get_origin(hint) in (Required, NotRequired, Annotated):
        hint = get_args(hint)[0]
    return hint


def members(hint: Any) -> list[Any]:
    """The types that a setting may have, without null."""
    hint = plain(hint)
    if get_origin(hint) in (Union, UnionType):
        return [inner for member in get_args(hint) for inner in members(member)]
    return [] if hint is NoneType else [hint]


def nullable(hint: Any) -> bool:
    hint = plain(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(nullable(member) for member in get_args(hint))
    return hint is NoneType or hint is Any


def kind_of(hint: Any) -> str:
    """int, float, bool, str, choice, list, dict; any where the annotation says nothing that can be wrong."""
    found = members(hint)
    if len(found) != 1:
        return "any"
    one = found[0]
    origin = get_origin(one) or one
    if origin is Literal:
        return "choice"
    name = getattr(origin, "__name__", "any")
    if name == "Sequence":
        return "list"
    if name == "Mapping" or (isinstance(origin, type) and issubclass(origin, dict)):
        return "dict"
    return name if name in ("int", "float", "bool", "str", "list") else "any"


def elements(hint: Any) -> Any:
    """The type of a list's elements."""
    return (*get_args(members(hint)[0]), Any)[0]


def of(hint: Any) -> Iterator[Wrong]:
    """Values that no setting of this type takes."""
    kind = kind_of(hint)
    if kind == "any":
        return
    if not nullable(hint):
        yield NULL, None
    yield from ((NESTED, CODE), (NESTED, [[[1]]]), (HUGE, LONG))
    yield from ((REFERENCE, text) for text in REFERENCES)
    yield from OF_KIND[kind](hint)


def of_int(_: Any) -> Iterator[Wrong]:
    yield from ((TYPE, value) for value in ("abc", "5", True, False, 1.5, 2.0, [3], {"a": 3}, "1,2", "0x10", "٣"))
    yield from ((FINITE, value) for value in (math.nan, math.inf, -math.inf, "nan"))
    yield from ((EMPTY, value) for value in ("", [], " "))
    yield from ((HUGE, value) for value in (10**30, -(10**30), 1e308, 2**64))
    yield from ((LETTERS, text) for text in UNPRINTABLE)


def of_float(_: Any) -> Iterator[Wrong]:
    yield from ((TYPE, value) for value in ("abc", "0.5", True, False, [0.5], {"a": 0.5}, "1e-3", "½", "0,5"))
    yield from ((FINITE, value) for value in (math.nan, math.inf, -math.inf, "inf"))
    yield from ((EMPTY, value) for value in ("", [], " "))
    yield from ((HUGE, value) for value in (10**400, -(10**400), 1e308, -1e308))
    yield from ((LETTERS, text) for text in UNPRINTABLE)


def of_bool(_: Any) -> Iterator[Wrong]:
    yield from ((TYPE, value) for value in ("abc", "true", "yes", 1, 0, 1.0, [True], {"a": True}))
    yield from ((FINITE, value) for value in (math.nan, math.inf))
    yield from ((EMPTY, value) for value in ("", []))
    yield from ((HUGE, value) for value in (10**30, 1e308))
    yield from ((LETTERS, text) for text in UNPRINTABLE)


def of_choice(hint: Any) -> Iterator[Wrong]:
    known = [value for value in get_args(members(hint)[0]) if isinstance(value, str)]
    yield from ((TYPE, value) for value in (5, True, 1.5, [known[0]], {known[0]: 1}))
    yield from ((RANGE, value) for value in ("abc", known[0].swapcase(), f"{known[0]} ", f"{known[0]},", known[0][:-1]))
    yield from ((FINITE, value) for value in (math.nan, math.inf))
    yield from ((EMPTY, value) for value in ("", []))
    yield HUGE, 10**30
    yield from ((LETTERS, text) for text in UNPRINTABLE)


def of_str(_: Any) -> Iterator[Wrong]:
    yield from ((TYPE, value) for value in (True, False, 1.5, ["a"], {"a": "b"}))
    yield from ((FINITE, value) for value in (math.nan, -math.inf))
    yield from ((EMPTY, value) for value in ("", []))
    yield HUGE, 1e308


def of_list(hint: Any) -> Iterator[Wrong]:
    inner = elements(hint)
    yield from ((TYPE, value) for value in ("abc", 5, 1.5, True, {"a": 1}, "[1,2]"))
    yield from ((FINITE, value) for value in (math.nan, math.inf))
    yield from ((EMPTY, value) for value in ("",))
    yield HUGE, 10**30
    for kind, value in of(inner):
        if kind != REFERENCE or value == REFERENCES[0]:
            yield kind, [value]


def of_dict(_: Any) -> Iterator[Wrong]:
    yield from ((TYPE, value) for value in ("abc", 5, 1.5, True, [1], [{"a": 1}]))
    yield from ((FINITE, value) for value in (math.nan,))
    yield from ((EMPTY, value) for value in ("", []))
    yield HUGE, 10**30


OF_KIND = {
    "int": of_int, "float": of_float, "bool": of_bool, "choice": of_choice, "str": of_str, "list": of_list,
    "dict": of_dict,
}  # fmt: skip


def typed(value: Any) -> str:
    """A value as Hydra's grammar writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(typed(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{typed(one)}' for key, one in value.items())}}}"
    if isinstance(value, str):
        return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value) + "'"
    return repr(value)
