"""Checks of a dataclass's fields against their type hints and ranges."""

import types
import typing
from collections.abc import Callable
from typing import Any, Literal


def hints(kind: type) -> dict[str, Any]:
    """Return the resolved type hints of a dataclass's fields."""
    return typing.get_type_hints(kind)


def check_types(part: Any) -> None:
    """Raise ValueError if a field of the dataclass `part` has the wrong type; convert an int in a float field to float."""
    for name, hint in hints(type(part)).items():
        value = getattr(part, name)
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            object.__setattr__(part, name, float(value))
        elif not _fits(value, hint):
            raise ValueError(f"{name}={value!r}: must be {_describe(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        item = arguments[0] if arguments[-1] is Ellipsis else Any
        return isinstance(value, tuple) and all(_fits(part, item) for part in value)
    if hint is Any:
        return True
    kind = origin or hint
    return isinstance(value, kind) and not (kind in (int, float) and isinstance(value, bool))


def _describe(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in arguments)
    if origin is Callable:
        return "a function, set in a pipeline file (docs/pipelines.md),"
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", type(None): "None"}
    return words.get(hint, getattr(origin or hint, "__name__", str(hint)))


def check_range(part: Any, name: str, low: float, high: float) -> None:
    """Raise ValueError unless low <= part.name <= high."""
    value = getattr(part, name)
    if not low <= value <= high:  # NaN is not within either
        raise ValueError(f"{name}={value!r}: must be from {low} to {high}")
