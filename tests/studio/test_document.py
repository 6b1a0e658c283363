"""A document: painting, edits, undo and redo, and what a page asks."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from painter import Painter
from renderer.errors import InputError
from studio.document import BusyError, Document, compare
from studio.painters import Painters
from studio.presets import Settings
from tests.studio.conftest import QUICK

LINE = [(0.1, 0.5, 0.5), (0.5, 0.5, 1.0), (0.9, 0.5, 0.5)]


def strokes(document: Document) -> Tensor:
    return document.painting.strokes


def test_painting_is_one_edit_and_nearer_to_the_picture_than_the_bare_background(document: Document) -> None:
    bare = document.quality()
    steps = list(document.paint())
    assert document.count == document.cursor == 6
    assert torch.equal(strokes(document), steps[-1].strokes)
    assert document.quality().mse < bare.mse / 2
    assert sum(count for _, count in document.painting.provenance["layers"]) == 6
    assert document.undo() == "Paint"
    assert document.count == 0
    assert document.redo() == "Paint"
    assert torch.equal(strokes(document), steps[-1].strokes)
    with pytest.raises(InputError, match="nothing to redo"):
        document.redo()


def test_settings_shape_the_painting(document: Document) -> None:
    settings = Settings(
        strokes=5, size=32, palette="#ff0000,#0000ff", opacity=1.0, min_radius=0.05, background="#00ff00"
    )
    for _ in document.paint(settings):
        pass
    space = document.painting.space
    assert set(map(tuple, space.get(strokes(document), "colour").tolist())) <= {(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)}
    assert space.get(strokes(document), "opacity").min() == 1
    assert space.get(strokes(document), "radius").min() >= 0.05 - 1e-6
    assert document.painting.background == (0.0, 1.0, 0.0)
    assert document.settings == settings


def test_stopped_painting_is_kept_and_goes_on_exactly(document: Document, painters: Painters, tmp_path: Path) -> None:
    whole = [step.strokes for step in painters.get(QUICK).steps(document.picture, **QUICK.options())][-1]
    painting = document.paint()
    stopped = next(painting).strokes
    painting.close()  # type: ignore[attr-defined]
    assert document.unfinished
    assert torch.equal(strokes(document), stopped)
    for _ in document.go_on():
        pass
    assert not document.unfinished
    assert torch.equal(strokes(document), whole)
    document.undo()
    document.close()
    again = Document(document.folder, painters)  # the generator is gone: the agent adds what is missing
    for _ in again.go_on():
        pass
    assert again.count == 6
    assert torch.equal(strokes(again)[: len(stopped)], stopped)
    with pytest.raises(InputError, match="nothing to go on with"):
        next(again.go_on())
    again.close()


def test_a_document_that_is_painted_refuses_edits(document: Document) -> None:
    painting = document.paint()
    next(painting)
    for edit in (
        document.undo,
        lambda: document.add_stroke(LINE),
        lambda: document.cut(0),
        lambda: next(document.paint()),
    ):
        with pytest.raises(BusyError):
            edit()
    painting.close()  # type: ignore[attr-defined]
    document.add_stroke(LINE)


def test_no_edit_comes_between_the_beginning_and_what_is_kept(
    painted: Document, painters: Painters, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = painters.get

    def slow(settings: Settings) -> Painter:
        with pytest.raises(BusyError):
            painted.add_stroke(LINE)
        return get(settings)

    monkeypatch.setattr(painters, "get", slow)
    for _ in painted.more(2):
        pass
    assert painted.count == 8
    with pytest.raises(InputError, match="more strokes"):
        next(painted.more(20_000))
    assert not painted.busy


def test_more_strokes_go_on_from_the_cursor(painted: Document) -> None:
    first = strokes(painted).clone()
    painted.show(4)
    assert painted.facts()["cursor"] == 4
    for _ in painted.more(3):
        pass
    assert painted.count == 7
    assert torch.equal(strokes(painted)[:4], first[:4])
    painted.undo()
    assert torch.equal(strokes(painted), first)
    painted.cut(2)
    assert torch.equal(strokes(painted), first[:2])


def test_repainting_changes_only_the_mask(painted: Document) -> None:
    with pytest.raises(InputError, match="no mask"):
        next(painted.repaint(2))
    mask = np.zeros((30, 40), np.uint8)
    mask[:, :20] = 255
    painted.set_mask(mask)
    before = painted.canvas(size=32)
    for _ in painted.repaint(3):
        pass
    after = painted.canvas(size=32)
    assert painted.count == 9
    assert (after - before)[:, :, 17:].abs().max() < 1 / 255
    painted.set_mask(None)
    assert painted.mask_image() is None
    painted.undo()
    assert painted.mask_image() is not None


def test_own_strokes_are_not_painted_over(painted: Document) -> None:
    added = painted.add_stroke(LINE, radius=0.1, colour="#ff0000")
    assert bool(painted.state.locked[-added:].all())
    for _ in painted.more(5):
        pass
    red, green, _ = painted.canvas(size=32)[:, 12, 16].tolist()
    assert red > 0.8
    assert green < 0.2


def test_locked_strokes_stay(painted: Document) -> None:
    painted.lock([0, 2])
    before = strokes(painted).clone()
    with pytest.raises(InputError, match="unlock"):
        painted.erase([1, 2])
    for _ in painted.more(0, replace(QUICK, method="optimize", steps=3)):
        pass
    changed = (strokes(painted) != before).any(1)
    assert not changed[[0, 2]].any()
    assert changed.any()
    painted.lock([0, 2], locked=False)
    painted.erase([0, 2])
    assert painted.count == 4


def test_recolour(painted: Document) -> None:
    painted.add_stroke(LINE, colour="#c0392b")
    assert painted.recolour("#c0392b", "#2b7ac0", 0.02) >= 1
    assert painted.stroke(painted.count - 1).colour == "#2b7ac0"
    with pytest.raises(InputError, match="No stroke has a colour"):
        painted.recolour("#00ff00", "#000000", 0.01)


def test_queries(painted: Document) -> None:
    painted.add_stroke(LINE, radius=0.1, colour="#ff0000")
    found = painted.stroke_at(0.5, 0.5)
    assert found is not None
    assert (found.index, found.colour, found.locked) == (painted.count - 1, "#ff0000", True)
    assert {value.name: value.unit for value in found.values}["colour"] == "sRGB"
    painted.show(painted.count - 1)
    under = painted.stroke_at(0.5, 0.5)
    assert under is None or under.index < found.index
    path, (width, height) = painted.outline(found.index)
    assert path.startswith("M")
    assert (width, height) == (384, 288)
    for data, mode in (
        (painted.image(size=64), "RGB"),
        (painted.image(size=64, kind="png"), "RGB"),
        (painted.picture_image(64), "RGB"),
        (painted.error_image(size=64), "RGB"),
        (painted.outlines_image(size=64), "RGBA"),
    ):
        with Image.open(io.BytesIO(data)) as image:
            assert (image.size, image.mode) == ((64, 48), mode)
    with pytest.raises(InputError, match="no stroke 99"):
        painted.stroke(99)
    with pytest.raises(InputError, match="8 to 2048 pixels"):
        painted.image(size=100_000)


def test_session_round_trip(painted: Document, painters: Painters, tmp_path: Path) -> None:
    painted.add_stroke(LINE)
    painted.set_mask(np.eye(30, dtype=np.uint8) * 255)
    path = painted.save(tmp_path / "a.safetensors")
    assert str(tmp_path).encode() not in path.read_bytes()
    other = Document.from_session(tmp_path / "other", path, painters)
    assert torch.equal(strokes(other), strokes(painted))
    assert torch.equal(other.state.locked, painted.state.locked)
    assert torch.equal(other.picture, painted.picture)
    assert other.settings == painted.settings
    assert other.mask_image() == painted.mask_image()
    assert compare(painted, other).difference.mse < 1e-4
    assert other.save(tmp_path / "b.safetensors").read_bytes() == path.read_bytes()
    other.close()
