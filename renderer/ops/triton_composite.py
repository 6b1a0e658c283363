"""Compositing of learned strokes on the GPU: decoding and `over` in one kernel, forward and backward.

The canvas is cut into tiles of SIDE x SIDE pixels, as in rasterisers for Gaussian splatting. A program takes one tile after
another; it lists the strokes that come near the tile, in painting order, and lays them over the tile's pixels, which stay
in registers. No alpha is ever stored.

The backward pass needs what each stroke covered. To compute it backwards would divide by 1 - alpha, which may be 0, so
the program repeats the forward pass of its tile in segments of DEPTH strokes: it keeps the canvas before each segment, and
before each stroke of one segment, in a scratch buffer of its own. With DEPTH = sqrt(N) both are small, and no stroke is
drawn more than three times.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from renderer.ops.triton_decode import STROKE_MAP, add_gradients, alpha

SIDE = 16  # pixels of a tile's side
CHUNK = 128  # boxes that a program compares with its tile at once
FORWARD_PROGRAMS, BACKWARD_PROGRAMS = 16, 4  # for each multiprocessor; fewer where each needs scratch memory
FORWARD_WARPS, BACKWARD_WARPS = 2, 2
FADED = tl.constexpr(18.0)  # the logistic function of -18 is 1.5e-8, below rounding
LEAST_DEPTH = 32  # strokes of a segment of the backward pass, at least


@triton.jit
def _distance(shapes, i, x, y, met, KIND: tl.constexpr):  # type: ignore[no-untyped-def]
    """A lower bound of the distance of a place from the curves of strokes i (CHUNK,), less their radii, in pixels.

    Chords of a parabola a t^2 + b t + c over an eighth of its length lie within |a| / 256 of it.
    """
    if KIND == STROKE_MAP:
        s = shapes + i * 14
        ax, bx, cx = (tl.load(s + 4, mask=met), tl.load(s + 5, mask=met), tl.load(s + 6, mask=met))
        ay, by, cy = (tl.load(s + 7, mask=met), tl.load(s + 8, mask=met), tl.load(s + 9, mask=met))
        radius = tl.load(s + 10, mask=met)
        radius = tl.maximum(radius, radius + tl.load(s + 11, mask=met))
    else:
        s = shapes + i * 15
        cx, bx, ax = (tl.load(s, mask=met), tl.load(s + 2, mask=met), tl.load(s + 4, mask=met))
        cy, by, ay = (tl.load(s + 1, mask=met), tl.load(s + 3, mask=met), tl.load(s + 5, mask=met))
        radius = tl.load(s + 12, mask=met)
    px, py = cx - x, cy - y
    least = px * px + py * py
    for k in tl.static_range(1, 9):
        t = k / 8
        qx, qy = (ax * t + bx) * t + cx - x, (ay * t + by) * t + cy - y
        ux, uy = qx - px, qy - py
        along = -(px * ux + py * uy) / (ux * ux + uy * uy + 1e-12)
        along = tl.minimum(tl.maximum(along, 0.0), 1.0)
        dx, dy = px + along * ux, py + along * uy
        least = tl.minimum(least, dx * dx + dy * dy)
        px, py = qx, qy
    return tl.sqrt(least) - tl.sqrt(ax * ax + ay * ay) / 256 - radius


@triton.jit
def _listed(  # type: ignore[no-untyped-def]
    listing, box, shapes, sharpness, first, N, left, top, KIND: tl.constexpr, SIDE: tl.constexpr, CHUNK: tl.constexpr
):
    """Write the strokes first .. first + N - 1 that mark a tile to `listing`, in order, and return their number."""
    boxed = 0
    for start in range(0, N, CHUNK):
        i = start + tl.arange(0, CHUNK)
        valid = i < N
        at = box + (first + i) * 4
        meets = valid & (tl.load(at, mask=valid, other=0) < left + SIDE)
        meets = meets & (tl.load(at + 1, mask=valid, other=0) < top + SIDE)
        meets = meets & (tl.load(at + 2, mask=valid, other=0) > left)
        meets = meets & (tl.load(at + 3, mask=valid, other=0) > top)
        hit = meets.to(tl.int32)
        tl.store(listing + boxed + tl.cumsum(hit, 0) - 1, first + i, mask=meets)
        boxed += tl.sum(hit, 0)
    tl.debug_barrier()  # other threads read what these have written
    # A thin stroke meets few of the tiles of its box. FADED is where the edge of a stroke map rounds to nothing.
    reach = SIDE * 0.7072
    if KIND == STROKE_MAP:
        reach += FADED / tl.maximum(sharpness, 0.1)
    count = 0
    for start in range(0, boxed, CHUNK):
        at = start + tl.arange(0, CHUNK)
        valid = at < boxed
        i = tl.load(listing + at, mask=valid, other=first)
        near = valid & (_distance(shapes, i, left + SIDE / 2, top + SIDE / 2, valid, KIND) < reach)
        hit = near.to(tl.int32)
        tl.debug_barrier()  # the list is shortened in place
        tl.store(listing + count + tl.cumsum(hit, 0) - 1, i, mask=near)
        count += tl.sum(hit, 0)
    tl.debug_barrier()
    return count


@triton.jit
def _covering(  # type: ignore[no-untyped-def]
    shapes, grids, sharpness, box, i, column, row, KIND: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """The alpha of stroke i on the pixels at column (1, SIDE) and row (SIDE, 1), 0 outside its box."""
    left, top, right, bottom = (
        tl.load(box + i * 4),
        tl.load(box + i * 4 + 1),
        tl.load(box + i * 4 + 2),
        tl.load(box + i * 4 + 3),
    )
    inside = (column >= left) & (column < right) & (row >= top) & (row < bottom)
    a = alpha(shapes, grids, sharpness, i, column + 0.5, row + 0.5, KIND, ROWS, COLUMNS)
    return tl.where(inside, a, 0.0)


@triton.jit
def _over(r, g, b, a, colour, i):  # type: ignore[no-untyped-def]
    """Lay the colour of stroke i over three channels."""
    r += a * (tl.load(colour + 3 * i) - r)
    g += a * (tl.load(colour + 3 * i + 1) - g)
    b += a * (tl.load(colour + 3 * i + 2) - b)
    return r, g, b


@triton.jit(do_not_specialize=["B", "N", "H", "W"])
def _forward(  # type: ignore[no-untyped-def]
    canvas,
    shapes,
    grids,
    sharpness_at,
    colour,
    box,
    out,
    listings,
    B,
    N,
    H,
    W,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SIDE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    sharpness = tl.load(sharpness_at)
    listing = listings + tl.program_id(0).to(tl.int64) * N
    across, down = tl.cdiv(W, SIDE), tl.cdiv(H, SIDE)
    for tile in range(tl.program_id(0), B * across * down, tl.num_programs(0)):
        picture = tile // (across * down)
        top, left = (tile // across % down) * SIDE, (tile % across) * SIDE
        count = _listed(listing, box, shapes, sharpness, picture * N, N, left, top, KIND, SIDE, CHUNK)
        column, row = left + tl.arange(0, SIDE)[None, :], top + tl.arange(0, SIDE)[:, None]
        at = picture.to(tl.int64) * 3 * H * W + row * W + column
        valid = (column < W) & (row < H)
        r = tl.load(canvas + at, mask=valid, other=0.0)
        g = tl.load(canvas + at + H * W, mask=valid, other=0.0)
        b = tl.load(canvas + at + 2 * H * W, mask=valid, other=0.0)
        for k in range(count):
            i = tl.load(listing + k)
            a = _covering(shapes, grids, sharpness, box, i, column, row, KIND, ROWS, COLUMNS)
            r, g, b = _over(r, g, b, a, colour, i)
        tl.store(out + at, r, mask=valid)
        tl.store(out + at + H * W, g, mask=valid)
        tl.store(out + at + 2 * H * W, b, mask=valid)
        tl.debug_barrier()  # the list is free for the next tile


@triton.jit
def _keep(scratch, pixel, r, g, b, PIXELS: tl.constexpr):  # type: ignore[no-untyped-def]
    tl.store(scratch + pixel, r)
    tl.store(scratch + PIXELS + pixel, g)
    tl.store(scratch + 2 * PIXELS + pixel, b)


@triton.jit
def _kept(scratch, pixel, PIXELS: tl.constexpr):  # type: ignore[no-untyped-def]
    return tl.load(scratch + pixel), tl.load(scratch + PIXELS + pixel), tl.load(scratch + 2 * PIXELS + pixel)


@triton.jit(do_not_specialize=["B", "N", "H", "W", "DEPTH", "SEGMENTS"])
def _backward(  # type: ignore[no-untyped-def]
    canvas,
    shapes,
    grids,
    sharpness_at,
    colour,
    box,
    grad,
    grad_canvas,
    grad_shapes,
    grad_grids,
    grad_colour,
    listings,
    scratches,
    B,
    N,
    H,
    W,
    DEPTH,
    SEGMENTS,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NODES: tl.constexpr,
    LEAVE_OUT: tl.constexpr,
    SIDE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Gradients, or importance.

    With LEAVE_OUT, importance: `grad` is then what the finished canvas has above the target, and `grad_colour` (B * N,)
    takes the sums.
    """
    sharpness = tl.load(sharpness_at)
    PIXELS: tl.constexpr = SIDE * SIDE
    program = tl.program_id(0).to(tl.int64)
    listing = listings + program * N
    segments_at = scratches + program * ((SEGMENTS * 3 + DEPTH * 4) * PIXELS)  # the canvas before each segment
    strokes_at = segments_at + SEGMENTS * 3 * PIXELS  # the same before each stroke of a segment, and its alpha
    pixel = tl.arange(0, SIDE)[:, None] * SIDE + tl.arange(0, SIDE)[None, :]
    channel = tl.arange(0, 4)
    across, down = tl.cdiv(W, SIDE), tl.cdiv(H, SIDE)
    for tile in range(tl.program_id(0), B * across * down, tl.num_programs(0)):
        picture = tile // (across * down)
        top, left = (tile // across % down) * SIDE, (tile % across) * SIDE
        count = _listed(listing, box, shapes, sharpness, picture * N, N, left, top, KIND, SIDE, CHUNK)
        column, row = left + tl.arange(0, SIDE)[None, :], top + tl.arange(0, SIDE)[:, None]
        at = picture.to(tl.int64) * 3 * H * W + row * W + column
        valid = (column < W) & (row < H)
        r = tl.load(canvas + at, mask=valid, other=0.0)
        g = tl.load(canvas + at + H * W, mask=valid, other=0.0)
        b = tl.load(canvas + at + 2 * H * W, mask=valid, other=0.0)
        gr = tl.load(grad + at, mask=valid, other=0.0)
        gg = tl.load(grad + at + H * W, mask=valid, other=0.0)
        gb = tl.load(grad + at + 2 * H * W, mask=valid, other=0.0)
        through = tl.zeros((SIDE, SIDE), tl.float32) + 1  # what later strokes let through
        # First all segments but the last, forwards, for the canvas before each; then all, backwards, with gradients.
        segments = tl.maximum(tl.cdiv(count, DEPTH), 1)
        for phase in range(2 * segments - 1):
            segment = tl.minimum(phase, 2 * segments - 2 - phase)
            if phase < segments:
                _keep(segments_at + segment * 3 * PIXELS, pixel, r, g, b, PIXELS)
            else:
                r, g, b = _kept(segments_at + segment * 3 * PIXELS, pixel, PIXELS)
            length = tl.minimum(count - segment * DEPTH, DEPTH)
            for k in range(length):
                i = tl.load(listing + segment * DEPTH + k)
                a = _covering(shapes, grids, sharpness, box, i, column, row, KIND, ROWS, COLUMNS)
                _keep(strokes_at + k * 4 * PIXELS, pixel, r, g, b, PIXELS)
                tl.store(strokes_at + (k * 4 + 3) * PIXELS + pixel, a)
                r, g, b = _over(r, g, b, a, colour, i)
            tl.debug_barrier()
            back = tl.where(phase < segments - 1, 0, length)
            for step in range(back):
                k = length - 1 - step
                i = tl.load(listing + segment * DEPTH + k)
                r0, g0, b0 = _kept(strokes_at + k * 4 * PIXELS, pixel, PIXELS)
                a = tl.load(strokes_at + (k * 4 + 3) * PIXELS + pixel)
                if LEAVE_OUT:
                    red = through * a * (r0 - tl.load(colour + 3 * i))
                    green = through * a * (g0 - tl.load(colour + 3 * i + 1))
                    blue = through * a * (b0 - tl.load(colour + 3 * i + 2))
                    worse = red * (2 * gr + red) + green * (2 * gg + green) + blue * (2 * gb + blue)
                    tl.atomic_add(grad_colour + i, tl.sum(tl.where(valid, worse, 0.0)), sem="relaxed")
                    through = through * (1 - a)
                else:
                    total = tl.where(
                        channel == 1, tl.sum(gg * a), tl.where(channel == 0, tl.sum(gr * a), tl.sum(gb * a))
                    )
                    tl.atomic_add(grad_colour + 3 * i + channel, total, mask=channel < 3, sem="relaxed")
                    grad_alpha = gr * (tl.load(colour + 3 * i) - r0)
                    grad_alpha += gg * (tl.load(colour + 3 * i + 1) - g0)
                    grad_alpha += gb * (tl.load(colour + 3 * i + 2) - b0)
                    inside = (column >= tl.load(box + i * 4)) & (column < tl.load(box + i * 4 + 2)) & (column < W)
                    inside = inside & (row >= tl.load(box + i * 4 + 1)) & (row < tl.load(box + i * 4 + 3)) & (row < H)
                    grad_alpha = tl.where(inside, grad_alpha, 0.0)
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
                    gr, gg, gb = gr * (1 - a), gg * (1 - a), gb * (1 - a)
            tl.debug_barrier()  # the scratch is free for the next segment
        if not LEAVE_OUT:
            tl.store(grad_canvas + at, gr, mask=valid)
            tl.store(grad_canvas + at + H * W, gg, mask=valid)
            tl.store(grad_canvas + at + 2 * H * W, gb, mask=valid)


@torch.library.custom_op("kaokore_painter::composite", mutates_args=())
def composite(canvas: Tensor, shapes: Tensor, grids: Tensor, sharpness: Tensor, colour: Tensor, box: Tensor) -> Tensor:
    """Lay strokes over canvases, the first below. Differentiable in all but the boxes.

    Args:
        canvas: (B, 3, H, W), single precision, as all but `box`.
        shapes: B * N strokes as in `renderer.ops.triton_decode`, those of a picture one after another.
        grids: of the same strokes.
        sharpness: () of stroke maps; unused by textures.
        colour: (B * N, 3).
        box: (B * N, 4) int32: left, top, right, bottom in whole pixels; a stroke leaves nothing outside.

    Returns:
        The canvases afterwards, (B, 3, H, W).
    """
    canvas, shapes, grids, colour, box = (x.contiguous() for x in (canvas, shapes, grids, colour, box))
    B, _, H, W = canvas.shape
    N = len(shapes) // B
    if N == 0:
        return canvas.clone()
    out, programs = torch.empty_like(canvas), program_count(canvas, FORWARD_PROGRAMS)
    listings = torch.empty(programs * N, dtype=torch.int32, device=canvas.device)
    tensors = (canvas, shapes, grids, sharpness, colour, box, out, listings)
    _forward[(programs,)](*tensors, B, N, H, W, **constants(shapes, grids), num_warps=FORWARD_WARPS)
    return out


@torch.library.custom_op("kaokore_painter::composite_backward", mutates_args=())
def composite_backward(
    canvas: Tensor, shapes: Tensor, grids: Tensor, sharpness: Tensor, colour: Tensor, box: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of canvas, shapes (N, 16) with that of the sharpness in column 14, grids and colour."""
    canvas, shapes, grids, colour, box, grad = (x.contiguous() for x in (canvas, shapes, grids, colour, box, grad))
    N = len(shapes)
    grad_canvas = torch.empty_like(canvas)
    grad_shapes, grad_grids, grad_colour = zeros_of(shapes.new_empty(N, 16), grids, colour)
    if N == 0:
        return grad.clone(), grad_shapes, grad_grids, grad_colour
    grads = (grad_canvas, grad_shapes, grad_grids, grad_colour)
    _walk_back((canvas, shapes, grids, sharpness, colour, box, grad), grads, leave_out=False)
    return grads


@torch.library.custom_op("kaokore_painter::importance", mutates_args=())
def importance(
    canvas: Tensor, shapes: Tensor, grids: Tensor, sharpness: Tensor, colour: Tensor, box: Tensor, residual: Tensor
) -> Tensor:
    """By how much the squared error grows when a stroke is left out, (B * N,). Not differentiable.

    Args:
        canvas: before the strokes, (B, 3, H, W).
        shapes: as of `composite`.
        grids: as of `composite`.
        sharpness: as of `composite`.
        colour: (B * N, 3).
        box: as of `composite`.
        residual: the finished canvases less their targets, (B, 3, H, W).
    """
    tensors = [x.contiguous() for x in (canvas, shapes, grids, sharpness, colour, box, residual)]
    sums = canvas.new_zeros(len(shapes))
    if len(shapes) > 0:
        _walk_back(tuple(tensors), (sums, sums, sums, sums), leave_out=True)
    return sums


def _walk_back(tensors: tuple[Tensor, ...], results: tuple[Tensor, ...], *, leave_out: bool) -> None:
    """Launch `_backward`."""
    canvas, shapes, grids = tensors[:3]
    B, _, H, W = canvas.shape
    N = len(shapes) // B
    programs, depth = program_count(canvas, BACKWARD_PROGRAMS), max(1, min(N, max(LEAST_DEPTH, math.isqrt(N) + 1)))
    segments = max(1, -(-N // depth))
    listings = torch.empty(programs * N, dtype=torch.int32, device=canvas.device)
    scratch = canvas.new_empty(programs * (3 * segments + 4 * depth) * SIDE * SIDE)
    how = constants(shapes, grids)
    nodes = max(16, triton.next_power_of_2(how["ROWS"]))
    sizes = (B, N, H, W, depth, segments)
    _backward[(programs,)](
        *tensors,
        *results,
        listings,
        scratch,
        *sizes,
        **how,
        NODES=nodes,
        LEAVE_OUT=leave_out,
        num_warps=BACKWARD_WARPS,
    )


def program_count(canvas: Tensor, each: int) -> int:
    """How many programs share the tiles of canvases (B, 3, H, W), `each` for a multiprocessor."""
    tiles = len(canvas) * -(-canvas.shape[-2] // SIDE) * -(-canvas.shape[-1] // SIDE)
    if canvas.is_cuda:
        return min(tiles, each * torch.cuda.get_device_properties(canvas.device).multi_processor_count)
    return min(tiles, 2)  # Triton's interpreter runs programs one after another


def constants(shapes: Tensor, grids: Tensor) -> dict[str, int]:
    """What kernels are specialised for."""
    kind = 0 if shapes.shape[1] == 14 else 1
    return {"KIND": kind, "ROWS": grids.shape[-2], "COLUMNS": grids.shape[-1], "SIDE": SIDE, "CHUNK": CHUNK}


def zeros_of(*like: Tensor) -> tuple[Tensor, ...]:
    """Zeros in the shapes of `like`, cleared by a single launch."""
    made = tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in like)
    torch._foreach_zero_(made)
    return made


@composite.register_fake
def _(canvas, shapes, grids, sharpness, colour, box):  # type: ignore[no-untyped-def]
    return torch.empty_like(canvas, memory_format=torch.contiguous_format)


@composite_backward.register_fake
def _(canvas, shapes, grids, sharpness, colour, box, grad):  # type: ignore[no-untyped-def]
    flat = torch.contiguous_format
    shape_grads = shapes.new_empty(len(shapes), 16)
    return (
        *(torch.empty_like(x, memory_format=flat) for x in (canvas,)),
        shape_grads,
        *map(torch.empty_like, (grids, colour)),
    )


@importance.register_fake
def _(canvas, shapes, grids, sharpness, colour, box, residual):  # type: ignore[no-untyped-def]
    return canvas.new_empty(len(shapes))


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _differentiate(ctx, grad):  # type: ignore[no-untyped-def]
    canvas, shapes, grids, colour = composite_backward(*ctx.saved_tensors, grad)
    sharpness = shapes[:, 14].sum() if ctx.needs_input_grad[3] else None
    return canvas, shapes[:, : ctx.saved_tensors[1].shape[1]], grids, sharpness, colour, None


composite.register_autograd(_differentiate, setup_context=_save)
