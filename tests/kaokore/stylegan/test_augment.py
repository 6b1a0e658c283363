"""Adaptive augmentation: each change with its probability, differentiable, colours about grey."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kaokore.stylegan.augment import MAX_P, View, adapt, augment, draw_changes, draw_views, see, shift
from tests.kaokore.stylegan.examples import draws


def changed(pictures, p, source):
    return augment(pictures, draw_changes(len(pictures), pictures.shape[-1], p, source))


def test_each_image_is_augmented_independently_with_probability_p():
    torch.manual_seed(0)
    x = torch.rand(4000, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(changed(x, 0.0, draws()), x, atol=1e-5, rtol=0)
    y = changed(x, 0.1, draws())
    assert torch.isfinite(y).all()
    same = (x - y).abs().flatten(1).max(1).values < 1e-5
    # Eleven changes; a quarter of the quarter turns, of the whole shifts (of at most a pixel here) and half of the
    # inversions do nothing.
    expected = 0.9**8 * (1 - 0.1 * 3 / 4) ** 2 * (1 - 0.1 / 2)
    assert same.float().mean().item() == pytest.approx(expected, abs=0.025)
    assert torch.equal(y, changed(x, 0.1, draws()))
    assert not torch.equal(y, changed(x, 0.1, draws(1)))


def test_augmentation_has_a_gradient_everywhere():
    """Also for values outside [-1, 1], where kornia's own changes of colour have none."""
    x = (3 * torch.randn(8, 3, 16, 16)).requires_grad_()
    (changed(x, 0.8, draws()) * torch.randn(8, 3, 16, 16)).sum().backward()
    assert (x.grad.abs() > 0).float().mean() > 0.7


def test_augmented_grey_stays_grey():
    """The hue rotates about the grey axis."""
    x = torch.rand(64, 1, 8, 8).expand(-1, 3, -1, -1) * 2 - 1
    y = changed(x, 0.9, draws())
    assert (y - y.mean(1, keepdim=True)).abs().max() < 1e-5
    assert (y - x).abs().mean() > 0.1


def test_shift_moves_each_image_by_its_own_pixels():
    torch.manual_seed(0)
    x, moves = torch.rand(3, 3, 12, 12), torch.tensor([[0, 0], [3, -2], [-4, 1]])
    y = shift(x, moves)
    for before, after, (right, down) in zip(x, y, moves.tolist(), strict=True):
        expected = before.roll((down, right), (1, 2))[:, 4:-4, 4:-4]  # the border is reflected
        torch.testing.assert_close(after[:, 4:-4, 4:-4], expected, atol=1e-5, rtol=1e-5)


def test_views_change_shift_colour_and_a_square():
    x = torch.rand(200, 3, 16, 16, generator=draws()) * 2 - 1
    view = draw_views(200, 16, draws())
    assert view.shift.abs().max() == 2
    holed = view.hole[:, 0] >= 0
    assert 0.15 < holed.float().mean() < 0.35
    same = View(torch.zeros_like(view.shift), torch.tensor([1.0, 1.0, 0.0]).expand(200, 3), view.hole)
    y = see(x, same)
    torch.testing.assert_close(y[~holed], x[~holed], atol=1e-5, rtol=0)
    (right, down), face = view.hole[holed][0].tolist(), y[holed][0]
    assert face[:, down, right].tolist() == [0, 0, 0]
    assert (face == 0).all(0).sum() <= 9, "3x3 pixels at most"
    brighter = see(x, same._replace(colour=torch.tensor([1.0, 1.0, 0.25]).expand(200, 3)))
    torch.testing.assert_close(brighter[~holed], x[~holed] + 0.25, atol=1e-5, rtol=0)
    flat = see(x, same._replace(colour=torch.tensor([1.0, 0.0, 0.0]).expand(200, 3)))
    assert flat[~holed].var((1, 2, 3)).max() < 1e-9, "no contrast"
    grey = see(x, same._replace(colour=torch.tensor([0.0, 1.0, 0.0]).expand(200, 3)))
    assert grey.var(1).max() < 1e-9, "no saturation"
    x.requires_grad_()
    see(x, view).sum().backward()
    assert (x.grad[~holed] != 0).float().mean() > 0.7


@settings(max_examples=50, deadline=None)
@given(st.floats(0, MAX_P), st.floats(-1, 1), st.integers(1, 500), st.floats(0.1, 0.9))
def test_p_follows_the_overfitting_of_the_discriminator(p, r_t, shown, target):
    after = adapt(p, r_t, shown, target=target, speed=1000.0)
    assert 0 <= after <= MAX_P
    assert abs(after - p) <= shown / 1000 + 1e-9
    if r_t > target and p < MAX_P:
        assert after > p
    if r_t < target and p > 0:
        assert after < p
    if r_t == target:
        assert after == p
