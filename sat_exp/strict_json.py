"""JSON by its standard: NaN and the infinities, which it lacks, are written as null and refused when read."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """`value` as indented text that ends with a newline. default: converts values that JSON lacks to plain ones."""
    return json.dumps(finite(value), indent=2, allow_nan=False, default=default) + "\n"


def loads(content: bytes) -> Any:
    """The value in `content`, UTF-8 text. ValueError where it is not JSON, a number is too large for a float, a
    surrogate is unpaired, an object has a name twice, or the nesting is too deep."""
    try:
        value = json.loads(
            content.decode("utf-8"), parse_constant=refuse, parse_float=number, object_pairs_hook=without_repetition
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def finite(value: Any) -> Any:
    """`value` with None for numbers that are not finite, and Python numbers for those of numpy."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(text: str) -> float:
    """The number in `text`; ValueError for one that is too large."""
    if not math.isfinite(value := float(text)):
        refuse(text)
    return value


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError where a name is in it twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("an object has a name twice")
    return content


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
