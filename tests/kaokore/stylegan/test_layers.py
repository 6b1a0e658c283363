"""The layers of StyleGAN2, as the papers define them."""

import math

import pytest
import torch
import torch.nn.functional as F

from kaokore.stylegan.layers import Conv, Filter, Linear, ModulatedConv, downsample, upsample


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up", [True, False])
def test_modulated_convolution_equals_the_definition(demodulate, up):
    """Compared with a grouped convolution of one set of weights per image, after equations 1 and 3."""
    torch.manual_seed(1)
    B, I, O, D = 3, 4, 5, 6  # noqa: E741
    layer = ModulatedConv(I, O, 3, D, demodulate, up).double()
    x, w = torch.randn(B, I, 6, 7).double(), torch.randn(B, D).double()
    style = w @ layer.style.weight.T / math.sqrt(D) + layer.style.bias
    weights = style[:, None, :, None, None] * layer.weight
    if demodulate:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    else:
        weights = weights / math.sqrt(I * 9)
    together = x.reshape(1, B * I, 6, 7)
    if up:
        theirs = F.conv_transpose2d(together, weights.transpose(1, 2).reshape(B * I, O, 3, 3), stride=2, groups=B)
        tap = torch.tensor([1.0, 3, 3, 1]).double()
        kernel = (tap[:, None] * tap / 64 * 4).expand(B * O, 1, 4, 4)
        theirs = F.conv2d(theirs, kernel, padding=1, groups=B * O).reshape(B, O, 12, 14)
    else:
        theirs = F.conv2d(together, weights.reshape(B * O, I, 3, 3), padding=1, groups=B).reshape(B, O, 6, 7)
    torch.testing.assert_close(layer(x, w), theirs)


def test_modulated_convolution_known_value():
    layer = ModulatedConv(2, 1, 1, 1)
    layer.weight.data = torch.tensor([3.0, 1.0]).view(1, 2, 1, 1)
    layer.style.weight.data, layer.style.bias.data = torch.zeros(2, 1), torch.tensor([1.0, 4.0])
    assert layer(torch.tensor([10.0, 5.0]).view(1, 2, 1, 1), torch.zeros(1, 1)).item() == pytest.approx(50 / 5)


def test_demodulation_gives_unit_variance():
    torch.manual_seed(0)
    layer = ModulatedConv(16, 32, 3, 8)
    x = torch.randn(8, 16, 32, 32)
    y = layer(x, 3 * torch.randn(8, 8))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(y.var((0, 2, 3)), torch.ones(32), rtol=0.1, atol=0.1)
    assert y.var().item() == pytest.approx(1, abs=0.03)


def test_equalised_layers_keep_variance():
    torch.manual_seed(0)
    assert Conv(32, 64, 3)(torch.randn(4, 32, 16, 16))[..., 1:-1, 1:-1].var().item() == pytest.approx(1, abs=0.05)
    slow = Linear(64, 64, bias=2.0, rate=0.01)
    y = slow(torch.randn(4096, 64))
    assert y.var().item() == pytest.approx(1, abs=0.1)
    assert y.mean().item() == pytest.approx(2, abs=0.1)
    assert slow.bias[0].item() == pytest.approx(200)


def test_resampling_filters():
    """Known values on a ramp; apart from the border, the two are transposes of each other."""
    x = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 2, 8, 8)
    assert torch.allclose(downsample(x)[0, 0, 1, 1:-1], torch.tensor([2.5, 4.5]))
    assert torch.allclose(upsample(x)[0, 1, 3, 3:7], torch.tensor([1.25, 1.75, 2.25, 2.75]))
    torch.manual_seed(0)
    a, b = torch.randn(1, 1, 12, 12).double(), torch.randn(1, 1, 6, 6).double()
    b[..., [0, -1], :] = b[..., [0, -1]] = 0
    assert (downsample(a) * b).sum().item() == pytest.approx((a * upsample(b)).sum().item() / 4)


@pytest.mark.parametrize("stride", [1, 2])
def test_filter_and_transpose_are_derivatives_of_each_other(stride):
    """Compared with PyTorch's convolution, and by finite differences up to the second order."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6).double()
    taps = torch.tensor([1.0, 3, 3, 1]).double() / 8
    theirs = F.conv2d(x, (taps[:, None] * taps).expand(3, 1, 4, 4), stride=stride, padding=1, groups=3)
    torch.testing.assert_close(Filter.apply(x, stride, False), theirs)
    y = torch.randn_like(theirs)
    back = (x * Filter.apply(y, stride, True)).sum()
    assert (Filter.apply(x, stride, False) * y).sum().item() == pytest.approx(back.item())
    for transpose in (False, True):

        def square(x, transpose=transpose):
            return Filter.apply(x, stride, transpose).square()

        start = x[:1, :2, :4, :4].clone().requires_grad_()
        assert torch.autograd.gradcheck(square, start)
        assert torch.autograd.gradgradcheck(square, start)
