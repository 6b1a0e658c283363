"""The closed spline through styles."""

import torch

from kaokore.stylegan.interpolation import closed_spline
from tests.kaokore.stylegan.examples import draws


def test_the_spline_passes_all_knots_and_closes():
    corners = torch.randn(5, 3, generator=draws()).double()
    way = closed_spline(corners, 10)
    assert way.shape == (50, 3)
    assert torch.allclose(way[::10], corners)
    closed = torch.cat((way, way[:2]))
    speeds = closed.diff(dim=0)
    jumps = speeds.diff(dim=0).norm(dim=1)
    assert jumps[-1] < 1.5 * jumps[:-1].max()  # no corner where the end meets the beginning
    line = closed_spline(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), 4)
    assert torch.allclose(line[4:8, 0], torch.tensor([1.0, 1.25, 1.5, 1.75]))
