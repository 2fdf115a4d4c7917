"""Changes to settings: parsing, applying, combining and listing them."""

import ast
import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from digit_recognizer.errors import UserError
from digit_recognizer.experiment.settings import Experiment
from digit_recognizer.experiment.validation import hints


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return the experiment with fields replaced; a nested field has a dotted name: `{"augmentation.rotation": 15}`.

    Raises:
        UserError: there is no setting of that name, or the value is invalid.
    """
    nested: dict[str, Any] = {}
    for name, value in changes.items():
        *outer, last = name.split(".")
        group = nested
        for part in outer:
            group = group.setdefault(part, _Group())
            if not isinstance(group, _Group):
                raise UserError(f"{name}: {part} is set as a whole, too; set only one of them")
        group[last] = value
    return _replace(experiment, nested, "")


def merged(first: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes that in one `override` have the effect of `first` followed by `then`."""
    changes = dict(first)
    for name, value in then.items():
        outer, _, inner = name.partition(".")
        if inner and isinstance(changes.get(outer), Mapping):
            changes[outer] = {**changes[outer], inner: value}
        else:
            changes = {old: kept for old, kept in changes.items() if not old.startswith(f"{name}.")} | {name: value}
    return changes


def parse_settings(text: str) -> dict[str, Any]:
    """Return the changes in a text such as `"epochs=2 augmentation.rotation=15"`; values are Python literals or words.

    Raises:
        UserError: an item without `=`.
    """
    changes = {}
    for item in text.split():
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserError(f"SET: '{item}' is not of the form setting=value (without spaces)")
        try:
            changes[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            changes[name] = value
    return changes


def settings_text(changes: Mapping[str, Any]) -> str:
    """Return changes in the form that `parse_settings` reads: Python literals without spaces."""
    return " ".join(f"{name}={value!r}".replace(" ", "") for name, value in changes.items())


def settings_json(experiment: Experiment) -> dict[str, Any]:
    """Return all settings as JSON values; functions become their dotted name."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        if callable(value):
            return f"{value.__module__}.{value.__qualname__}"
        return value

    return plain(experiment)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as a flat mapping by dotted name."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else {f"{prefix}{name}": value}
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the differences between two nested mappings, each as `name: old -> new`."""
    found = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {old!r} -> {new!r}")
    return found


class _Group(dict):
    """Changes to the fields of a nested dataclass, as opposed to a plain dict, which is the value of a setting."""


def _replace(part: Any, changes: dict[str, Any], prefix: str) -> Any:
    """Return `part` with all changes made at once, because some are only valid together."""
    if isinstance(part, Mapping):
        return {**part, **changes}
    if not dataclasses.is_dataclass(part):
        where = prefix.rstrip(".")
        raise UserError(f"{prefix}{next(iter(changes))}: this pipeline has {where}={part!r}; set {where} in a pipeline file")
    names = [item.name for item in dataclasses.fields(part)]
    values = {}
    for name, value in changes.items():
        if name not in names:
            close = _similar(name, part)
            hint = f"did you mean {prefix}{close}?" if close else "`digit-recognizer settings` lists all"
            raise UserError(f"{prefix}{name}: there is no such setting; {hint}")
        nested = isinstance(value, _Group)
        values[name] = _replace(getattr(part, name), value, f"{prefix}{name}.") if nested else _as_field(part, name, value)
    try:
        return dataclasses.replace(part, **values)
    except ValueError as error:
        raise UserError(f"{prefix}{error}") from error


def _similar(name: str, part: Any) -> str | None:
    """Return the dotted name of the field that is most similar to `name`, or None."""
    dotted = {item.name: item.name for item in dataclasses.fields(part)}
    for outer in list(dotted):
        inner = getattr(part, outer)
        names = [item.name for item in dataclasses.fields(inner)] if dataclasses.is_dataclass(inner) else inner
        for last in names if isinstance(names, list | Mapping) else ():
            dotted.setdefault(last, f"{outer}.{last}")
    close = difflib.get_close_matches(name, dotted, n=1)
    return dotted[close[0]] if close else None


def _as_field(part: Any, name: str, value: Any) -> Any:
    """Return a list or single value as a tuple where the field is one, so that `seeds=1` and `seeds=[0,1]` work."""
    if typing.get_origin(hints(type(part))[name]) is tuple and not isinstance(value, tuple):
        return tuple(value) if isinstance(value, list) else (value,)
    return value
