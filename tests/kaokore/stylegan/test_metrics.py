"""KID and FID of features, by hand and on damaged images."""

import pytest
import torch
import torch.nn.functional as F

from kaokore import write_fake_kaokore
from kaokore.loading import load_images
from kaokore.stylegan.evaluate import nearest_images
from kaokore.stylegan.features import load_features
from kaokore.stylegan.metrics import fid
from renderer.learned.kernel_distance import kernel_distance
from tests.kaokore.stylegan.examples import draws


def test_kid_by_hand():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_kid_is_unbiased_and_grows_with_a_shift():
    source = draws()
    samples = [torch.randn(2, 30, 4, generator=source) for _ in range(400)]
    values = torch.tensor([kernel_distance(a, b) for a, b in samples])
    assert abs(values.mean()) < 3 * values.std() / 20
    assert values.min() < 0
    shifted = [
        torch.tensor([kernel_distance(a, b + shift) for a, b in samples[:50]]).mean().item()
        for shift in (0.0, 0.3, 0.6, 1.0)
    ]
    assert shifted == sorted(shifted)
    assert shifted[-1] > 10 * values.std()
    same = torch.randn(500, 4, generator=source)
    assert abs(kernel_distance(same, same)) < 0.15


def test_fid_of_gaussians():
    x = torch.randn(300, 5, generator=draws()).double()
    assert fid(x, x) == pytest.approx(0, abs=1e-6)
    assert fid(x, x + torch.tensor([1.0, 2, 0, 0, 0])) == pytest.approx(5, abs=1e-6)
    assert fid(x, 3 * x - 2 * x.mean(0)) == pytest.approx(4 * x.var(0).sum().item(), abs=1e-6)
    few = torch.randn(4, 9, generator=draws(1)).double()  # fewer pictures than features
    assert fid(few, few) == pytest.approx(0, abs=1e-6)


def test_metrics_grow_with_damage(tmp_path):
    """The distance of features of synthetic faces grows with noise, blur and tint."""
    faces = load_images(write_fake_kaokore(tmp_path, n=60), "train", 64).images / 255
    features = load_features("lite0")
    theirs = features(faces[::2])
    others, noise = faces[1::2], torch.randn(faces[1::2].shape, generator=draws())

    def blurred(by):
        return F.interpolate(F.avg_pool2d(others, by), (64, 64), mode="bilinear", align_corners=False)

    tint = torch.tensor([1.0, 0.0, -1.0])[:, None, None]
    for damaged in (
        [others, others + 0.05 * noise, others + 0.2 * noise],
        [others, blurred(2), blurred(4)],
        [others, others + 0.08 * tint, others + 0.2 * tint],
    ):
        values = [features(pictures) for pictures in damaged]
        for measure in (kernel_distance, fid):
            figures = [measure(theirs, value) for value in values]
            assert figures == sorted(figures)
    assert abs(kernel_distance(theirs, features(others))) < 0.1 * figures[-1]


def test_nearest_images_are_found_in_the_mirror_too():
    others = torch.rand(6, 3, 4, 4, generator=draws())
    images = torch.stack((others[4].flip(-1), others[1] + 0.001))
    distances, found = nearest_images(images, others, lambda x: x.flatten(1), others.flatten(1))
    torch.testing.assert_close(found, torch.stack((others[4].flip(-1), others[1])))
    torch.testing.assert_close(distances, torch.tensor([0.0, 0.001 * 48**0.5]), atol=1e-3, rtol=0)
