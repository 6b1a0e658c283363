"""Paintings and checkpoints that version 0.1 wrote load and render as they did then."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from renderer import Checkpoint, Painting
from renderer.brush import load_brush

FOLDER = Path(__file__).parent / "data" / "v0.1"
VALUES = load_file(FOLDER / "values.safetensors")
LEARNED = ["bezier", "ink", "flat+ink", "charcoal", "watercolour", "liner", "calligraphy", "impressionist"]


@pytest.mark.parametrize("name", LEARNED)
def test_an_old_painting_loads_bit_for_bit_and_renders_the_same(name: str) -> None:
    stem = name.replace("+", "-")
    painting = Painting.load(FOLDER / f"{stem}.safetensors")
    assert torch.equal(painting.strokes, VALUES[f"{stem}/strokes"])
    assert painting.size() == (20, 28)
    # Another processor rounds vector instructions differently, in the last bits.
    torch.testing.assert_close(painting.render(28, load_brush(name)), VALUES[f"{stem}/render"], atol=3e-5, rtol=0)


def test_the_reference_brush_still_draws_an_old_painting() -> None:
    painting = Painting.load(FOLDER / "bezier.safetensors")
    torch.testing.assert_close(painting.render(28), VALUES["bezier/reference"], atol=3e-5, rtol=0)


def test_saving_an_old_painting_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for path in sorted(FOLDER.glob("*.safetensors")):
        if path.stem != "values":
            Painting.load(path).save(tmp_path / path.name)
            assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(("name", "fingerprint"), json.loads((FOLDER / "checkpoint_hashes.json").read_text()).items())
def test_shipped_checkpoints_hold_the_same_weights(name: str, fingerprint: str) -> None:
    assert Checkpoint.load(name).hash() == fingerprint
