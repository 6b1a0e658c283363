"""Images side by side in a notebook."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch

from renderer import BEZIER, ExactBezier, Painting, show_images


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_colour_grey_and_paintings_stand_under_their_titles() -> None:
    painting = Painting.by(ExactBezier(), BEZIER.sample(2), (20, 10))
    images = {
        "colour": torch.rand(3, 4, 6),
        "grey": torch.rand(1, 4, 6),
        "flat": torch.full((4, 6), 2.0),
        "p": painting,
    }
    show_images(images, size=32)
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes] == list(images)
    shown = [axis.get_images()[0].get_array() for axis in axes]
    assert [array.shape for array in shown] == [(4, 6, 3), (4, 6), (4, 6), (32, 16, 3)]
    assert shown[2].max() == 1
    plt.close()
