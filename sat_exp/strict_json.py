"""JSON as its standard has it: NaN and the infinities, which it lacks, are written as null and refused when read."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """`value` as indented text with a newline at its end; `default` gives a plain value for what JSON cannot say."""
    return json.dumps(finite(value), indent=2, allow_nan=False, default=default) + "\n"


def loads(content: bytes) -> Any:
    """The value in `content`, UTF-8 text; ValueError where that is no JSON, has a number that no float can be, half of
    a pair of surrogates, a name twice in one object, or is nested too deeply to be read."""
    try:
        value = json.loads(
            content.decode("utf-8"), parse_constant=refuse, parse_float=number, object_pairs_hook=without_repetition
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def finite(value: Any) -> Any:
    """`value` with None for every number that is not finite and a number of Python for every one of numpy's."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(text: str) -> float:
    """The number that `text` is; ValueError for one that is too large."""
    if not math.isfinite(value := float(text)):
        refuse(text)
    return value


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError where a name stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
