"""Random augmentation of faces."""

import torch

from kaokore.classify.augment import Augmentation, augment
from tests.kaokore.classify.examples import random


def test_augmentation_keeps_shape_and_range_and_follows_the_seed():
    images = torch.randint(256, (16, 3, 24, 24), dtype=torch.uint8, generator=random())
    first, second = (augment(images, 1.0, random(1), Augmentation()) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.equal(first, augment(images, 1.0, random(2), Augmentation()))


def test_strength_0_only_mirrors():
    images = torch.randint(256, (32, 3, 8, 8), dtype=torch.uint8, generator=random())
    changed = augment(images, 0.0, random(), Augmentation())
    plain, mirrored = images / 255, images.flip(-1) / 255
    same = [(face - one).abs().max() < 1e-6 for face, one in zip(changed, plain, strict=True)]
    flipped = [(face - one).abs().max() < 1e-6 for face, one in zip(changed, mirrored, strict=True)]
    assert all(a or b for a, b in zip(same, flipped, strict=True))
    assert 4 < sum(same) < 28


def test_shifts_stay_within_the_limit():
    """A dot in the middle moves by at most the largest shift."""
    images = torch.zeros(200, 3, 65, 65, dtype=torch.uint8)
    images[:, :, 30:35, 30:35] = 255
    still = Augmentation(contrast=0, brightness=0, saturation=0, tint=0, erase=0)
    moved = augment(images, 1.0, random(), still)[:, 0]
    mass = moved / moved.sum((1, 2), keepdim=True)
    place = torch.arange(65.0)
    for profile in (mass.sum(1), mass.sum(2)):
        middle = (profile * place).sum(1)
        assert (middle - 32).abs().max() < 65 * still.shift * 1.2 + 0.5
        assert middle.std() > 1


def test_a_quarter_of_the_faces_lose_a_rectangle():
    images = torch.randint(256, (400, 3, 20, 20), dtype=torch.uint8, generator=random())
    erased = augment(images, 1.0, random(), Augmentation(0, 0, 0, 0, 0, 0, 0, erase=0.25))
    grey = (erased - erased.mean((1, 2, 3), keepdim=True)).abs().amax(1) < 0.1
    share = grey.float().mean((1, 2))
    lost = share[share > 0.015]
    assert 0.2 < len(lost) / len(images) < 0.3
    assert lost.max() < 0.25
    assert 0.08 < lost.mean() < 0.14
