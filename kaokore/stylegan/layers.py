"""The layers of StyleGAN2's networks (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN").

Weights are drawn from N(0, 1) and scaled when used ("equalised learning rate", Karras et al. 2018, section 4.1), so that
Adam changes all of them at the same rate.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifier
GAIN = math.sqrt(2)  # restores, approximately, the standard deviation after the rectifier


def activate(x: Tensor) -> Tensor:
    """Apply a leaky rectifier that keeps the variance: slope 0.2, gain sqrt(2)."""
    return F.leaky_relu(x, SLOPE) * GAIN


def upsample(x: Tensor) -> Tensor:
    """Double height and width, (B, C, H, W) -> (B, C, 2 H, 2 W), by bilinear interpolation: the filter [1, 3, 3, 1]."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def downsample(x: Tensor) -> Tensor:
    """Halve height and width, (B, C, H, W) -> (B, C, H / 2, W / 2), with the filter [1, 3, 3, 1] and zero padding."""
    return Filter.apply(x, 2, False)


def smooth(x: Tensor) -> Tensor:
    """Filter with [1, 3, 3, 1] and zero padding, (B, C, H, W) -> (B, C, H - 1, W - 1)."""
    return Filter.apply(x, 1, False)


class Filter(torch.autograd.Function):
    """The filter [1, 3, 3, 1] / 8 in both directions on each channel, with a stride, or its transpose.

    Each is the derivative of the other, to any order. PyTorch's own second derivative of a depthwise convolution
    processes the channels one after the other.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, transpose: bool) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        ctx.stride, ctx.transpose = stride, transpose
        tap = (2 - (torch.arange(4, device=x.device) - 1.5).abs()).to(x.dtype) / 4  # on the device of x
        taps = (tap[:, None] * tap).expand(x.shape[1], 1, 4, 4).contiguous()
        convolve = F.conv_transpose2d if transpose else F.conv2d
        return convolve(x, taps, stride=stride, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        """See the class."""
        return Filter.apply(slopes[0], ctx.stride, not ctx.transpose), None, None


class Linear(nn.Module):
    """An equalised fully connected layer, (B, before) -> (B, after). `rate` scales its learning rate."""

    def __init__(self, before: int, after: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias / rate))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        gain = self.rate / math.sqrt(self.weight.shape[1])
        return F.linear(x, self.weight * gain, self.bias * self.rate)


class Conv(nn.Module):
    """An equalised convolution that keeps height and width, (B, before, H, W) -> (B, after, H, W)."""

    def __init__(self, before: int, after: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """See the class; `gain` scales weights and bias, which costs less than scaling the output."""
        weight = self.weight * (gain / math.sqrt(self.weight[0].numel()))
        bias = None if self.bias is None else self.bias * gain
        return F.conv2d(x, weight, bias, padding=self.weight.shape[-1] // 2)


class ModulatedConv(nn.Module):
    """A convolution whose weights depend on the style w (equations 1 and 3): (B, before, H, W), (B, D) -> (B, after, H, W).

    Modulation scales the weights of each input channel by the style; demodulation then scales those of each output
    channel to norm 1, for each image. Scaling inputs and outputs instead is equivalent by linearity and needs one
    convolution with shared weights for the whole batch, several times faster on a CPU than one for each image.

    Args:
        before: Input channels.
        after: Output channels.
        kernel: Pixels of the kernel's side.
        style: Dimensions of w.
        demodulate: Whether output channels are scaled to norm 1.
        up: Double height and width by a transposed convolution, then the filter [1, 3, 3, 1].
    """

    def __init__(
        self, before: int, after: int, kernel: int, style: int, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.style = Linear(style, before, bias=1.0)
        self.demodulate, self.up = demodulate, up

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """See the class."""
        style = self.style(w)
        if not self.demodulate:  # then the weights keep their equalised scale
            style = style / math.sqrt(self.weight[0].numel())
        x = x * style[:, :, None, None].to(x.dtype)
        if self.up:
            # Three quarters of the upsampled input are zeros, hence the factor 4. The result has 2 H + 1 rows.
            x = smooth(F.conv_transpose2d(x, 4 * self.weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)
        return x * self.demodulation(style)[:, :, None, None].to(x.dtype) if self.demodulate else x

    def demodulation(self, style: Tensor) -> Tensor:
        """Compute one over the norm of each output channel's modulated weights: (B, before) -> (B, after)."""
        return torch.rsqrt(style.square() @ self.weight.square().sum((2, 3)).T + 1e-8)
