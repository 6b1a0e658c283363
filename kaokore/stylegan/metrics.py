"""The Frechet distance of two sets of features. KID is `renderer.learned.kernel_distance`."""

from __future__ import annotations

import torch
from torch import Tensor


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
