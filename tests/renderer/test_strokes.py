"""Stroke spaces: columns, units, JSON, defaults and steps."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renderer.errors import InputError
from renderer.strokes import BEZIER, MIXED, MYPAINT, Field, SpaceError, StrokeSpace

NAMES = [field.name for field in BEZIER.fields]
OTHER = StrokeSpace("other", (Field("angle", 1, -180.0, 180.0, "degrees"), Field("length", 2, 0.5, 2.0, "")))


def test_columns_are_consecutive() -> None:
    stops = [0]
    for field in BEZIER.fields:
        columns = BEZIER.columns(field.name)
        assert columns.start == stops[-1]
        assert columns.stop - columns.start == field.size
        stops.append(columns.stop)
    assert stops[-1] == BEZIER.width == 13


@pytest.mark.parametrize("space", [BEZIER, OTHER], ids=lambda space: space.name)
@settings(deadline=None, max_examples=25)
@given(share=st.floats(0, 1))
def test_put_then_get(space: StrokeSpace, share: float) -> None:
    strokes = torch.rand(3, 2, space.width, dtype=torch.float64)
    before = strokes.clone()
    for field in space.fields:
        value = torch.full((3, 2, field.size), field.low + share * (field.high - field.low), dtype=torch.float64)
        after = space.put(strokes, field.name, value)
        torch.testing.assert_close(space.get(after, field.name), value, rtol=0, atol=1e-12)
        others = [i for i in range(space.width) if i not in range(*space.columns(field.name).indices(space.width))]
        assert torch.equal(after[..., others], strokes[..., others])
    assert torch.equal(strokes, before), "put works on a copy"


def test_physical_units() -> None:
    strokes = torch.tensor([[0.75, 0.0, 1.0]])
    assert OTHER.get(strokes, "angle").tolist() == [[90.0]]
    assert OTHER.get(strokes, "length").tolist() == [[0.5, 2.0]]


def test_put_clamps() -> None:
    strokes = OTHER.put(torch.full((1, 3), 0.5), "length", torch.tensor([[-7.0, 7.0]]))
    assert strokes.tolist() == [[0.5, 0.0, 1.0]]


def test_samples_are_valid_and_reproducible() -> None:
    first, again = (BEZIER.sample(200, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (200, 13)
    assert torch.equal(first, again)
    assert 0 <= first.min() < 0.05
    assert 0.95 < first.max() <= 1


@pytest.mark.parametrize("space", [BEZIER, OTHER], ids=lambda space: space.name)
def test_json_round_trip(space: StrokeSpace) -> None:
    assert StrokeSpace.from_json(space.to_json()) == space


def _without_low() -> str:
    data = json.loads(OTHER.to_json())
    del data["fields"][0]["low"]
    return json.dumps(data)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '{"name": "x"}', '{"name": "x", "fields": 3}', _without_low()]
)
def test_invalid_json(text: str) -> None:
    with pytest.raises(SpaceError, match="Not a description of a stroke space"):
        StrokeSpace.from_json(text)


@pytest.mark.parametrize("use", [BEZIER.field, BEZIER.columns, lambda name: BEZIER.get(torch.zeros(1, 13), name)])
def test_unknown_field_error_lists_the_fields(use) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpaceError, match="no field 'pressure'") as error:
        use("pressure")
    assert all(name in str(error.value) for name in NAMES)


def test_mismatch_is_an_error() -> None:
    BEZIER.require(StrokeSpace.from_json(BEZIER.to_json()))
    with pytest.raises(SpaceError, match=r"'other' with 3 columns.*'bezier' with 13"):
        BEZIER.require(OTHER)
    moved = StrokeSpace("bezier", (*BEZIER.fields[1:], BEZIER.fields[0]))
    with pytest.raises(SpaceError):
        BEZIER.require(moved)
    assert issubclass(SpaceError, InputError)


OLD_KEYS = {"name", "size", "low", "high", "unit"}


@pytest.mark.parametrize("space", [BEZIER, MYPAINT, MIXED], ids=lambda space: space.name)
def test_json_of_known_spaces_does_not_change(space: StrokeSpace) -> None:
    """Without defaults and step scales, as in version 0.1, so that the same paintings give the same bytes."""
    text = space.to_json()
    assert all(set(field) == OLD_KEYS for field in json.loads(text)["fields"])
    read = StrokeSpace.from_json(text)
    assert read is space, "with defaults and step scales"


def test_other_spaces_keep_defaults_and_steps() -> None:
    angle = Field("angle", 1, -180.0, 180.0, "degrees", default=90.0, step_scale=0.1)
    read = StrokeSpace.from_json(StrokeSpace("other", (angle,)).to_json())
    assert (read.fields[0].default, read.fields[0].step_scale, read.fields[0].kind) == (90.0, 0.1, "shape")
    old = StrokeSpace.from_json(
        json.dumps({"name": "other", "fields": [{key: getattr(angle, key) for key in OLD_KEYS}]})
    )
    assert old == read, "defaults are not compared"
    assert hash(old) == hash(read)


@pytest.mark.parametrize("space", [BEZIER, MYPAINT, MIXED], ids=lambda space: space.name)
def test_defaults(space: StrokeSpace) -> None:
    strokes = space.default_strokes(3)
    assert strokes.shape == (3, space.width)
    for field in space.fields:
        assert field.low <= field.default <= field.high
        torch.testing.assert_close(space.get(strokes, field.name), torch.full((3, field.size), field.default))
    strokes[0] = 0
    assert strokes[1].any(), "no memory is shared"


def test_names_in_a_space() -> None:
    assert "pressure" in MYPAINT
    assert "pressure" not in BEZIER


def test_step_sizes() -> None:
    """Positions and lengths scale with the stroke; on a canvas twice as wide as high, x steps are half of y steps."""
    steps = MIXED.step_sizes(torch.tensor([[0.1, 0.2]]), (32, 64))
    assert steps.shape == (1, 2, MIXED.width)
    expected = {"start": [0.1, 0.2], "bend": [1, 1], "end": [0.1, 0.2], "radius": [0.4], "pressure": [0.5] * 3}
    expected |= {"opacity": [1], "colour": [0.3] * 3, "brush": [0.5]}
    for name, values in expected.items():
        torch.testing.assert_close(steps[0, 1, MIXED.columns(name)], torch.tensor(values, dtype=torch.float32))
