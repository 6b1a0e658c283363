"""Best colour and gain of strokes, and greedy painting of a round, on the GPU: see `agents.optimal_colour`.

Decoding is part of the kernels, so that no alpha is stored. Strokes are scored by one program each. They are painted by one
program for each picture, which walks its candidates in order, so that the host launches one kernel for a round.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from renderer.ops.triton_composite import constants, zeros_of
from renderer.ops.triton_decode import add_gradients, alpha

SCORE_WARPS, SCORE_BACKWARD_WARPS, PAINT_WARPS = 2, 4, 8
PAINT_SIDE = 32  # pixels of a tile's side where a single program paints a picture


@triton.jit
def _alpha_in_box(  # type: ignore[no-untyped-def]
    shapes,
    grids,
    sharpness,
    i,
    column,
    row,
    left,
    top,
    right,
    bottom,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The alpha of stroke i at column (1, SIDE) and row (SIDE, 1), and where these lie inside its box."""
    inside = (column >= left) & (column < right) & (row >= top) & (row < bottom)
    a = alpha(shapes, grids, sharpness, i, column + 0.5, row + 0.5, KIND, ROWS, COLUMNS)
    return tl.where(inside, a, 0.0), inside


@triton.jit
def _best(A, B, palette, COLOURS, channel: tl.constexpr):  # type: ignore[no-untyped-def]
    """One channel of the colour that leaves the least error; of `palette` (COLOURS, 3), if there is one."""
    r, g, b = A[0] / B, A[1] / B, A[2] / B
    best = tl.minimum(tl.maximum(A[channel] / B, 0.0), 1.0)
    nearest = float("inf")
    for k in range(COLOURS):
        pr, pg, pb = tl.load(palette + 3 * k), tl.load(palette + 3 * k + 1), tl.load(palette + 3 * k + 2)
        distance = (pr - r) * (pr - r) + (pg - g) * (pg - g) + (pb - b) * (pb - b)
        best = tl.where(distance < nearest, tl.load(palette + 3 * k + channel), best)
        nearest = tl.minimum(distance, nearest)
    return best


@triton.jit
def _fit(  # type: ignore[no-untyped-def]
    canvas,
    target,
    shapes,
    grids,
    sharpness,
    box,
    palette,
    i,
    picture,
    H,
    W,
    COLOURS,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SIDE: tl.constexpr,
):
    """Best colour (three numbers) of stroke i, and the squared error that it takes away from `picture`."""
    left, top = tl.load(box + i * 4), tl.load(box + i * 4 + 1)
    right, bottom = tl.load(box + i * 4 + 2), tl.load(box + i * 4 + 3)
    zero = tl.zeros((SIDE, SIDE), tl.float32)
    sum_r, sum_g, sum_b, square, gained = zero, zero, zero, zero, zero
    # Tiles of the canvas, not of the box: a thread meets the same pixels for every stroke.
    first, across = left // SIDE, tl.cdiv(right, SIDE) - left // SIDE
    down = tl.cdiv(bottom, SIDE) - top // SIDE
    for tile in range(across * down):
        column = (first + tile % across) * SIDE + tl.arange(0, SIDE)[None, :]
        row = (top // SIDE + tile // across) * SIDE + tl.arange(0, SIDE)[:, None]
        a, inside = _alpha_in_box(
            shapes, grids, sharpness, i, column, row, left, top, right, bottom, KIND, ROWS, COLUMNS
        )
        at = picture.to(tl.int64) * 3 * H * W + row * W + column
        square += a * a
        for channel in tl.static_range(3):
            b = tl.load(canvas + at + channel * H * W, mask=inside, other=0.0)
            d = tl.load(target + at + channel * H * W, mask=inside, other=0.0) - b
            e = d + a * b
            gained += d * d - e * e
            if channel == 0:
                sum_r += a * e
            elif channel == 1:
                sum_g += a * e
            else:
                sum_b += a * e
    B = tl.sum(square) + 1e-8
    A = (tl.sum(sum_r), tl.sum(sum_g), tl.sum(sum_b))
    r, g, b = (_best(A, B, palette, COLOURS, 0), _best(A, B, palette, COLOURS, 1), _best(A, B, palette, COLOURS, 2))
    gain = tl.sum(gained) + 2 * (r * A[0] + g * A[1] + b * A[2]) - (r * r + g * g + b * b) * B
    return r, g, b, gain


@triton.jit(do_not_specialize=["K", "H", "W", "COLOURS"])
def _score(  # type: ignore[no-untyped-def]
    canvas,
    target,
    shapes,
    grids,
    sharpness_at,
    box,
    palette,
    gain,
    colour,
    K,
    H,
    W,
    COLOURS,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SIDE: tl.constexpr,
):
    i = tl.program_id(0)
    sharpness = tl.load(sharpness_at)
    r, g, b, gained = _fit(
        canvas,
        target,
        shapes,
        grids,
        sharpness,
        box,
        palette,
        i,
        i // K,
        H,
        W,
        COLOURS,
        KIND,
        ROWS,
        COLUMNS,
        SIDE,
    )
    tl.store(gain + i, gained)
    tl.store(colour + 3 * i, r)
    tl.store(colour + 3 * i + 1, g)
    tl.store(colour + 3 * i + 2, b)


@triton.jit(do_not_specialize=["K", "H", "W"])
def _score_backward(  # type: ignore[no-untyped-def]
    canvas,
    target,
    shapes,
    grids,
    sharpness_at,
    box,
    colour,
    grad,
    grad_shapes,
    grad_grids,
    K,
    H,
    W,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NODES: tl.constexpr,
    SIDE: tl.constexpr,
):
    i = tl.program_id(0)
    picture = i // K
    sharpness = tl.load(sharpness_at)
    grad_gain = tl.load(grad + i)
    left, top = tl.load(box + i * 4), tl.load(box + i * 4 + 1)
    right, bottom = tl.load(box + i * 4 + 2), tl.load(box + i * 4 + 3)
    across = tl.cdiv(right - left, SIDE)
    for tile in range(tl.program_id(1), across * tl.cdiv(bottom - top, SIDE), tl.num_programs(1)):
        column = left + (tile % across) * SIDE + tl.arange(0, SIDE)[None, :]
        row = top + (tile // across) * SIDE + tl.arange(0, SIDE)[:, None]
        a, inside = _alpha_in_box(
            shapes, grids, sharpness, i, column, row, left, top, right, bottom, KIND, ROWS, COLUMNS
        )
        at = picture.to(tl.int64) * 3 * H * W + row * W + column
        # The colour is optimal, or held at its limit or by the palette: only the direct effect of alpha remains.
        grad_alpha = tl.zeros((SIDE, SIDE), tl.float32)
        for channel in tl.static_range(3):
            b = tl.load(canvas + at + channel * H * W, mask=inside, other=0.0)
            t = tl.load(target + at + channel * H * W, mask=inside, other=0.0)
            step = tl.load(colour + 3 * i + channel) - b
            grad_alpha += step * (t - b - a * step)
        grad_alpha = tl.where(inside, 2 * grad_gain * grad_alpha, 0.0)
        add_gradients(
            shapes,
            grids,
            sharpness,
            i,
            column + 0.5,
            row + 0.5,
            grad_alpha,
            grad_shapes,
            grad_grids,
            KIND,
            ROWS,
            COLUMNS,
            NODES,
        )


@triton.jit(do_not_specialize=["K", "LIMIT", "H", "W", "COLOURS"])
def _paint(  # type: ignore[no-untyped-def]
    canvas,
    target,
    shapes,
    grids,
    sharpness_at,
    box,
    order,
    least,
    palette,
    painted,
    colour,
    K,
    LIMIT,
    H,
    W,
    COLOURS,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SIDE: tl.constexpr,
):
    picture = tl.program_id(0)
    sharpness = tl.load(sharpness_at)
    done, k = 0, 0
    while (k < K) & (done < LIMIT):
        i = tl.load(order + picture * K + k).to(tl.int32)
        r, g, b, gained = _fit(
            canvas,
            target,
            shapes,
            grids,
            sharpness,
            box,
            palette,
            i,
            picture,
            H,
            W,
            COLOURS,
            KIND,
            ROWS,
            COLUMNS,
            SIDE,
        )
        tl.store(colour + 3 * i, r)
        tl.store(colour + 3 * i + 1, g)
        tl.store(colour + 3 * i + 2, b)
        if gained >= tl.load(least + i):
            left, top = tl.load(box + i * 4), tl.load(box + i * 4 + 1)
            right, bottom = tl.load(box + i * 4 + 2), tl.load(box + i * 4 + 3)
            first, across = left // SIDE, tl.cdiv(right, SIDE) - left // SIDE
            down = tl.cdiv(bottom, SIDE) - top // SIDE
            for tile in range(across * down):
                column = (first + tile % across) * SIDE + tl.arange(0, SIDE)[None, :]
                row = (top // SIDE + tile // across) * SIDE + tl.arange(0, SIDE)[:, None]
                a, inside = _alpha_in_box(
                    shapes, grids, sharpness, i, column, row, left, top, right, bottom, KIND, ROWS, COLUMNS
                )
                at = canvas + picture.to(tl.int64) * 3 * H * W + row * W + column
                red = tl.load(at, mask=inside, other=0.0)
                green = tl.load(at + H * W, mask=inside, other=0.0)
                blue = tl.load(at + 2 * H * W, mask=inside, other=0.0)
                tl.store(at, red + a * (r - red), mask=inside)
                tl.store(at + H * W, green + a * (g - green), mask=inside)
                tl.store(at + 2 * H * W, blue + a * (b - blue), mask=inside)
            tl.store(painted + picture * LIMIT + done, i.to(tl.int64))
            done += 1
            tl.debug_barrier()
        k += 1


@torch.library.custom_op("kaokore_painter::score", mutates_args=())
def score(
    canvas: Tensor,
    target: Tensor,
    shapes: Tensor,
    grids: Tensor,
    sharpness: Tensor,
    box: Tensor,
    palette: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The gain (B * K,) of strokes, each alone on its canvas, and their best colours (B * K, 3).

    The gain is differentiable in shapes, grids and sharpness, not in the canvas.

    Args:
        canvas: (B, 3, H, W).
        target: (B, 3, H, W).
        shapes: B * K strokes, see `renderer.ops.triton_composite.composite`.
        grids: of the same strokes.
        sharpness: () of stroke maps.
        box: (B * K, 4) of the same strokes.
        palette: (P, 3), the only colours allowed, if given.
    """
    canvas, target, shapes, grids, box = (x.contiguous() for x in (canvas, target, shapes, grids, box))
    count, (H, W) = len(shapes), canvas.shape[-2:]
    gain, colour = canvas.new_empty(count), canvas.new_empty(count, 3)
    if count > 0:
        tensors = (canvas, target, shapes, grids, sharpness, box, _given(palette, canvas), gain, colour)
        sizes = (count // len(canvas), H, W, 0 if palette is None else len(palette))
        _score[(count,)](*tensors, *sizes, **_constants(shapes, grids), num_warps=SCORE_WARPS)
    return gain, colour


@torch.library.custom_op("kaokore_painter::score_backward", mutates_args=())
def score_backward(
    canvas: Tensor,
    target: Tensor,
    shapes: Tensor,
    grids: Tensor,
    sharpness: Tensor,
    box: Tensor,
    colour: Tensor,
    grad: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradients of shapes (B * K, 16), with that of the sharpness in column 14, and grids."""
    canvas, target, shapes, grids, box = (x.contiguous() for x in (canvas, target, shapes, grids, box))
    count, (H, W) = len(shapes), canvas.shape[-2:]
    grads = zeros_of(shapes.new_empty(count, 16), grids)
    if count > 0:
        how = _constants(shapes, grids)
        tensors = (canvas, target, shapes, grids, sharpness, box, colour, grad.contiguous(), *grads)
        nodes = max(16, triton.next_power_of_2(how["ROWS"]))
        shares = max(1, min(8, 4096 // count))  # programs that share a stroke, so that few strokes fill a GPU too
        _score_backward[(count, shares)](
            *tensors, count // len(canvas), H, W, **how, NODES=nodes, num_warps=SCORE_BACKWARD_WARPS
        )
    return grads[0], grads[1]


@torch.library.custom_op("kaokore_painter::paint_greedily", mutates_args=())
def paint_greedily(
    canvas: Tensor,
    target: Tensor,
    shapes: Tensor,
    grids: Tensor,
    sharpness: Tensor,
    box: Tensor,
    order: Tensor,
    least: Tensor,
    limit: int,
    palette: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Paint candidates in order, each in the colour that is best when its turn comes. Not differentiable.

    Args:
        canvas: as of `score`, and so are the next five.
        target: (B, 3, H, W).
        shapes: B * K strokes.
        grids: of the same strokes.
        sharpness: () of stroke maps.
        box: (B * K, 4) of the same strokes.
        order: (B, K) indices 0 .. B * K - 1, those of each picture in the order of painting.
        least: (B * K,) or (B, K); a candidate that gains less is passed over.
        limit: how many strokes of a picture are painted at most.
        palette: as of `score`.

    Returns:
        The canvases afterwards; the indices of the painted strokes (B, limit), -1 where there were too few; the colours
        (B * K, 3), valid for painted strokes.
    """
    canvas = canvas.clone(memory_format=torch.contiguous_format)
    target, shapes, grids, box, order, least = (x.contiguous() for x in (target, shapes, grids, box, order, least))
    (B, K), (H, W) = order.shape, canvas.shape[-2:]
    painted = torch.full((B, limit), -1, dtype=torch.long, device=canvas.device)
    colour = canvas.new_zeros(len(shapes), 3)
    tensors = (canvas, target, shapes, grids, sharpness, box, order, least, _given(palette, canvas), painted, colour)
    sizes = (K, limit, H, W, 0 if palette is None else len(palette))
    how = {**_constants(shapes, grids), "SIDE": PAINT_SIDE}
    _paint[(B,)](*tensors, *sizes, **how, num_warps=PAINT_WARPS)
    return canvas, painted, colour


def _given(palette: Tensor | None, canvas: Tensor) -> Tensor:
    """A kernel needs an address, also where it reads nothing from it."""
    return canvas if palette is None else palette.contiguous()


def _constants(shapes: Tensor, grids: Tensor) -> dict[str, int]:
    how = constants(shapes, grids)
    del how["CHUNK"]
    return how


@score.register_fake
def _(canvas, target, shapes, grids, sharpness, box, palette):  # type: ignore[no-untyped-def]
    return canvas.new_empty(len(shapes)), canvas.new_empty(len(shapes), 3)


@score_backward.register_fake
def _(canvas, target, shapes, grids, sharpness, box, colour, grad):  # type: ignore[no-untyped-def]
    return shapes.new_empty(len(shapes), 16), torch.empty_like(grids, memory_format=torch.contiguous_format)


@paint_greedily.register_fake
def _(canvas, target, shapes, grids, sharpness, box, order, least, limit, palette):  # type: ignore[no-untyped-def]
    painted = torch.empty(len(canvas), limit, dtype=torch.long, device=canvas.device)
    return torch.empty_like(canvas, memory_format=torch.contiguous_format), painted, canvas.new_empty(len(shapes), 3)


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs[:6], output[1])


def _differentiate(ctx, grad_gain, _):  # type: ignore[no-untyped-def]
    shapes, grids = score_backward(*ctx.saved_tensors, grad_gain)
    sharpness = shapes[:, 14].sum() if ctx.needs_input_grad[4] else None
    return None, None, shapes[:, : ctx.saved_tensors[2].shape[1]], grids, sharpness, None, None


score.register_autograd(_differentiate, setup_context=_save)
