from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.figures.clip_sheet import draw_clip, flicker, still_area
from painter import OptimizeConfig, Painter
from painter.persistent import ClipConfig, ClipFrame
from renderer.errors import InputError
from renderer.io.clip_file import PaintedClip
from renderer.io.images import fit, read_image
from renderer.io.painting import PaintingError

SIZE, STROKES = 48, 60
OPTIONS = {"strokes": STROKES, "size": SIZE, "seed": 0}


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return fit(read_image("docs/images/hikime.png", SIZE), SIZE)


@pytest.fixture(scope="module")
def frames(picture: Tensor) -> list[Tensor]:
    return list(draw_clip(picture, 5))


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter("agent")


@pytest.fixture(scope="module")
def painted(painter: Painter, frames: list[Tensor]) -> list[ClipFrame]:
    return list(painter.paint_clip(iter(frames), **OPTIONS))


def test_still_areas_do_not_flicker(
    painter: Painter, painted: list[ClipFrame], frames: list[Tensor], picture: Tensor
) -> None:
    """At most a third of the difference of frames painted alone, and about their error."""
    ours = [frame.painting.render() for frame in painted]
    alone = [painting.render() for painting in painter.paint_batch(frames, **OPTIONS)]
    still = still_area(picture)
    assert flicker(ours, still) < flicker(alone, still) / 3
    ours_error, error = (
        sum(float((a - b).square().mean()) for a, b in zip(images, frames, strict=True)) for images in (ours, alone)
    )
    assert ours_error < 1.25 * error


def test_frames_are_painted_in_turn(painter: Painter, painted: list[ClipFrame], frames: list[Tensor]) -> None:
    assert [frame.index for frame in painted] == list(range(5))
    assert [frame.cut for frame in painted] == [True, False, False, False, False]
    assert all(0 < frame.changed < 0.5 for frame in painted[1:])
    assert all(tuple(frame.painting.strokes.shape) == (STROKES, 13) for frame in painted)
    assert all(torch.equal(frame.target, target) for frame, target in zip(painted, frames, strict=True))
    assert torch.equal(painted[0].painting.strokes, painter.paint(frames[0], **OPTIONS).strokes)
    # Strokes that mark nothing of what changed stay bit for bit.
    before, after = (set(map(tuple, frame.painting.strokes.tolist())) for frame in painted[:2])
    assert STROKES / 4 < len(before & after) < STROKES


def test_frames_are_read_as_they_are_needed(painter: Painter, frames: list[Tensor]) -> None:
    read = []

    def source():
        for i, frame in enumerate(frames):
            read.append(i)
            yield frame

    steps = painter.paint_clip(source(), ClipConfig(steps=1), strokes=3, size=16)
    next(steps)
    assert read == [0]
    next(steps)
    assert read == [0, 1]


def test_strokes_move_with_the_picture(painter: Painter) -> None:
    """A camera that pans: the frames are as close as those painted alone."""
    whole = read_image("docs/images/hikime.png")
    frames = [fit(whole[:, 60:380, left : left + 320], SIZE) for left in range(10, 70, 15)]
    ours = [frame.painting.render() for frame in painter.paint_clip(frames, **OPTIONS)]
    alone = [painting.render() for painting in painter.paint_batch(frames, **OPTIONS)]
    errors = [
        sum(float((a - b).square().mean()) for a, b in zip(images, frames, strict=True)) for images in (ours, alone)
    ]
    assert errors[0] < 1.1 * errors[1]


def test_a_still_clip_keeps_every_stroke(painter: Painter, picture: Tensor) -> None:
    first, *others = painter.paint_clip([picture] * 3, strokes=5, size=SIZE)
    assert all(torch.equal(frame.painting.strokes, first.painting.strokes) for frame in others)
    assert [frame.changed for frame in others] == [0, 0]


def test_a_cut_begins_anew(painter: Painter, picture: Tensor) -> None:
    clip = [picture, picture, 1 - picture, 1 - picture]
    painted = list(painter.paint_clip(clip, ClipConfig(steps=2), strokes=8, size=SIZE, background="mean"))
    assert [frame.cut for frame in painted] == [True, False, True, False]
    alone = painter.paint(1 - picture, strokes=8, size=SIZE, background="mean")
    assert torch.equal(painted[2].painting.strokes, alone.strokes)
    assert painted[2].painting.background == alone.background == painted[3].painting.background


def test_background_and_palette_stay_until_a_cut(painter: Painter, frames: list[Tensor]) -> None:
    from painter import StrokeConstraints

    limits = StrokeConstraints(palette=3)
    clip = painter.paint_clip(
        frames[:3], ClipConfig(steps=3), strokes=20, size=SIZE, background="mean", constraints=limits
    )
    paintings = [frame.painting for frame in clip]
    assert len({painting.background for painting in paintings}) == 1
    colours = torch.cat([painting.space.get(painting.strokes, "colour") for painting in paintings])
    assert len(set(map(tuple, (255 * colours).round().tolist()))) <= 3


@pytest.mark.parametrize("method", ["optimize", "hybrid"])
def test_other_methods(method, frames: list[Tensor]) -> None:
    painter = Painter(method, config=OptimizeConfig(steps=3), brush="ink")
    painted = list(painter.paint_clip(frames[:2], ClipConfig(steps=2), strokes=6, size=32))
    assert [len(frame.painting.strokes) for frame in painted] == [6, 6]


def test_equal_seeds_give_equal_clips(painter: Painter, painted: list[ClipFrame], frames: list[Tensor]) -> None:
    again = list(painter.paint_clip(frames[:3], **OPTIONS))
    assert torch.equal(again[2].painting.strokes, painted[2].painting.strokes)


def test_frames_of_two_sizes(painter: Painter, picture: Tensor) -> None:
    with pytest.raises(InputError, match=r"^Frame 1 [^\n]*size[^\n]*\.$"):
        list(painter.paint_clip([picture, picture[:, :20]], strokes=3, size=SIZE))


def test_round_trip(painted: list[ClipFrame], tmp_path: Path) -> None:
    paintings = [frame.painting for frame in painted]
    PaintedClip.of(paintings, Fraction(30000, 1001), {"seed": 0}).save(tmp_path / "a.safetensors")
    clip = PaintedClip.load(tmp_path / "a.safetensors")
    assert (len(clip), clip.fps, clip.provenance) == (5, Fraction(30000, 1001), {"seed": 0})
    for i, painting in enumerate(paintings):
        assert torch.equal(clip.frame(i).render(), painting.render())
    with pytest.raises(InputError, match="0 to 4"):
        clip.frame(5)


@pytest.mark.parametrize("length", [0, 100, 3000])
def test_damaged_files_are_one_line(painted: list[ClipFrame], tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    PaintedClip.of([frame.painting for frame in painted], Fraction(25), {}).save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(PaintingError, match=r"^[^\n]+\.$"):
        PaintedClip.load(path)
    painted[0].painting.save(path)
    with pytest.raises(PaintingError, match="not a painted clip"):
        PaintedClip.load(path)
