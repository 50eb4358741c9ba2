"""Architectures as plain tables: read into dataclasses with their types checked; no torch."""

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from titokzip.errors import ModelError

T = TypeVar("T")


def made(kind: type[T], table: Mapping[str, Any], path: str = "") -> T:
    """Make a dataclass of a table of its fields, tables inside making dataclasses inside.

    Raises:
        ModelError: a key is unknown or missing, or a value is of another type or impossible.
    """
    hints = get_type_hints(kind)
    values = {
        key: _value(value, hints[key], f"{path}{key}")
        for key, value in table.items()
        if _known(kind, key, path)
    }
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path.rstrip('.') or kind.__name__}: {error}") from error


def changed(value: T, table: Mapping[str, Any], path: str = "") -> T:
    """Copy a dataclass with the values of a table, tables inside changing dataclasses inside.

    Raises:
        ModelError: a key is unknown, or a value is of another type or impossible.
    """
    hints, changes = get_type_hints(type(value)), {}
    for key, new in table.items():
        _known(type(value), key, path)
        old = getattr(value, key)
        if isinstance(new, Mapping) and dataclasses.is_dataclass(old):
            changes[key] = changed(old, new, f"{path}{key}.")
        else:
            changes[key] = _value(new, hints[key], f"{path}{key}")
    try:
        return replace(value, **changes)  # type: ignore[type-var]
    except ValueError as error:
        raise ModelError(f"{path.rstrip('.') or type(value).__name__}: {error}") from error


def _known(kind: type, key: str, path: str) -> bool:
    names = {field.name for field in fields(kind) if field.init}
    if key not in names:
        raise ModelError(f"{path}{key} is unknown; there is {', '.join(sorted(names))}")
    return True


def _value(value: Any, hint: Any, path: str) -> Any:
    """Return a value of a JSON or TOML file as the type of its field."""
    if get_origin(hint) in (Union, types.UnionType):
        return _optional(value, get_args(hint), path)
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        return _tuple(value, get_args(hint), path)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return made(hint, value, f"{path}.")
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ModelError(f"{path} is {value!r}, not {getattr(hint, '__name__', hint)}")
    return value


def _optional(value: Any, choices: tuple[Any, ...], path: str) -> Any:
    if value is None or value == "":  # TOML has no null
        return None
    kinds = [kind for kind in choices if kind is not types.NoneType]
    if isinstance(value, Mapping):  # of several dataclasses, the one that has all the keys
        for kind in kinds:
            if value.keys() <= {field.name for field in fields(kind)}:
                return _value(value, kind, path)
    return _value(value, kinds[0], path)


def _tuple(values: list[Any] | tuple[Any, ...], kinds: tuple[Any, ...], path: str) -> Any:
    if kinds[-1] is not ... and len(values) != len(kinds):
        raise ModelError(f"{path} has {len(values)} values, not {len(kinds)}")
    return tuple(_value(value, kinds[0], path) for value in values)
