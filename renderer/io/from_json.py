"""Values of checked types from JSON."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_json(kind: type[T], value: Any, name: str = "the object") -> T:
    """Turn parsed JSON into a value of a type, which is checked all the way down.

    A dataclass is made from an object with its fields: no others, all without a default, each of its type, and what its
    own `__post_init__` accepts. Tuples are made from arrays. Integers have at most 64 bits; floats are finite.

    Args:
        kind: a dataclass, int, float, str, bool, or of these unions, Literal, tuple, list and dict.
        value: of `json.loads`.
        name: what the value is, for the error.

    Raises:
        ValueError: names the value that is not of its type.

    >>> from_json(tuple[int, ...], [1, 2])
    (1, 2)
    """
    return cast(T, _from_json(kind, value, name))


def call_with_json(function: Callable[..., T], values: Mapping[str, Any]) -> T:
    """Call `function` with keyword arguments from JSON, checked against its annotations as `from_json` does.

    Raises `ValueError`, and what the function raises.
    """
    parameters = inspect.signature(function).parameters.values()
    hints = get_type_hints(function.__init__ if isinstance(function, type) else function)  # type: ignore[misc]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return function(**values)
    known = {parameter.name: hints.get(parameter.name, Any) for parameter in parameters}
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    return function(**_arguments(known, required, values))


def _from_json(kind: Any, value: Any, name: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        fields = [field for field in dataclasses.fields(kind) if field.init]
        hints, missing = _hints(kind), dataclasses.MISSING
        known = {field.name: hints[field.name] for field in fields}
        required = [field.name for field in fields if field.default is missing and field.default_factory is missing]
        return kind(**_arguments(known, required, value))
    if origin in (Union, UnionType):
        reasons = []
        for option in inner:
            try:
                return _from_json(option, value, name)
            except ValueError as error:
                reasons.append(error)
        raise reasons[0]
    if origin is Literal and any(value == option and type(value) is type(option) for option in inner):
        return value
    if isinstance(value, list) and origin in (tuple, list, Sequence):
        if origin is not tuple or inner[1:] == (...,):
            items = [_from_json(inner[0], item, name) for item in value]
            return items if origin is list else tuple(items)
        if len(value) == len(inner):
            return tuple(_from_json(part, item, name) for part, item in zip(inner, value, strict=True))
    if isinstance(value, dict) and (kind is dict or origin in (dict, Mapping)):
        part = inner[1] if inner else Any
        return {key: _from_json(part, item, f"{name}[{key!r:.40}]") for key, item in value.items()}
    if (kind in (NoneType, None) and value is None) or (kind is bool and isinstance(value, bool)):
        return value
    if kind is str and isinstance(value, str):
        value.encode()  # half a surrogate pair could not be written again
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int and number and isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if kind is float and number and abs(value) < 2**1023 and math.isfinite(value):
        return float(value)
    raise ValueError(f"{name} is {_shown(value)}, not {_title(kind)}")


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _arguments(known: Mapping[str, Any], required: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    for name in values:
        if name not in known:
            raise ValueError(f"{name!r:.80} is not known")
    for name in required:
        if name not in values:
            raise ValueError(f"{name!r} is missing")
    return {name: _from_json(known[name], value, name) for name, value in values.items()}


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "a number of over 64 bits"
    return f"{value!r:.60}"


def _title(kind: Any) -> str:
    titles = {int: "an integer", float: "a finite number", str: "text", bool: "true or false", NoneType: "null"}
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return titles.get(kind, "an array" if get_origin(kind) in (tuple, list, Sequence) else "an object")
