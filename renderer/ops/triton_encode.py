"""Strokes of a stroke map to the codes that kernels draw: geometry and perceptron in one kernel, forward and backward.

The formulas are those of `StrokeMap._geometry` and `renderer.brushes.bezier.bounds`. In PyTorch they are more than a hundred
small launches for a gradient, which take longer than the drawing itself. Weights take no gradient here.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, WARPS = 16, 4  # strokes of a program


@triton.jit
def _column(strokes, i, P, column: tl.constexpr, valid):  # type: ignore[no-untyped-def]
    return tl.load(strokes + i * P + column, mask=valid, other=0.5)


@triton.jit
def _pixels(strokes, i, P, H, W, valid):  # type: ignore[no-untyped-def]
    """Start, control and end point, and radii, in pixels."""
    short = tl.minimum(H, W) * 0.25  # the largest radius is a quarter of the short side
    x0, y0 = _column(strokes, i, P, 0, valid) * W, _column(strokes, i, P, 1, valid) * H
    x2, y2 = _column(strokes, i, P, 4, valid) * W, _column(strokes, i, P, 5, valid) * H
    x1 = x0 + (x2 - x0) * _column(strokes, i, P, 2, valid)
    y1 = y0 + (y2 - y0) * _column(strokes, i, P, 3, valid)
    return x0, y0, x1, y1, x2, y2, _column(strokes, i, P, 6, valid) * short, _column(strokes, i, P, 7, valid) * short


@triton.jit
def _sigmoid(z):  # type: ignore[no-untyped-def]
    return 1 / (1 + tl.exp(tl.minimum(-z, 60.0)))


@triton.jit
def _silu_slope(z):  # type: ignore[no-untyped-def]
    s = _sigmoid(z)
    return s * (1 + z * (1 - s))


@triton.jit
def _keep(to, x, ROWS: tl.constexpr, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write a block (ROWS, WIDTH) to scratch memory, for all threads of the program to read."""
    tl.store(to + tl.arange(0, ROWS)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :], x)
    tl.debug_barrier()


@triton.jit
def _kept(at, ROWS: tl.constexpr, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    return tl.load(at + tl.arange(0, ROWS)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :])


@triton.jit
def _layer(  # type: ignore[no-untyped-def]
    given, matrix, bias, OUT, IN, ROWS: tl.constexpr, NIN: tl.constexpr, NOUT: tl.constexpr, K: tl.constexpr
):
    """Given (ROWS, NIN) in scratch memory, through a layer of weights (OUT, IN): (ROWS, NOUT), padded with zeros."""
    row, o = tl.arange(0, ROWS)[:, None], tl.arange(0, NOUT)[None, :]
    total = tl.zeros((ROWS, NOUT), tl.float32)
    for first in range(0, NIN, K):
        k = first + tl.arange(0, K)
        part = tl.load(given + row * NIN + k[None, :])
        weight = tl.load(matrix + o * IN + k[:, None], mask=(o < OUT) & (k[:, None] < IN), other=0.0)
        total = tl.dot(part, weight, total, input_precision="tf32x3")
    return total + tl.load(bias + o, mask=o < OUT, other=0.0)


@triton.jit
def _layer_backward(  # type: ignore[no-untyped-def]
    given, matrix, OUT, IN, ROWS: tl.constexpr, NIN: tl.constexpr, NOUT: tl.constexpr, K: tl.constexpr
):
    """The gradient (ROWS, NOUT) in scratch memory of a layer's results: that of what it was given, (ROWS, NIN)."""
    row, i = tl.arange(0, ROWS)[:, None], tl.arange(0, NIN)[None, :]
    total = tl.zeros((ROWS, NIN), tl.float32)
    for first in range(0, NOUT, K):
        k = first + tl.arange(0, K)
        part = tl.load(given + row * NOUT + k[None, :])
        weight = tl.load(matrix + k[:, None] * IN + i, mask=(k[:, None] < OUT) & (i < IN), other=0.0)
        total = tl.dot(part, weight, total, input_precision="tf32x3")
    return total


@triton.jit
def _features(x0, y0, x1, y1, x2, y2, ra, rb):  # type: ignore[no-untyped-def]
    """The stroke's own frame (half sides, inverse extent, mirror images), and what the perceptron sees: (rows, 16)."""
    hx, hy = (x2 - x0) / 2, (y2 - y0) / 2
    mx, my = tl.where(hx < 0, -1.0, 1.0), tl.where(hy < 0, -1.0, 1.0)
    inverse = 1 / (tl.maximum(tl.abs(hx), tl.abs(hy)) + tl.maximum(ra, rb) + 1e-3)
    ux, uy = x1 - (x0 + x2) / 2, y1 - (y0 + y2) / 2
    k = tl.arange(0, 16)[None, :]
    x = tl.where(k == 0, (2 * hx * mx * inverse)[:, None], 0.0)
    x = tl.where(k == 1, (2 * hy * my * inverse)[:, None], x)
    x = tl.where(k == 2, (2 * ux * mx * inverse)[:, None], x)
    x = tl.where(k == 3, (2 * uy * my * inverse)[:, None], x)
    x = tl.where(k == 4, (2 * ra * inverse)[:, None], x)
    x = tl.where(k == 5, (2 * rb * inverse)[:, None], x)
    return hx, hy, mx, my, ux, uy, inverse, x


@triton.jit(do_not_specialize=["N", "P", "H", "W"])
def _encode(  # type: ignore[no-untyped-def]
    strokes,
    w1,
    b1,
    w2,
    b2,
    w3,
    b3,
    w4,
    b4,
    shapes,
    grids,
    box,
    colour,
    scratch,
    N,
    P,
    H,
    W,
    HIDDEN: tl.constexpr,
    NODES: tl.constexpr,
    PADDED: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    K: tl.constexpr,
):
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = i < N
    x0, y0, x1, y1, x2, y2, ra, rb = _pixels(strokes, i, P, H, W, valid)
    _, _, mx, my, _, _, inverse, x = _features(x0, y0, x1, y1, x2, y2, ra, rb)
    wa, wb = _column(strokes, i, P, 8, valid), _column(strokes, i, P, 9, valid)
    s = shapes + i * 14
    tl.store(s, (x0 + x2) / 2, mask=valid)
    tl.store(s + 1, (y0 + y2) / 2, mask=valid)
    tl.store(s + 2, mx * inverse, mask=valid)
    tl.store(s + 3, my * inverse, mask=valid)
    tl.store(s + 4, x0 - 2 * x1 + x2, mask=valid)
    tl.store(s + 5, 2 * (x1 - x0), mask=valid)
    tl.store(s + 6, x0, mask=valid)
    tl.store(s + 7, y0 - 2 * y1 + y2, mask=valid)
    tl.store(s + 8, 2 * (y1 - y0), mask=valid)
    tl.store(s + 9, y0, mask=valid)
    tl.store(s + 10, ra, mask=valid)
    tl.store(s + 11, rb - ra, mask=valid)
    tl.store(s + 12, wa, mask=valid)
    tl.store(s + 13, wb - wa, mask=valid)

    reach = tl.maximum(ra, rb) + 1  # a pixel more, for the soft edge
    left = tl.floor(tl.minimum(x0, x2) - reach).to(tl.int32)
    top = tl.floor(tl.minimum(y0, y2) - reach).to(tl.int32)
    left = tl.minimum(tl.maximum(left, 0), W - 1)
    top = tl.minimum(tl.maximum(top, 0), H - 1)
    right = tl.minimum(tl.ceil(tl.maximum(x0, x2) + reach).to(tl.int32), W)
    bottom = tl.minimum(tl.ceil(tl.maximum(y0, y2) + reach).to(tl.int32), H)
    tl.store(box + i * 4, left, mask=valid)
    tl.store(box + i * 4 + 1, top, mask=valid)
    tl.store(box + i * 4 + 2, tl.maximum(right, left + 1), mask=valid)
    tl.store(box + i * 4 + 3, tl.maximum(bottom, top + 1), mask=valid)
    for channel in tl.static_range(3):
        tl.store(colour + i * 3 + channel, _column(strokes, i, P, 10 + channel, valid), mask=valid)

    one, other = scratch + tl.program_id(0) * (2 * ROWS * WIDE), scratch + (tl.program_id(0) * 2 + 1) * (ROWS * WIDE)
    _keep(one, x, ROWS, 16)
    z = _layer(one, w1, b1, HIDDEN, 6, ROWS, 16, HIDDEN, 16)
    _keep(other, z * _sigmoid(z), ROWS, HIDDEN)
    z = _layer(other, w2, b2, HIDDEN, HIDDEN, ROWS, HIDDEN, HIDDEN, K)
    _keep(one, z * _sigmoid(z), ROWS, HIDDEN)
    z = _layer(one, w3, b3, HIDDEN, HIDDEN, ROWS, HIDDEN, HIDDEN, K)
    _keep(other, z * _sigmoid(z), ROWS, HIDDEN)
    z = _layer(other, w4, b4, NODES, HIDDEN, ROWS, HIDDEN, PADDED, K)
    node = tl.arange(0, PADDED)[None, :]
    tl.store(grids + i[:, None] * NODES + node, z + 0.5, mask=valid[:, None] & (node < NODES))


@triton.jit(do_not_specialize=["N", "P", "H", "W", "STRIDE"])
def _encode_backward(  # type: ignore[no-untyped-def]
    strokes,
    w1,
    b1,
    w2,
    b2,
    w3,
    b3,
    w4,
    grad_shapes,
    grad_grids,
    grad_colour,
    grad_strokes,
    scratch,
    N,
    P,
    H,
    W,
    STRIDE,
    HIDDEN: tl.constexpr,
    NODES: tl.constexpr,
    PADDED: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    K: tl.constexpr,
):
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = i < N
    x0, y0, x1, y1, x2, y2, ra, rb = _pixels(strokes, i, P, H, W, valid)
    hx, hy, mx, my, ux, uy, inverse, x = _features(x0, y0, x1, y1, x2, y2, ra, rb)

    # Through the perceptron.
    one, other = scratch + tl.program_id(0) * (5 * ROWS * WIDE), scratch + (tl.program_id(0) * 5 + 1) * (ROWS * WIDE)
    first, second, third = other + ROWS * WIDE, other + 2 * ROWS * WIDE, other + 3 * ROWS * WIDE
    _keep(one, x, ROWS, 16)
    z = _layer(one, w1, b1, HIDDEN, 6, ROWS, 16, HIDDEN, 16)
    _keep(first, z, ROWS, HIDDEN)
    _keep(other, z * _sigmoid(z), ROWS, HIDDEN)
    z = _layer(other, w2, b2, HIDDEN, HIDDEN, ROWS, HIDDEN, HIDDEN, K)
    _keep(second, z, ROWS, HIDDEN)
    _keep(one, z * _sigmoid(z), ROWS, HIDDEN)
    z = _layer(one, w3, b3, HIDDEN, HIDDEN, ROWS, HIDDEN, HIDDEN, K)
    _keep(third, z, ROWS, HIDDEN)
    node = tl.arange(0, PADDED)[None, :]
    g = tl.load(grad_grids + i[:, None] * NODES + node, mask=valid[:, None] & (node < NODES), other=0.0)
    _keep(other, g, ROWS, PADDED)
    g = _layer_backward(other, w4, NODES, HIDDEN, ROWS, HIDDEN, PADDED, K) * _silu_slope(_kept(third, ROWS, HIDDEN))
    _keep(one, g, ROWS, HIDDEN)
    g = _layer_backward(one, w3, HIDDEN, HIDDEN, ROWS, HIDDEN, HIDDEN, K) * _silu_slope(_kept(second, ROWS, HIDDEN))
    _keep(other, g, ROWS, HIDDEN)
    g = _layer_backward(other, w2, HIDDEN, HIDDEN, ROWS, HIDDEN, HIDDEN, K) * _silu_slope(_kept(first, ROWS, HIDDEN))
    _keep(one, g, ROWS, HIDDEN)
    g = 2 * _layer_backward(one, w1, HIDDEN, 6, ROWS, 16, HIDDEN, K)
    k = tl.arange(0, 16)[None, :]
    f0, f1 = tl.sum(tl.where(k == 0, g, 0.0), 1), tl.sum(tl.where(k == 1, g, 0.0), 1)
    f2, f3 = tl.sum(tl.where(k == 2, g, 0.0), 1), tl.sum(tl.where(k == 3, g, 0.0), 1)
    f4, f5 = tl.sum(tl.where(k == 4, g, 0.0), 1), tl.sum(tl.where(k == 5, g, 0.0), 1)

    # Through the own frame.
    s = grad_shapes + i * STRIDE
    gqx = tl.load(s + 2, mask=valid, other=0.0) + f0 * hx + f2 * ux
    gqy = tl.load(s + 3, mask=valid, other=0.0) + f1 * hy + f3 * uy
    g_extent = -(gqx * mx + gqy * my + f4 * ra + f5 * rb) * inverse * inverse
    ax, ay = tl.abs(hx), tl.abs(hy)
    to_x = tl.where(ax > ay, 1.0, tl.where(ax < ay, 0.0, 0.5)) * tl.where(hx > 0, 1.0, tl.where(hx < 0, -1.0, 0.0))
    to_y = tl.where(ay > ax, 1.0, tl.where(ay < ax, 0.0, 0.5)) * tl.where(hy > 0, 1.0, tl.where(hy < 0, -1.0, 0.0))
    ghx, ghy = f0 * mx * inverse + g_extent * to_x, f1 * my * inverse + g_extent * to_y
    gux, guy = f2 * mx * inverse, f3 * my * inverse
    to_a = tl.where(ra > rb, 1.0, tl.where(ra < rb, 0.0, 0.5))
    g_dr, g_dw = tl.load(s + 11, mask=valid, other=0.0), tl.load(s + 13, mask=valid, other=0.0)
    gra = f4 * inverse + g_extent * to_a + tl.load(s + 10, mask=valid, other=0.0) - g_dr
    grb = f5 * inverse + g_extent * (1 - to_a) + g_dr

    # Through the curve.
    gmx, gmy = tl.load(s, mask=valid, other=0.0) - gux, tl.load(s + 1, mask=valid, other=0.0) - guy  # of the middle
    gax, gbx = tl.load(s + 4, mask=valid, other=0.0), tl.load(s + 5, mask=valid, other=0.0)
    gay, gby = tl.load(s + 7, mask=valid, other=0.0), tl.load(s + 8, mask=valid, other=0.0)
    gx1, gy1 = gux - 2 * gax + 2 * gbx, guy - 2 * gay + 2 * gby
    px, py = _column(strokes, i, P, 2, valid), _column(strokes, i, P, 3, valid)
    gx0 = gax - 2 * gbx + tl.load(s + 6, mask=valid, other=0.0) + gmx / 2 - ghx / 2 + gx1 * (1 - px)
    gy0 = gay - 2 * gby + tl.load(s + 9, mask=valid, other=0.0) + gmy / 2 - ghy / 2 + gy1 * (1 - py)
    gx2, gy2 = gax + gmx / 2 + ghx / 2 + gx1 * px, gay + gmy / 2 + ghy / 2 + gy1 * py
    short = tl.minimum(H, W) * 0.25
    to = grad_strokes + i * P
    tl.store(to, gx0 * W, mask=valid)
    tl.store(to + 1, gy0 * H, mask=valid)
    tl.store(to + 2, gx1 * (x2 - x0), mask=valid)
    tl.store(to + 3, gy1 * (y2 - y0), mask=valid)
    tl.store(to + 4, gx2 * W, mask=valid)
    tl.store(to + 5, gy2 * H, mask=valid)
    tl.store(to + 6, gra * short, mask=valid)
    tl.store(to + 7, grb * short, mask=valid)
    tl.store(to + 8, tl.load(s + 12, mask=valid, other=0.0) - g_dw, mask=valid)
    tl.store(to + 9, g_dw, mask=valid)
    for channel in tl.static_range(3):
        tl.store(to + 10 + channel, tl.load(grad_colour + i * 3 + channel, mask=valid, other=0.0), mask=valid)


@torch.library.custom_op("kaokore_painter::encode_stroke_map", mutates_args=())
def encode_stroke_map(
    strokes: Tensor, weights: list[Tensor], height: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes of strokes of the space BEZIER. Differentiable in the strokes.

    Args:
        strokes: (N, 13).
        weights: weight and bias of each of the perceptron's four layers.
        height: of the canvas, in pixels.
        width: of the canvas, in pixels.

    Returns:
        shapes (N, 14), grids (N, 2, G, G), box (N, 4) int32 and colour (N, 3), see `renderer.ops.triton_strokes`.
    """
    strokes = strokes.contiguous()
    N, nodes = len(strokes), len(weights[-1])
    grid = round((nodes / 2) ** 0.5)
    shapes, grids = strokes.new_empty(N, 14), strokes.new_empty(N, 2, grid, grid)
    box, colour = torch.empty(N, 4, dtype=torch.int32, device=strokes.device), strokes.new_empty(N, 3)
    if N > 0:
        programs, how = triton.cdiv(N, ROWS), _constants(weights)
        scratch = strokes.new_empty(programs * 2 * ROWS * how["WIDE"])
        tensors = (strokes, *(weight.contiguous() for weight in weights), shapes, grids, box, colour, scratch)
        _encode[(programs,)](*tensors, N, strokes.shape[1], height, width, **how, num_warps=WARPS)
    return shapes, grids, box, colour


@torch.library.custom_op("kaokore_painter::encode_stroke_map_backward", mutates_args=())
def encode_stroke_map_backward(
    strokes: Tensor,
    weights: list[Tensor],
    height: int,
    width: int,
    grad_shapes: Tensor,
    grad_grids: Tensor,
    grad_colour: Tensor,
) -> Tensor:
    """The gradient of the strokes (N, 13)."""
    strokes = strokes.contiguous()
    if grad_shapes.stride(1) != 1:  # rows may lie apart: kernels write them 16 numbers wide
        grad_shapes = grad_shapes.contiguous()
    grads = (grad_shapes, grad_grids.contiguous(), grad_colour.contiguous())
    grad_strokes = torch.empty_like(strokes)
    if len(strokes) > 0:
        programs, how = triton.cdiv(len(strokes), ROWS), _constants(weights)
        scratch = strokes.new_empty(programs * 5 * ROWS * how["WIDE"])
        tensors = (strokes, *(weight.contiguous() for weight in weights[:7]), *grads, grad_strokes, scratch)
        sizes = (len(strokes), strokes.shape[1], height, width, grad_shapes.stride(0))
        _encode_backward[(programs,)](*tensors, *sizes, **how, num_warps=WARPS)
    return grad_strokes


def _constants(weights: list[Tensor]) -> dict[str, int]:
    hidden, nodes = len(weights[1]), len(weights[-1])
    padded = max(16, triton.next_power_of_2(nodes))
    return {
        "HIDDEN": hidden,
        "NODES": nodes,
        "PADDED": padded,
        "WIDE": max(hidden, padded),
        "ROWS": ROWS,
        "K": min(32, hidden, padded),
    }


@encode_stroke_map.register_fake
def _(strokes, weights, height, width):  # type: ignore[no-untyped-def]
    N, grid = len(strokes), round((len(weights[-1]) / 2) ** 0.5)
    box = torch.empty(N, 4, dtype=torch.int32, device=strokes.device)
    return strokes.new_empty(N, 14), strokes.new_empty(N, 2, grid, grid), box, strokes.new_empty(N, 3)


@encode_stroke_map_backward.register_fake
def _(strokes, weights, height, width, grad_shapes, grad_grids, grad_colour):  # type: ignore[no-untyped-def]
    return torch.empty_like(strokes, memory_format=torch.contiguous_format)


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    strokes, ctx.weights, ctx.height, ctx.width = inputs
    ctx.save_for_backward(strokes)
    ctx.set_materialize_grads(False)  # zeros for the boxes would be a launch


def _differentiate(ctx, grad_shapes, grad_grids, _, grad_colour):  # type: ignore[no-untyped-def]
    (strokes,) = ctx.saved_tensors
    if grad_shapes is None or grad_grids is None:
        N, nodes = len(strokes), len(ctx.weights[-1])
        grad_shapes = strokes.new_zeros(N, 14) if grad_shapes is None else grad_shapes
        grad_grids = strokes.new_zeros(N, nodes) if grad_grids is None else grad_grids
    grad_colour = strokes.new_zeros(len(strokes), 3) if grad_colour is None else grad_colour
    grads = (grad_shapes, grad_grids, grad_colour)
    gradient = encode_stroke_map_backward(strokes, ctx.weights, ctx.height, ctx.width, *grads)
    return gradient, [None] * len(ctx.weights), None, None


encode_stroke_map.register_autograd(_differentiate, setup_context=_save)
