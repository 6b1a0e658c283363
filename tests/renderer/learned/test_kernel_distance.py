"""The kernel distance, against its definition and as an estimate."""

import itertools

import pytest
import torch

from renderer.learned.kernel_distance import kernel_distance


def kernel(a: torch.Tensor, b: torch.Tensor, divisor: float) -> float:
    return float((a @ b / divisor + 1) ** 3)


@pytest.mark.parametrize("divisor", [None, 1.0])
def test_the_definition(divisor: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(4, 3, generator=generator).double(), torch.rand(5, 3, generator=generator).double()
    by = divisor or 3
    within = [sum(kernel(a, b, by) for a, b in itertools.permutations(z, 2)) / (len(z) * (len(z) - 1)) for z in (x, y)]
    between = sum(kernel(a, b, by) for a in x for b in y) / 20
    assert kernel_distance(x, y, divisor=divisor) == pytest.approx(sum(within) - 2 * between, rel=1e-9)


def test_pairs_are_left_out() -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(2, 5, 3, generator=generator).double()
    expected = 0.0
    for i, j in itertools.permutations(range(5), 2):
        expected += kernel(x[i], x[j], 3) + kernel(y[i], y[j], 3) - 2 * kernel(x[i], y[j], 3)
    assert kernel_distance(x, y, paired=True) == pytest.approx(expected / 20, rel=1e-9)
    assert kernel_distance(x, x, paired=True) == pytest.approx(0, abs=1e-12)


def test_it_is_unbiased() -> None:
    """0 on average for samples of one distribution, well above for two."""
    generator = torch.Generator().manual_seed(2)
    same = [kernel_distance(*torch.randn(2, 20, 4, generator=generator)) for _ in range(200)]
    other = [kernel_distance(*torch.randn(2, 20, 4, generator=generator).add(torch.tensor([[[0.0]], [[1.0]]])))
             for _ in range(200)]  # fmt: skip
    same, other = torch.tensor(same), torch.tensor(other)
    assert same.mean().abs() < 4 * same.std() / 200**0.5
    assert other.mean() > 20 * same.std() / 200**0.5
