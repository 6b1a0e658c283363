"""The outline of a Bezier stroke as few cubic curves: the envelope of the discs along its curve."""

from __future__ import annotations

import numpy as np

TOLERANCE = 0.05  # pixels between an outline and its stroke
DISCS, CAP = 64, 47  # points of an outline along each side and around each end, before it is simplified
BERNSTEIN = np.array([[27, 27, 9, 1], [8, 24, 24, 8], [1, 9, 27, 27]]) / 64  # a cubic at 1/4, 1/2, 3/4


def outline(curve: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The outline of a stroke, curve (3, 2) in its own frame and radii (2,), as closed cubic pieces `(n, 4, 2)`.

    On the disc at t, the point in direction n lies on the envelope if n . c' = -r': then the discs before and after do not
    cover it. On the first disc <= is enough, on the last >=. Points of the envelope that a distant disc covers, where a
    thick stroke bends or its width changes fast, are dropped. Since the curve is monotone along x, a top and a bottom
    remain, each in the order of x.
    """
    centres, velocity, radii = discs(curve, radius, DISCS)
    speed = np.hypot(*velocity.T)
    along = np.where(speed > 1e-9, np.arctan2(velocity[:, 1], velocity[:, 0]), 0.0)
    lean = np.arccos(np.clip((radius[0] - radius[1]) / np.maximum(speed, 1e-9), -1, 1))  # between n and c'
    around = np.linspace(-1, 1, CAP + 2)[1:-1]
    first, last = along[0] + np.pi + around * (np.pi - lean[0]), along[-1] + around * lean[-1]
    angle = np.concatenate((along + lean, along - lean, first, last))
    disc = np.concatenate((np.arange(DISCS), np.arange(DISCS), np.zeros(CAP, int), np.full(CAP, DISCS - 1)))
    normals = np.stack((np.cos(angle), np.sin(angle)), 1)
    points = centres[disc] + radii[disc, None] * normals
    depth = radii - np.hypot(*(points[:, None] - centres).transpose(2, 0, 1))
    visible = depth.max(1) < 1e-3 * radii.max() + 1e-9
    top, bottom = (np.flatnonzero(visible & half) for half in (normals[:, 1] >= 0, normals[:, 1] < 0))
    order = np.concatenate((top[points[top, 0].argsort()], bottom[points[bottom, 0].argsort()[::-1]]))
    return _pieces(points[order], normals[order])


def discs(curve: np.ndarray, radius: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres and velocities (count, 2), radii (count,) of discs along a curve."""
    t = (1 - np.cos(np.linspace(0, np.pi, count)))[:, None] / 2  # closer at the ends, where the direction changes most
    centres = (1 - t) ** 2 * curve[0] + 2 * t * (1 - t) * curve[1] + t**2 * curve[2]
    inner = t.clip(1e-3, 1 - 1e-3)  # a control point on an end has no direction there
    velocity = 2 * (1 - inner) * (curve[1] - curve[0]) + 2 * inner * (curve[2] - curve[1])
    return centres, velocity, ((1 - t) * radius[0] + t * radius[1])[:, 0]


def _pieces(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A closed polygon with normals, (n, 2) each, as few cubics `(m, 4, 2)` that stay within `TOLERANCE` of it."""
    nodes = np.arange(0, len(points), max(1, len(points) // 4))
    while True:
        _, error = _between(points, normals, nodes)
        following = np.append(nodes[1:], len(points))
        split = (error > TOLERANCE) & (following - nodes > 1)
        if not split.any():
            break
        nodes = np.sort(np.concatenate((nodes, (nodes + following)[split] // 2)))
    for first in (1, 2, 1, 2):  # every other node is left out where one piece is as close as two
        without, left_out = np.delete(nodes, np.s_[first::2]), nodes[first::2]
        _, error = _between(points, normals, without)
        needed = left_out[error[np.searchsorted(without, left_out) - 1] > TOLERANCE]
        nodes = np.sort(np.concatenate((without, needed)))
    return _between(points, normals, nodes)[0]


def _between(points: np.ndarray, normals: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cubics `(m, 4, 2)` between the nodes, and their distance from all points, `(m,)`; infinite at a sharp turn."""
    tangents = normals[nodes, ::-1] * [1, -1]
    pieces = _smooth(points[nodes], tangents)
    middle = np.einsum("sk,nkd->nsd", BERNSTEIN, pieces)
    nearest = np.hypot(*(middle[:, :, None] - points).transpose(3, 0, 1, 2)).argmin(2)
    error = np.abs(((middle - points[nearest]) * normals[nearest]).sum(2)).max(1)
    return pieces, np.where((tangents * np.roll(tangents, -1, 0)).sum(1) < -0.1, np.inf, error)


def _smooth(points: np.ndarray, tangents: np.ndarray) -> np.ndarray:
    """A closed curve through points with unit tangents, (n, 2) each, as cubics `(n, 4, 2)`; exact for circles."""
    following, ahead = np.roll(points, -1, 0), np.roll(tangents, -1, 0)
    bend = np.clip((tangents * ahead).sum(1), 0, 1)  # cosine of the angle a between the tangents
    # An arc of angle a has handles of 4/3 tan(a/4) radii, which are 2/3 / (1 + cos(a/2)) chords.
    handle = (np.hypot(*(following - points).T) * 2 / 3 / (1 + np.sqrt((1 + bend) / 2)))[:, None]
    return np.stack((points, points + handle * tangents, following - handle * ahead, following), 1)
