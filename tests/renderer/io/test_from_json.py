"""Values of checked types from JSON."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import pytest

from renderer.errors import InputError
from renderer.io.from_json import call_with_json, from_json


@dataclass(frozen=True)
class Inner:
    """One value, in a range."""

    size: int = 8

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"A size is 1 at least, not {self.size}.")


@dataclass(frozen=True)
class Outer:
    """Values of many types."""

    name: str
    rate: float = 0.5
    mode: Literal["a", "b", 3] = "a"
    blocks: tuple[int, ...] = (1, 2)
    pair: tuple[str, int] = ("x", 1)
    seconds: float | None = None
    on: bool = True
    notes: dict[str, Any] = field(default_factory=dict)
    numbers: list[float] = field(default_factory=list)
    marked: Annotated[int, "a mark"] = 1
    inner: Inner = field(default_factory=Inner)


WHOLE = Outer("n", 1.0, 3, (4,), ("y", 2), 2.0, False, {"k": [None]}, [1.0], 5, Inner(3))


def test_a_dataclass_comes_back() -> None:
    record = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(WHOLE).items()}
    assert from_json(Outer, record) == WHOLE
    assert from_json(Outer, {"name": "n"}) == Outer("n")
    number = from_json(Outer, {"name": "n", "rate": 2}).rate
    assert isinstance(number, float)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": 1}, "name is 1, not text"),
        ({"name": "\ud800"}, "surrogates not allowed"),
        ({"rate": "fast"}, "rate is 'fast', not a finite number"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"rate": float("inf")}, "rate is inf"),
        ({"rate": 10**400}, "rate is a number of over 64 bits"),
        ({"rate": True}, "rate is True"),
        ({"mode": "c"}, "mode is 'c', not one of a, b, 3"),
        ({"mode": 3.0}, "mode is 3.0"),
        ({"blocks": 1}, "blocks is 1, not an array"),
        ({"blocks": [1, 2.5]}, "blocks is 2.5, not an integer"),
        ({"blocks": [10**30]}, "blocks is a number of over 64 bits"),
        ({"pair": ["x"]}, "pair is an array"),
        ({"seconds": "1"}, "seconds is '1'"),
        ({"on": 1}, "on is 1, not true or false"),
        ({"notes": []}, "notes is an array, not an object"),
        ({"numbers": [None]}, "numbers is None"),
        ({"marked": "1"}, "marked is '1'"),
        ({"inner": {"size": 0}}, "A size is 1 at least"),
        ({"inner": {"sizes": 1}}, "'sizes' is not known"),
        ({"inner": 8}, "inner is 8, not an object"),
        ({"other": 1}, "'other' is not known"),
    ],
)
def test_wrong_values(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        from_json(Outer, {"name": "n", **change})


def test_missing_fields_and_other_values() -> None:
    for value in ({}, [], "x", None, 1):
        with pytest.raises(ValueError, match=r"'name' is missing|not an object"):
            from_json(Outer, value)


def test_calls() -> None:
    def make(width: int, blocks: tuple[int, ...] = (1,), *, scale: float = 1.0) -> object:
        return width, blocks, scale

    assert call_with_json(make, {"width": 2, "blocks": [3], "scale": 4}) == (2, (3,), 4.0)
    anything: Callable[..., object] = lambda **values: values  # noqa: E731
    assert call_with_json(anything, {"a": [1]}) == {"a": [1]}
    for values in ({}, {"width": "2"}, {"width": 2, "depth": 1}):
        with pytest.raises(ValueError, match=r"missing|not an integer|not known"):
            call_with_json(make, values)
