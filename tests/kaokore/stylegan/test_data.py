"""Classes of the training images."""

import pytest
import torch

from kaokore import GENDERS, STATUSES
from kaokore.stylegan.data import joint_class, sample_classes
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
