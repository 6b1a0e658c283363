"""The kernel distance of two samples of features."""

from __future__ import annotations

from torch import Tensor


def kernel_distance(x: Tensor, y: Tensor, *, divisor: float | None = None, paired: bool = False) -> float:
    """Estimate how far apart the distributions of two samples are: 0 in expectation for the same distribution.

    The unbiased estimate of the squared maximum mean discrepancy under the cubic polynomial kernel (x.y / divisor + 1)^3;
    on features of an Inception network the Kernel Inception Distance (Binkowski et al. 2018, "Demystifying MMD GANs").
    It may be a little below 0. Computed in double precision.

    Args:
        x: `(N, F)` features, N at least 2.
        y: `(M, F)` features, M at least 2.
        divisor: of the scalar product; F when None.
        paired: rows of `x` and `y` with the same index depend on one another (N = M): such pairs are left out.
    """
    x, y = x.double(), y.double()
    divisor = x.shape[1] if divisor is None else divisor

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / divisor + 1) ** 3

    def off_diagonal(gram: Tensor) -> Tensor:
        return (gram.sum() - gram.trace()) / (len(gram) * (len(gram) - 1))

    if paired:
        return off_diagonal(kernel(x, x) + kernel(y, y) - kernel(x, y) - kernel(y, x)).item()
    return (off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()).item()
