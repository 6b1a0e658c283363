"""The contract of `renderer.brush.Brush` as checks; `check_brush` runs them all on a brush."""

import json
from collections.abc import Callable

import torch
from torch import Tensor

from renderer.brush import Brush, Mark, Patches, Window
from renderer.canvas import over, paint, paint_steps

SIZE = (20, 28)  # not square
SOFT = 0.02  # alpha that a soft edge may leave beyond the bounds


def sample(brush: Brush, n: int, seed: int = 0) -> Tensor:
    """Strokes `(n, P)` of all kinds."""
    return brush.space.sample(n, torch.Generator().manual_seed(seed))


def middling(brush: Brush, n: int, seed: int = 0) -> Tensor:
    """Strokes `(n, P)` with values between a quarter and three quarters of their ranges."""
    return 0.25 + 0.5 * sample(brush, n, seed)


def draw(brush: Brush, strokes: Tensor, size: tuple[int, int] = SIZE, window: Window | None = None) -> Mark:
    """Draw strokes."""
    mark = brush(strokes, size, window)
    assert isinstance(mark, Mark)
    return mark


def close(actual: Tensor, expected: Tensor, atol: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def check_attributes(brush: Brush) -> None:
    """A space with a colour, explicit flags, a device, a mean brush of the same space, and a record for JSON."""
    assert isinstance(brush, Brush)
    assert brush.space.field("colour").size == 3
    assert brush.differentiable in (True, False)
    assert brush.textured in (True, False)
    assert isinstance(brush.device, torch.device)
    mean = brush.mean_brush()
    assert isinstance(mean, Brush)
    assert mean.space == brush.space
    assert mean.differentiable == brush.differentiable
    assert json.loads(json.dumps(brush.provenance())) == brush.provenance()


def check_shapes_and_range(brush: Brush) -> None:
    """On canvases of any aspect, alphas and colours have their shapes, and values in [0, 1]."""
    strokes = sample(brush, 5)
    for size in ((16, 16), SIZE, (31, 9)):
        mark = draw(brush, strokes, size)
        assert mark.alpha.shape == (5, 1, *size)
        assert mark.colour.shape == ((5, 3, *size) if brush.textured else (5, 3, 1, 1))
        for values in mark:
            assert values.dtype == torch.float32
            assert values.isfinite().all()
            assert values.min() >= 0
            assert values.max() <= 1 + 1e-6
        assert mark.alpha.flatten(1).std(1).max() > 0.01, "something is drawn"
        if not brush.textured:
            assert torch.equal(mark.colour[:, :, 0, 0], brush.space.get(strokes, "colour"))
    assert draw(brush, strokes[:0]).alpha.shape == (0, 1, *SIZE), "no strokes are no marks"


def check_batch_equals_one_by_one(brush: Brush) -> None:
    """A mark does not depend on the other strokes of its batch, nor on what was drawn before."""
    strokes = sample(brush, 4, 3)
    together = draw(brush, strokes)
    for i in (2, 0, 3, 1):
        close(draw(brush, strokes[i : i + 1]).alpha[0], together.alpha[i], 1e-4)
    assert torch.equal(draw(brush, strokes).alpha, together.alpha), "the same again"


def check_window_equals_crop(brush: Brush) -> None:
    """A window shows the part of the whole mark; it may hang over the canvas' edges."""
    strokes = sample(brush, 4, 4)
    whole = draw(brush, strokes).alpha
    left, top = torch.tensor([0, 5, 18, -3]), torch.tensor([0, 7, 12, 11])
    window = draw(brush, strokes, SIZE, Window(left, top, 11, 10))
    assert window.alpha.shape == (4, 1, 11, 10)
    assert window.colour.shape == ((4, 3, 11, 10) if brush.textured else (4, 3, 1, 1))
    for i, (x, y) in enumerate(zip(left.tolist(), top.tolist(), strict=True)):
        inside = window.alpha[i, :, max(0, -y) : SIZE[0] - y, max(0, -x) : SIZE[1] - x]
        crop = whole[i, :, max(0, y) : y + 11, max(0, x) : x + 10]
        # Engines count in fixed point from the window's corner: now and then one of 16 samples of a pixel differs.
        close(inside, crop, 1e-5 if brush.differentiable else 1 / 16)
        assert (inside - crop).abs().mean() < 1e-3


def check_invisible_strokes(brush: Brush) -> None:
    """Without opacity a stroke leaves the canvas as it is, bit for bit."""
    strokes = sample(brush, 6, 1)
    strokes[:, brush.space.columns("opacity")] = 0
    canvas = torch.rand(6, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    assert torch.equal(over(canvas, draw(brush, strokes)), canvas)
    assert torch.equal(paint(canvas, strokes[:, None], brush), canvas)


def check_colour_does_not_change_alpha(brush: Brush) -> None:
    """Agents rely on it: the optimal colour of a mark has a closed form."""
    strokes = sample(brush, 3, 5)
    other = brush.space.put(strokes, "colour", 1 - brush.space.get(strokes, "colour"))
    assert torch.equal(draw(brush, strokes).alpha, draw(brush, other).alpha)


def check_gradient_into_every_field(brush: Brush) -> None:
    """Of a differentiable brush, into every column; of others, none."""
    strokes = middling(brush, 8, 5).requires_grad_()
    mark = draw(brush, strokes)
    if not brush.differentiable:
        assert not mark.alpha.requires_grad
        return
    goal = torch.rand(8, 3, *SIZE, generator=torch.Generator().manual_seed(6))
    (over(torch.ones(8, 3, *SIZE), mark) - goal).square().sum().backward()
    assert strokes.grad is not None
    assert strokes.grad.isfinite().all()
    for field in brush.space.fields:
        assert (strokes.grad[:, brush.space.columns(field.name)].abs().amax(0) > 1e-6).all(), field.name


def check_bounds_contain_the_mark(brush: Brush) -> None:
    """Whole pixels inside the canvas; beyond them no more than a soft edge is seen."""
    strokes = sample(brush, 30, 7)
    alpha = draw(brush, strokes).alpha[:, 0]
    sides = brush.bounds(strokes, SIZE)
    assert all(side.shape == (30,) and not side.is_floating_point() for side in sides)
    for i, (left, top, right, bottom) in enumerate(torch.stack(sides, 1).tolist()):
        assert 0 <= left < SIZE[1]
        assert 0 <= top < SIZE[0]
        assert right <= SIZE[1]
        assert bottom <= SIZE[0]
        alpha[i, top:bottom, left:right] = 0
    assert alpha.max() < SOFT


def check_patches_equal_the_whole_mark(brush: Brush) -> None:
    """Each on its own box, by default and on given boxes; also stroke by stroke, and painted."""
    strokes = sample(brush, 12, 8)
    whole = draw(brush, strokes)
    given = torch.tensor([[2, 3, 9, 11], [4, 0, 17, 5], [0, 6, 28, 14]]).repeat(4, 1)
    streamed = [patches for part in brush.stream(strokes, SIZE, 5) for patches in part_by_stroke(part)]
    assert len(streamed) == 12
    for i in range(12):
        one_box = given[i : i + 1]
        patches = brush.patches(strokes[i : i + 1], SIZE, one_box)
        assert torch.equal(patches.box, one_box)
        compare(patches, 0, whole, i, brush)
        compare(streamed[i][0], streamed[i][1], whole, i, brush, beyond=True)
    for patches in (brush.patches(strokes, SIZE, given), brush.patches(strokes, SIZE)):
        assert len(patches) == 12
        for i in range(12):
            compare(patches, i, whole, i, brush)
    assert len(brush.patches(strokes[:0], SIZE)) == 0
    expected = canvas = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(9))
    for i in range(12):
        expected = over(expected[None], Mark(*(part[i : i + 1] for part in whole)))[0]
    *_, last = paint_steps(canvas, strokes, brush, every=5)
    close(last, paint(canvas, strokes, brush), 1e-4)
    close(last, expected, 0.05)
    assert (last - expected).abs().mean() < 2e-3


def part_by_stroke(part: Patches) -> list[tuple[Patches, int]]:
    return [(part, i) for i in range(len(part))]


def compare(patches: Patches, i: int, whole: Mark, k: int, brush: Brush, *, beyond: bool = False) -> None:
    """Stroke i of patches against mark k: inside its box equal, and with `beyond`, nothing is left out."""
    alpha = whole.alpha[k].clone()
    inside, mark = patches.on(alpha, i)
    close(mark, inside[0], 2e-5 if brush.differentiable else 1 / 16)
    seen = mark > 0.05
    colour, _ = patches.on(whole.colour[k].expand(3, *SIZE), i)
    assert ((patches.pigment(i) - colour).abs() * seen).sum() <= 0.02 * seen.sum()
    inside.zero_()
    assert not beyond or alpha.max() < SOFT


CHECKS: tuple[Callable[[Brush], None], ...] = (
    check_attributes,
    check_shapes_and_range,
    check_batch_equals_one_by_one,
    check_window_equals_crop,
    check_invisible_strokes,
    check_colour_does_not_change_alpha,
    check_gradient_into_every_field,
    check_bounds_contain_the_mark,
    check_patches_equal_the_whole_mark,
)


def check_brush(brush: Brush) -> None:
    """Raise `AssertionError` unless the brush keeps the contract."""
    for check in CHECKS:
        check(brush)
