"""Classes of the training images."""

import pytest
import torch

from kaokore import GENDERS, STATUSES
from kaokore.stylegan.data import Faces, joint_class, sample_classes
from kaokore.stylegan.networks import CLASSES, encode
from renderer.errors import InputError
from tests.kaokore.stylegan.examples import draws


def test_classes_are_gender_and_status():
    assert encode(torch.tensor([int(joint_class(torch.tensor(1), torch.tensor(2)))])).tolist() == [[0, 1, 0, 0, 1, 0]]
    assert joint_class(torch.tensor(len(GENDERS) - 1), torch.tensor(len(STATUSES) - 1)) == CLASSES - 1
    counts = [30, 0, 0, 10, 0, 0, 0, 0]
    assert set(sample_classes(counts, 500, draws()).tolist()) == {0, 3}
    assert sample_classes(counts, 4000, draws()).eq(3).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert set(sample_classes(counts, 9, draws(), gender="male", status="commoner").tolist()) == {3}
    assert set(sample_classes(counts, 9, draws(), gender="female", status="warrior").tolist()) == {5}  # of count 0
    for options in ({"gender": "boy"}, {"status": "king"}):
        with pytest.raises(InputError, match="choose one of"):
            sample_classes(counts, 1, draws(), **options)


@pytest.mark.parametrize(("balance", "expected"), [(0.0, 0.1), (0.5, 0.25), (1.0, 0.5)])
def test_balanced_draws_show_rare_classes_more_often(balance, expected):
    """Nine faces of class 0 and one of class 5, for example, in proportion 3 to 1 at a balance of one half."""
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 2, 2)
    faces = Faces(images, torch.tensor([0] * 9 + [5]))
    drawn, classes = faces.draw(4000, draws(), balance)
    assert classes.eq(5).float().mean().item() == pytest.approx(expected, abs=0.03)
    assert torch.equal(drawn[:, 0, 0, 0] > 8.9 / 127.5 - 1, classes == 5)


def test_half_of_the_drawn_images_are_mirrored():
    images = torch.tensor([0, 255], dtype=torch.uint8).expand(1, 3, 2, 2)
    drawn, _ = Faces(images, torch.tensor([0])).draw(1000, draws())
    assert set(drawn.unique().tolist()) == {-1, 1}
    assert (drawn[:, 0, 0, 0] > 0).float().mean().item() == pytest.approx(0.5, abs=0.06)
