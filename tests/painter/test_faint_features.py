"""Faint features are strengthened; nothing else is changed."""

import pytest
import torch

from painter.faint_features import strengthen_features
from renderer.errors import InputError


def face() -> torch.Tensor:
    """White, with a faint dark line, a strong one, and a light line on grey; (3, 96, 96)."""
    picture = torch.full((3, 96, 96), 0.9)
    picture[:, 20:22, 20:60] -= 0.08
    picture[:, 40:42, 20:60] -= 0.8
    picture[:, 60:, :] = 0.5
    picture[:, 80:82, 20:60] += 0.08
    return picture


def test_faint_lines_gain_contrast_and_strong_ones_hardly() -> None:
    before = face()
    change = strengthen_features(before, 1.0) - before
    assert change[:, 20:22, 30:50].mean() < -0.02
    assert change[:, 80:82, 30:50].mean() > 0.02
    assert change[:, 40:42, 30:50].abs().max() < 0.01
    assert change[:, 5:12].abs().max() == 0, "an even area stays"
    assert change[:, 57:63, 70:].abs().max() < 1e-3, "the edge of an area is no feature"


def test_more_is_more_and_nothing_is_nothing() -> None:
    before = face()
    assert strengthen_features(before, 0) is before
    small, large = ((strengthen_features(before, amount) - before).abs().sum() for amount in (0.5, 1.0))
    assert large == pytest.approx(2 * float(small), rel=1e-3)


def test_grain_of_the_paper_is_no_feature() -> None:
    noise = 0.8 + 0.02 * torch.randn(3, 96, 96, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(strengthen_features(noise, 2.0), noise)


@pytest.mark.parametrize("size", [(1, 1), (3, 90), (9, 9)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    assert strengthen_features(torch.rand(3, *size), 1.0).shape == (3, *size)


@pytest.mark.parametrize("amount", [-1.0, 5.0, float("nan")])
def test_amounts_out_of_range(amount: float) -> None:
    with pytest.raises(InputError, match="Features are strengthened by 0 to 4"):
        strengthen_features(face(), amount)
