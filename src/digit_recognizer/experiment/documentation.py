"""The list of all settings of an experiment with type, default, value and meaning, read from the dataclasses' source."""

import ast
import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from digit_recognizer.experiment import Experiment, settings_json
from digit_recognizer.experiment.validation import hints


class Setting(NamedTuple):
    """One field of an experiment; a field of its parts has a dotted name, as in `SET="augmentation.rotation=15"`."""

    name: str
    type: str
    default: Any  # as in JSON
    value: Any  # as in JSON
    meaning: str


def describe_settings(experiment: Experiment) -> list[Setting]:
    """Return every setting, in the order of the source."""
    return list(_described(Experiment, settings_json(experiment), ""))


def _described(kind: type, values: Mapping[str, Any], prefix: str) -> Iterator[Setting]:
    meanings = comments(kind)
    for field in dataclasses.fields(kind):
        hint, value = hints(kind)[field.name], values[field.name]
        part = next((one for one in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(one)), None)
        if part and value is not None:
            yield from _described(part, value, f"{prefix}{field.name}.")
        else:
            yield Setting(prefix + field.name, _type_text(hint), _default(field), value, meanings.get(field.name, ""))


@functools.cache
def comments(kind: type) -> Mapping[str, str]:
    """Return the comment of each field of a dataclass: the one at the end of its line, else the one in the lines above."""
    lines, _ = inspect.getsourcelines(kind)
    body = ast.parse(inspect.cleandoc("".join(lines))).body[0].body
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign):
            behind = re.search(r"  # (.*)", lines[node.end_lineno - 1])
            found[node.target.id] = behind[1].strip() if behind else " ".join(_above(lines, node.lineno - 1))
    return found


def _above(lines: list[str], place: int) -> list[str]:
    found: list[str] = []
    while lines[place - 1].strip().startswith("# "):
        place -= 1
        found.insert(0, lines[place].strip().removeprefix("# "))
    return found


def _default(field: dataclasses.Field) -> Any:
    if field.default is dataclasses.MISSING:
        return None
    return list(field.default) if isinstance(field.default, tuple) else field.default


def _type_text(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " or ".join(arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_text(argument) for argument in arguments)
    if origin is tuple:
        return f"list of {_type_text(arguments[0])}"
    if origin is Callable:
        return "function"
    if origin is not None:
        return "dict"
    return "None" if hint is type(None) else hint.__name__
