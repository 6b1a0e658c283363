"""Settings are checked when they are made; presets are valid and named apart."""

from dataclasses import asdict

import pytest

from renderer.errors import InputError
from renderer.io.from_json import from_json
from studio.presets import Settings, brush_choices, presets, with_changes


def test_presets_are_valid_and_read_back() -> None:
    found = presets()
    assert {"scroll", "gouache", "watercolour and ink", "six colours, opaque"} <= set(found)
    assert len({preset.title for preset in found.values()}) == len(found)
    for preset in found.values():
        assert from_json(Settings, asdict(preset.settings)) == preset.settings
        assert preset.settings.brush in brush_choices()


@pytest.mark.parametrize(
    "changes",
    [
        {"brush": "nobody"},
        {"brush": "exact"},
        {"brush": "mypaint:ink"},
        {"brush": "os:system"},
        {"brush": "/etc/passwd"},
        {"brush": "bezier+"},
        {"method": "magic"},
        {"strokes": 0},
        {"strokes": 10_001},
        {"min_radius": 0.2, "max_radius": 0.1},
        {"max_radius": 0.5},
        {"palette": "red"},
        {"palette": "0"},
        {"palette": "99"},
        {"opacity": 1.5},
        {"opacity": float("nan")},
        {"background": "red"},
        {"blend": 2.0},
        {"steps": 0},
        {"size": 1},
        {"size": 4096},
        {"seed": -1},
        {"nothing": 1},
    ],
)
def test_bad_settings(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        with_changes(Settings(), **changes)
