"""Checks of settings against types. An error is one line with the setting and its allowed values."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, NotRequired, Required, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from sat_exp.errors import UserError, nearest
from sat_exp.names import choose

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No value is converted to another type: neither true nor '5' is a number."""

LONGEST = 60  # the most characters of a wrong value in an error
KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "list_type": "a list, such as [A,B]",
    "tuple_type": "a list, such as [A,B]",
    "sequence_type": "a list, such as [A,B]",
    "sequence_str": "a list, such as [A,B]",
    "dict_type": "settings, such as {A: 1}",
    "none_required": "null",
    "int_from_float": "a whole number",
}
BOUNDS = {
    "greater_than_equal": ("ge", "a value of {} or more"),
    "greater_than": ("gt", "a value above {}"),
    "less_than_equal": ("le", "a value of {} or less"),
    "less_than": ("lt", "a value below {}"),
    "string_too_long": ("max_length", "a text of at most {} characters"),
    "too_short": ("min_length", "a list of {} or more"),
    "too_long": ("max_length", "a list of at most {}"),
}


def checked(target: Any, values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`values` as settings of `target`: a class or function, by its signature, or a TypedDict. UserError for a value of
    another type or out of range, an unknown name, and a missing one."""
    kind = target if is_typed_dict(target) else of_signature(target)
    try:
        return adapter(kind).validate_python({str(name): value for name, value in values.items()})
    except ValidationError as error:
        raise UserError(line(error.errors(), prefix, kind)) from None


@dataclass(frozen=True)
class Parameter:
    """A parameter of a class or function. rest: it takes all further settings, whatever their names."""

    name: str
    hint: Any
    required: bool
    rest: bool = False


@cache
def of_signature(target: Callable[..., Any]) -> Any:
    """A TypedDict of the parameters of a class or function; parameters without a type are not checked."""
    return typed_dict(target.__name__, parameters(target))


def parameters(target: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a class or function. `**rest: Annotated[Any, Class]` stands for those of the class."""
    own = target.__init__ if inspect.isclass(target) else target  # type: ignore[misc]
    hints = get_type_hints(own, include_extras=True)
    found: list[Parameter] = []
    for each in inspect.signature(target).parameters.values():
        hint, rest = hints.get(each.name, Any), each.kind is each.VAR_KEYWORD
        if rest and get_origin(hint) is Annotated:
            found += [replace(parameter, required=False) for parameter in parameters(get_args(hint)[-1])]
        else:
            found.append(Parameter(each.name, hint, each.default is each.empty and not rest, rest))
    return found


def typed_dict(name: str, parameters: Iterable[Parameter]) -> Any:
    """A TypedDict of `parameters`, except `config`, the whole configuration."""
    fields: dict[str, Any] = {}
    extra: Literal["forbid", "allow"] = "forbid"
    for parameter in parameters:
        if parameter.rest:
            extra = "allow"
        elif parameter.name != "config":
            fields[parameter.name] = (Required if parameter.required else NotRequired)[parameter.hint]
    made: Any = TypedDict(name, fields)  # type: ignore[misc, operator]
    return with_config(STRICT | ConfigDict(extra=extra))(made)


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def line(errors: Sequence[ErrorDetails], prefix: str, kind: Any) -> str:
    """The first error as one line. A setting of several types has an error for each. kind: the TypedDict."""
    error = errors[0]
    names, hint = located(kind, error["loc"])
    name = dotted(prefix, names)
    if error["type"] == "extra_forbidden":
        parent = located(kind, error["loc"][:-1])[1]
        known = [other for member in (parent, *get_args(parent)) for other in getattr(member, "__annotations__", ())]
        near = [dotted(prefix, [*names[:-1], other]) for other in nearest(names[-1], known) or known]
        return f"there is no setting {name}" + (f"; near it: {', '.join(near)}" if near else ": leave it out")
    if error["type"] == "missing":
        return f"{name} has no value: give {name}="
    same = [other for other in errors if located(kind, other["loc"])[0] == names]
    allowed = dict.fromkeys(allowed_by(other, hint) for other in same)
    null = ", or null" if NoneType in get_args(hint) else ""
    value = typed(error["input"], quoted=error["type"] in KINDS)
    return f"{name}={value}: give {' or '.join(allowed)}{null}"


def allowed_by(error: ErrorDetails, hint: Any) -> str:
    """The allowed values of a setting in words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in KINDS:
        return KINDS[kind]
    if kind in BOUNDS:
        key, words = BOUNDS[kind]
        bound = context[key]
        return words.format(f"{bound:,}" if isinstance(bound, int) else f"{bound:g}")
    if kind == "literal_error":
        return choose(error["input"], choices(hint))
    if kind == "value_error":
        return str(context["error"])
    return error["msg"][0].lower() + error["msg"][1:]


def choices(hint: Any) -> list[str]:
    """The values of the Literals in a type."""
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    return [name for inner in get_args(hint) for name in choices(inner)]


def located(kind: Any, place: Iterable[int | str]) -> tuple[list[int | str], Any]:
    """The path of names to a wrong value, without pydantic's names of the members of a union; and its type."""
    names: list[int | str] = []
    hint = kind
    for part in place:
        members = (hint, *get_args(hint))
        settings = next(filter(is_typed_dict, members), None)
        if settings is not None:
            names.append(part)
            hint = get_type_hints(settings).get(str(part), Any)
        elif isinstance(part, int) or any(get_origin(member) is dict for member in members):
            names.append(part)
            hint = next((get_args(member)[-1] for member in members if get_origin(member) in (list, dict)), Any)
    return names, hint


def is_typed_dict(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, dict) and hasattr(kind, "__total__")


def dotted(prefix: str, names: Iterable[int | str]) -> str:
    """The name of a setting on the command line: model.input.std[0]."""
    full = prefix
    for name in names:
        full += f"[{name}]" if isinstance(name, int) else f".{name}" if full else str(name)
    return full


def typed(value: Any, quoted: bool) -> str:
    """A value as on the command line, at most `LONGEST` characters. quoted: whether a text is in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) and quoted else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
