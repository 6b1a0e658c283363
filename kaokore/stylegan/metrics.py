"""Distances of two sets of images, given as features (N, F): KID and FID."""

from __future__ import annotations

import torch
from torch import Tensor


def kid(a: Tensor, b: Tensor) -> float:
    """Compute the kernel inception distance of features (N, F) and (M, F), N and M at least 2 (Binkowski et al. 2018).

    The unbiased estimate of the squared maximum mean discrepancy under the kernel (x.y / F + 1)^3: 0 in expectation for
    two samples of one distribution, so it may be a little below 0.
    """
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        gram = kernel(x, x)
        return (gram.sum() - gram.trace()) / (len(x) * (len(x) - 1))

    return (within(a) + within(b) - 2 * kernel(a, b).mean()).item()


def fid(a: Tensor, b: Tensor) -> float:
    """Compute the Frechet distance of the Gaussians of features (N, F) and (M, F) (Heusel et al. 2017).

    Biased upwards, most for few images: compare only values of equal counts.
    """
    a, b = a.double(), b.double()
    # The trace of the root of the product of both covariances, without computing these: covariances are X'X, and the
    # eigenvalues of X'X Y'Y are the squared singular values of XY'. QR makes X small when there are more images than
    # features.
    x, y = (torch.linalg.qr((z - z.mean(0)) / (len(z) - 1) ** 0.5, mode="r").R for z in (a, b))
    cross = torch.linalg.svdvals(x @ y.T).sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + x.square().sum() + y.square().sum() - 2 * cross).item()
