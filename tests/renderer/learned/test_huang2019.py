"""The baseline network, and the windows cut from its one resolution."""

import torch

from renderer.brush import Window
from renderer.learned.huang2019 import Huang2019, crop
from renderer.strokes import BEZIER


def test_a_crop_is_zero_where_it_hangs_over() -> None:
    image = torch.arange(1.0, 13).view(1, 1, 3, 4).repeat(5, 1, 1, 1)
    left, top = torch.tensor([0, -1, 3, 1, -9]), torch.tensor([0, -1, 2, -2, 9])
    patches = crop(image, Window(left, top, 2, 3))[:, 0].tolist()
    assert patches[0] == [[1, 2, 3], [5, 6, 7]]
    assert patches[1] == [[0, 0, 0], [0, 1, 2]]
    assert patches[2] == [[12, 0, 0], [0, 0, 0]]
    assert patches[3] == [[0, 0, 0], [0, 0, 0]]
    assert patches[4] == [[0, 0, 0], [0, 0, 0]]


def test_other_sizes_are_interpolated_from_its_own() -> None:
    torch.manual_seed(0)
    network = Huang2019().requires_grad_(False)
    strokes = BEZIER.sample(2, torch.Generator().manual_seed(0))
    own = network(strokes, (128, 128)).alpha
    assert own.shape == (2, 1, 128, 128)
    assert torch.equal(
        network(strokes, (128, 128), Window(torch.tensor([0, 5]), torch.tensor([0, 9]), 7, 8)).alpha[1],
        own[1, :, 9:16, 5:13],
    )
    half = torch.nn.functional.avg_pool2d(own, 2)
    torch.testing.assert_close(network(strokes, (64, 64)).alpha, half, rtol=0, atol=0.02)


def test_it_is_as_large_as_the_authors() -> None:
    """renderer.py of LearningToPaint: 11 M weights in the linear layers, 18 thousand in the convolutions."""
    network = Huang2019()
    sizes = [sum(p.numel() for p in part.parameters()) for part in (network.linear, network.convolution)]
    assert sizes == [11 * 512 + 513 * 1024 + 1025 * 2048 + 2049 * 4096, 4640 + 9248 + 1168 + 2320 + 296 + 292]
