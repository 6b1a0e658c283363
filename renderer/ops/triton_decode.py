"""The alpha of a learned stroke on a block of pixels and its gradients, as device functions in Triton.

The formulas are those of `stroke_map.c` and `textures.c`. A block is a square of SIDE x SIDE pixels with centres x (1, SIDE)
and y (SIDE, 1) in canvas pixels. Stroke i is described by

- a stroke map: `shapes` (N, 14), `grids` (N, 2, ROWS, COLUMNS) and one `sharpness`, see `StrokeMap._geometry`;
- a texture in curve coordinates: `shapes` (N, 15) and `grids` (N, ROWS, COLUMNS) of logits, see `textures.wrapped`.

Gradients are added to `grad_shapes` (N, 16), whose column 14 holds the gradient of the sharpness for stroke maps, and to
`grad_grids`, by atomic additions. These are relaxed: their order does not matter, and Triton's default would wait for all
earlier writes before each of them.
"""

from __future__ import annotations

import triton
import triton.language as tl

STROKE_MAP = tl.constexpr(0)
TEXTURE = tl.constexpr(1)
CAP = tl.constexpr(4)  # rows of a texture before the start of a stroke, and behind its end
STARTS = tl.constexpr(8)
ITERATIONS = tl.constexpr(6)
LEAST = tl.constexpr(3e-5)  # as in `renderer.learned.curve_coordinates`


@triton.jit
def sigmoid(x):  # type: ignore[no-untyped-def]
    """The logistic function of a block."""
    return 1 / (1 + tl.exp(tl.minimum(-x, 60.0)))


@triton.jit
def clamp(x, low, high):  # type: ignore[no-untyped-def]
    """A block limited to [low, high]."""
    return tl.minimum(tl.maximum(x, low), high)


@triton.jit
def alpha(shapes, grids, sharpness, i, x, y, KIND: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The alpha (SIDE, SIDE) of stroke i."""
    if KIND == STROKE_MAP:
        return _stroke_map(shapes + i * 14, grids + i * (2 * ROWS * COLUMNS), sharpness, x, y, ROWS)
    else:
        return _texture(shapes + i * 15, grids + i * (ROWS * COLUMNS), x, y, ROWS, COLUMNS)


@triton.jit
def add_gradients(  # type: ignore[no-untyped-def]
    shapes,
    grids,
    sharpness,
    i,
    x,
    y,
    grad,
    grad_shapes,
    grad_grids,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NODES: tl.constexpr,
):
    """Add the gradients that follow from `grad` (SIDE, SIDE), the gradient of stroke i's alpha.

    NODES: a power of two, at least 16 and ROWS.
    """
    if KIND == STROKE_MAP:
        grids_i = i * (2 * ROWS * COLUMNS)
        _stroke_map_backward(
            shapes + i * 14,
            grids + grids_i,
            sharpness,
            x,
            y,
            grad,
            grad_shapes + i * 16,
            grad_grids + grids_i,
            ROWS,
            NODES,
        )
    else:
        grids_i = i * (ROWS * COLUMNS)
        _texture_backward(
            shapes + i * 15, grids + grids_i, x, y, grad, grad_shapes + i * 16, grad_grids + grids_i, ROWS, COLUMNS
        )


@triton.jit
def _put(column, number: tl.constexpr, value, total):  # type: ignore[no-untyped-def]
    """A row of sums with one of them put in, so that all are added to memory at once."""
    return tl.where(column == number, value, total)


@triton.jit
def _node(position, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    """A position in the own frame -> nodes: unclamped, clamped, the node below, and how far beyond that."""
    raw = (position + 1) * (0.5 * (ROWS - 1))
    inside = clamp(raw, 0.0, ROWS - 1.0)
    node = tl.minimum(inside.to(tl.int32), ROWS - 2)
    return raw, inside, node, inside - node.to(tl.float32)


@triton.jit
def _corners(grid, at, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The four nodes around places of one map."""
    return tl.load(grid + at), tl.load(grid + at + 1), tl.load(grid + at + ROWS), tl.load(grid + at + ROWS + 1)


@triton.jit
def _stroke_map(s, grid, sharpness, x, y, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    centre_x, centre_y, scale_x, scale_y = tl.load(s), tl.load(s + 1), tl.load(s + 2), tl.load(s + 3)
    ax, bx, cx, ay, by, cy = (
        tl.load(s + 4),
        tl.load(s + 5),
        tl.load(s + 6),
        tl.load(s + 7),
        tl.load(s + 8),
        tl.load(s + 9),
    )
    r0, dr, w0, dw = tl.load(s + 10), tl.load(s + 11), tl.load(s + 12), tl.load(s + 13)
    _, _, k, f = _node((x - centre_x) * scale_x, ROWS)
    _, _, j, g = _node((y - centre_y) * scale_y, ROWS)
    at = j * ROWS + k
    n00, n01, n10, n11 = _corners(grid, at, ROWS)
    l00, l01, l10, l11 = _corners(grid + ROWS * ROWS, at, ROWS)
    n0, n1 = n00 + g * (n10 - n00), n01 + g * (n11 - n01)
    l0, l1 = l00 + g * (l10 - l00), l01 + g * (l11 - l01)
    n = clamp(n0 + f * (n1 - n0), 0.0, 1.0)
    last = clamp(l0 + f * (l1 - l0), 0.0, 1.0)
    dx = x - ((ax * n + bx) * n + cx)
    dy = y - ((ay * n + by) * n + cy)
    r = r0 + dr * n
    d = tl.sqrt(dx * dx + dy * dy + 1e-6)
    # The second edge is the far side of the stroke: it makes lines thinner than a pixel fade instead of vanish.
    return (sigmoid(sharpness * (r - d)) - sigmoid(-sharpness * (r + d))) * (w0 + dw * last)


@triton.jit
def _stroke_map_backward(  # type: ignore[no-untyped-def]
    s, grid, sharpness, x, y, grad, grad_s, grad_grid, ROWS: tl.constexpr, NODES: tl.constexpr
):
    centre_x, centre_y, scale_x, scale_y = tl.load(s), tl.load(s + 1), tl.load(s + 2), tl.load(s + 3)
    ax, bx, cx, ay, by, cy = (
        tl.load(s + 4),
        tl.load(s + 5),
        tl.load(s + 6),
        tl.load(s + 7),
        tl.load(s + 8),
        tl.load(s + 9),
    )
    r0, dr, w0, dw = tl.load(s + 10), tl.load(s + 11), tl.load(s + 12), tl.load(s + 13)
    raw_u, u, k, f = _node((x - centre_x) * scale_x, ROWS)
    raw_v, v, j, g = _node((y - centre_y) * scale_y, ROWS)
    at = j * ROWS + k
    n00, n01, n10, n11 = _corners(grid, at, ROWS)
    l00, l01, l10, l11 = _corners(grid + ROWS * ROWS, at, ROWS)
    n0, n1 = n00 + g * (n10 - n00), n01 + g * (n11 - n01)
    l0, l1 = l00 + g * (l10 - l00), l01 + g * (l11 - l01)
    raw_n, raw_l = n0 + f * (n1 - n0), l0 + f * (l1 - l0)
    n, last = clamp(raw_n, 0.0, 1.0), clamp(raw_l, 0.0, 1.0)
    dx = x - ((ax * n + bx) * n + cx)
    dy = y - ((ay * n + by) * n + cy)
    r = r0 + dr * n
    d = tl.sqrt(dx * dx + dy * dy + 1e-6)
    near, far = sigmoid(sharpness * (r - d)), sigmoid(-sharpness * (r + d))

    grad_value, grad_cover = grad * (near - far), grad * (w0 + dw * last)
    grad_near, grad_far = grad_cover * near * (1 - near), grad_cover * far * (1 - far)
    grad_r, grad_d = sharpness * (grad_near + grad_far), sharpness * (grad_far - grad_near) / d
    gx, gy = grad_d * dx, grad_d * dy
    grad_n = tl.where(raw_n == n, grad_r * dr - gx * (2 * ax * n + bx) - gy * (2 * ay * n + by), 0.0)
    grad_l = tl.where(raw_l == last, grad_value * dw, 0.0)
    half = 0.5 * (ROWS - 1)
    grad_u = tl.where(raw_u == u, grad_n * (n1 - n0) + grad_l * (l1 - l0), 0.0)
    slope_n = (n10 - n00) + f * ((n11 - n01) - (n10 - n00))
    slope_l = (l10 - l00) + f * ((l11 - l01) - (l10 - l00))
    grad_v = tl.where(raw_v == v, grad_n * slope_n + grad_l * slope_l, 0.0)
    column = tl.arange(0, 16)
    total = _put(column, 0, -half * scale_x * tl.sum(grad_u), 0.0)
    total = _put(column, 1, -half * scale_y * tl.sum(grad_v), total)
    total = _put(column, 2, half * tl.sum(grad_u * (x - centre_x)), total)
    total = _put(column, 3, half * tl.sum(grad_v * (y - centre_y)), total)
    total = _put(column, 4, -tl.sum(gx * n * n), total)
    total = _put(column, 5, -tl.sum(gx * n), total)
    total = _put(column, 6, -tl.sum(gx), total)
    total = _put(column, 7, -tl.sum(gy * n * n), total)
    total = _put(column, 8, -tl.sum(gy * n), total)
    total = _put(column, 9, -tl.sum(gy), total)
    total = _put(column, 10, tl.sum(grad_r), total)
    total = _put(column, 11, tl.sum(grad_r * n), total)
    total = _put(column, 12, tl.sum(grad_value), total)
    total = _put(column, 13, tl.sum(grad_value * last), total)
    total = _put(column, 14, tl.sum(grad_near * (r - d) + grad_far * (r + d)), total)
    tl.atomic_add(grad_s + column, total, mask=column < 15, sem="relaxed")

    # A node's gradient is the sum over pixels of its weight down times its weight across: two small matrix products.
    node = tl.arange(0, NODES)
    across = tl.maximum(1 - tl.abs(tl.trans(u) - node[None, :].to(tl.float32)), 0.0)  # (SIDE, NODES)
    down = tl.maximum(1 - tl.abs(tl.trans(v) - node[:, None].to(tl.float32)), 0.0)  # (NODES, SIDE)
    to = node[:, None] * ROWS + node[None, :]
    there = (node[:, None] < ROWS) & (node[None, :] < ROWS)
    sum_n = tl.dot(tl.dot(down, grad_n, input_precision="tf32x3"), across, input_precision="tf32x3")
    tl.atomic_add(grad_grid + to, sum_n, mask=there, sem="relaxed")
    sum_l = tl.dot(tl.dot(down, grad_l, input_precision="tf32x3"), across, input_precision="tf32x3")
    tl.atomic_add(grad_grid + ROWS * ROWS + to, sum_l, mask=there, sem="relaxed")


@triton.jit
def _solve(px, py, bx, by, ax, ay, cx, cy):  # type: ignore[no-untyped-def]
    """The curve parameter that every pixel belongs to, see `curve_coordinates._solve`."""
    t = tl.zeros_like(px + py)
    least = px * px + py * py
    for k in tl.static_range(1, STARTS + 1):
        start = k / STARTS
        rx, ry = px - (ax * start + bx) * start, py - (ay * start + by) * start
        square = rx * rx + ry * ry
        t = tl.where(square < least, start, t)
        least = tl.minimum(square, least)
    low, high = tl.zeros_like(t), tl.zeros_like(t) + 1
    for _ in tl.static_range(ITERATIONS):
        rx, ry = px - (ax * t + bx) * t, py - (ay * t + by) * t
        tx, ty = 2 * ax * t + bx, 2 * ay * t + by
        mx, my = tx + cx, ty + cy
        slope = tl.minimum(2 * (rx * ax + ry * ay) - tx * mx - ty * my, -1e-2) - 1e-2
        value = rx * mx + ry * my
        next_t = t - value / slope
        low, high = tl.where(value > 0, t, low), tl.where(value > 0, high, t)
        t = tl.where((next_t >= low) & (next_t <= high), next_t, (low + high) / 2)
    ex, ey = ax + bx, ay + by
    at_start = px * (bx + cx) + py * (by + cy)
    at_end = (px - ex) * (ax + ex + cx) + (py - ey) * (ay + ey + cy)
    return tl.where(at_start <= 0, 0.0, tl.where(at_end >= 0, 1.0, t))


@triton.jit
def _texture(s, grid, x, y, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # type: ignore[no-untyped-def]
    px, py = x - tl.load(s), y - tl.load(s + 1)
    bx, by, ax, ay = tl.load(s + 2), tl.load(s + 3), tl.load(s + 4), tl.load(s + 5)
    fx, fy, lx, ly = tl.load(s + 6), tl.load(s + 7), tl.load(s + 8), tl.load(s + 9)
    cx, cy, reach, ell = tl.load(s + 10), tl.load(s + 11), tl.load(s + 12), tl.load(s + 13)
    strength = tl.load(s + 14)
    t0 = _solve(px, py, bx, by, ax, ay, cx, cy)
    # One more step of Newton's method, as where the gradient is taken.
    rx, ry = px - (ax * t0 + bx) * t0, py - (ay * t0 + by) * t0
    tx, ty = 2 * ax * t0 + bx, 2 * ay * t0 + by
    slope = tl.minimum(2 * (rx * ax + ry * ay) - tx * (tx + cx) - ty * (ty + cy), -1e-2) - 1e-2
    t = clamp(t0 - (rx * (tx + cx) + ry * (ty + cy)) / slope, 0.0, 1.0)
    rx, ry = px - (ax * t + bx) * t, py - (ay * t + by) * t
    mx, my = 2 * ax * t + bx + cx, 2 * ay * t + by + cy
    ox, oy = bx + cx, by + cy
    ex, ey = 2 * ax + ox, 2 * ay + oy
    before = tl.where(t == 0, tl.minimum((rx * ox + ry * oy) / tl.maximum(fx * ox + fy * oy, LEAST), 0.0), 0.0)
    behind = tl.where(t == 1, tl.maximum((rx * ex + ry * ey) / tl.maximum(lx * ex + ly * ey, LEAST), 0.0), 0.0)
    qx, qy = rx - before * fx - behind * lx, ry - before * fy - behind * ly
    side = (qy * mx - qx * my) / tl.sqrt(mx * mx + my * my + LEAST * LEAST)
    distance = tl.sqrt(rx * rx + ry * ry + 1e-6)
    beyond, across = (before + behind) / reach, side / reach
    angle = beyond / (tl.abs(beyond) + tl.abs(across) + 1e-6)
    early, late, full = t * ell, (1 - t) * ell, 1 + ell / (1 + ell)
    body = (t + 0.5 * (early / (1 + early) - late / (1 + late)) + 0.5 * (full - 1)) / full
    row = CAP * (1 + angle) + (ROWS - 1 - 2 * CAP) * body
    column = (tl.where(side < 0, -distance, distance) / reach + 1) * (0.5 * (COLUMNS - 1))
    inside = distance < reach
    j = clamp(row, 0.0, ROWS - 2.0).to(tl.int32)
    k = clamp(column, 0.0, COLUMNS - 2.0).to(tl.int32)
    f, g = row - j.to(tl.float32), column - k.to(tl.float32)
    corner = grid + j * COLUMNS + k
    n00, n01 = tl.load(corner, mask=inside, other=0.0), tl.load(corner + 1, mask=inside, other=0.0)
    n10 = tl.load(corner + COLUMNS, mask=inside, other=0.0)
    n11 = tl.load(corner + COLUMNS + 1, mask=inside, other=0.0)
    above, below = n00 + g * (n01 - n00), n10 + g * (n11 - n10)
    return tl.where(inside, sigmoid(above + f * (below - above)) * strength, 0.0)


@triton.jit
def _texture_backward(  # type: ignore[no-untyped-def]
    s, grid, x, y, grad, grad_s, grad_grid, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    px, py = x - tl.load(s), y - tl.load(s + 1)
    bx, by, ax, ay = tl.load(s + 2), tl.load(s + 3), tl.load(s + 4), tl.load(s + 5)
    fx, fy, lx, ly = tl.load(s + 6), tl.load(s + 7), tl.load(s + 8), tl.load(s + 9)
    cx, cy, reach, ell = tl.load(s + 10), tl.load(s + 11), tl.load(s + 12), tl.load(s + 13)
    strength = tl.load(s + 14)
    t0 = _solve(px, py, bx, by, ax, ay, cx, cy)
    r0x, r0y = px - (ax * t0 + bx) * t0, py - (ay * t0 + by) * t0
    t0x, t0y = 2 * ax * t0 + bx, 2 * ay * t0 + by
    slope = tl.minimum(2 * (r0x * ax + r0y * ay) - t0x * (t0x + cx) - t0y * (t0y + cy), -1e-2) - 1e-2
    next_t = t0 - (r0x * (t0x + cx) + r0y * (t0y + cy)) / slope
    t = clamp(next_t, 0.0, 1.0)
    rx, ry = px - (ax * t + bx) * t, py - (ay * t + by) * t
    mx, my = 2 * ax * t + bx + cx, 2 * ay * t + by + cy
    ox, oy = bx + cx, by + cy
    ex, ey = 2 * ax + ox, 2 * ay + oy
    along_first, along_last = fx * ox + fy * oy, lx * ex + ly * ey
    under_first, under_last = tl.maximum(along_first, LEAST), tl.maximum(along_last, LEAST)
    before = tl.where(t == 0, tl.minimum((rx * ox + ry * oy) / under_first, 0.0), 0.0)
    behind = tl.where(t == 1, tl.maximum((rx * ex + ry * ey) / under_last, 0.0), 0.0)
    qx, qy = rx - before * fx - behind * lx, ry - before * fy - behind * ly
    norm = tl.sqrt(mx * mx + my * my + LEAST * LEAST)
    side = (qy * mx - qx * my) / norm
    distance = tl.sqrt(rx * rx + ry * ry + 1e-6)
    beyond, across = (before + behind) / reach, side / reach
    den = tl.abs(beyond) + tl.abs(across) + 1e-6
    angle = beyond / den
    full = 1 + ell / (1 + ell)
    early, late = 1 + t * ell, 1 + (1 - t) * ell
    body = (t + 0.5 * (t * ell / early - (1 - t) * ell / late) + 0.5 * (full - 1)) / full
    row = CAP * (1 + angle) + (ROWS - 1 - 2 * CAP) * body
    column = (tl.where(side < 0, -distance, distance) / reach + 1) * (0.5 * (COLUMNS - 1))
    inside = (distance < reach) & (grad != 0)
    grad = tl.where(inside, grad, 0.0)

    # The texture.
    j = clamp(row, 0.0, ROWS - 2.0).to(tl.int32)
    k = clamp(column, 0.0, COLUMNS - 2.0).to(tl.int32)
    f, g = row - j.to(tl.float32), column - k.to(tl.float32)
    at = j * COLUMNS + k
    n00, n01 = tl.load(grid + at, mask=inside, other=0.0), tl.load(grid + at + 1, mask=inside, other=0.0)
    n10 = tl.load(grid + at + COLUMNS, mask=inside, other=0.0)
    n11 = tl.load(grid + at + COLUMNS + 1, mask=inside, other=0.0)
    above, below = n00 + g * (n01 - n00), n10 + g * (n11 - n10)
    cover = sigmoid(above + f * (below - above))
    column_of, total = tl.arange(0, 16), 0.0
    total = _put(column_of, 14, tl.sum(grad * cover), total)
    grad_value = grad * strength * cover * (1 - cover)
    tl.atomic_add(grad_grid + at, grad_value * (1 - f) * (1 - g), mask=inside, sem="relaxed")
    tl.atomic_add(grad_grid + at + 1, grad_value * (1 - f) * g, mask=inside, sem="relaxed")
    tl.atomic_add(grad_grid + at + COLUMNS, grad_value * f * (1 - g), mask=inside, sem="relaxed")
    tl.atomic_add(grad_grid + at + COLUMNS + 1, grad_value * f * g, mask=inside, sem="relaxed")
    grad_row = grad_value * (below - above)
    grad_column = grad_value * ((1 - f) * (n01 - n00) + f * (n11 - n10)) * (0.5 * (COLUMNS - 1))

    # Its nodes.
    grad_angle = tl.where(beyond == 0, 0.0, CAP * grad_row)
    grad_body = (ROWS - 1 - 2 * CAP) * grad_row
    sign = tl.where(side < 0, -1.0, 1.0)
    grad_beyond = grad_angle * (tl.abs(across) + 1e-6) / (den * den)
    grad_across = -grad_angle * beyond * sign / (den * den)
    e2, l2 = 1 / (early * early), 1 / (late * late)
    grad_t = grad_body * (1 + 0.5 * ell * (e2 + l2)) / full
    full_slope = 1 / ((1 + ell) * (1 + ell))
    grad_ell = grad_body * (0.5 * (t * e2 - (1 - t) * l2 + full_slope) - body * full_slope) / full
    total = _put(column_of, 13, tl.sum(grad_ell), total)
    grad_distance, grad_side, grad_ends = grad_column * sign / reach, grad_across / reach, grad_beyond / reach
    grad_reach = grad_distance * distance / reach + grad_side * across + grad_ends * beyond
    total = _put(column_of, 12, -tl.sum(grad_reach), total)

    # Its place.
    gs = grad_side / norm
    gqx, gqy = -gs * my, gs * mx
    gmx, gmy = gs * (qy - side * mx / norm), gs * (-qx - side * my / norm)
    grx, gry = grad_distance * rx / distance + gqx, grad_distance * ry / distance + gqy

    gb = tl.where(before < 0, grad_ends - gqx * fx - gqy * fy, 0.0)
    over, down = gb / under_first, tl.where(along_first > LEAST, -gb * before / under_first, 0.0)
    grx, gry = grx + over * ox, gry + over * oy
    gox, goy = over * rx + down * fx, over * ry + down * fy
    total = _put(column_of, 6, tl.sum(down * ox - before * gqx), total)
    total = _put(column_of, 7, tl.sum(down * oy - before * gqy), total)

    gb = tl.where(behind > 0, grad_ends - gqx * lx - gqy * ly, 0.0)
    over, down = gb / under_last, tl.where(along_last > LEAST, -gb * behind / under_last, 0.0)
    grx, gry = grx + over * ex, gry + over * ey
    gex, gey = over * rx + down * lx, over * ry + down * ly
    total = _put(column_of, 8, tl.sum(down * ex - behind * gqx), total)
    total = _put(column_of, 9, tl.sum(down * ey - behind * gqy), total)

    grad_t += 2 * (ax * gmx + ay * gmy) - grx * (2 * ax * t + bx) - gry * (2 * ay * t + by)
    # The root moves with the stroke.
    gv = tl.where((next_t >= 0) & (next_t <= 1), -grad_t / slope, 0.0)
    vx, vy = gv * (t0x + cx), gv * (t0y + cy)
    total = _put(column_of, 0, -tl.sum(grx + vx), total)
    total = _put(column_of, 1, -tl.sum(gry + vy), total)
    total = _put(column_of, 2, tl.sum(gmx - t * grx + gox + gex + gv * r0x - t0 * vx), total)
    total = _put(column_of, 3, tl.sum(gmy - t * gry + goy + gey + gv * r0y - t0 * vy), total)
    total = _put(column_of, 4, tl.sum(2 * t * gmx - t * t * grx + 2 * gex + 2 * t0 * gv * r0x - t0 * t0 * vx), total)
    total = _put(column_of, 5, tl.sum(2 * t * gmy - t * t * gry + 2 * gey + 2 * t0 * gv * r0y - t0 * t0 * vy), total)
    total = _put(column_of, 10, tl.sum(gmx + gox + gex + gv * r0x), total)
    total = _put(column_of, 11, tl.sum(gmy + goy + gey + gv * r0y), total)
    tl.atomic_add(grad_s + column_of, total, mask=column_of < 15, sem="relaxed")
