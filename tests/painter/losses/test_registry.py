"""Tests of losses by name."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from painter.losses import load_loss, mse, register_loss, total_variation
from painter.losses.content import Content, ContentConfig
from painter.losses.perceptual import Perceptual
from renderer.errors import InputError


def red(canvas: Tensor, target: Tensor) -> Tensor:
    return (canvas[:, 0] - target[:, 0]).abs().mean((1, 2))


def pictures() -> tuple[Tensor, Tensor]:
    canvas, target = torch.rand(2, 2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    return canvas, target


@pytest.mark.parametrize("name", ["mse", "total_variation", "perceptual", "content", f"{__name__}:red"])
def test_every_loss_maps_pictures_to_one_value_each(name: str) -> None:
    canvas, target = pictures()
    loss = load_loss(name)
    values = loss(canvas.requires_grad_(), target)
    assert values.shape == (2,)
    assert values.min() >= 0
    torch.testing.assert_close(loss(target, target), torch.zeros(2))
    (gradient,) = torch.autograd.grad(values.sum(), canvas)
    assert gradient.isfinite().all()
    if name != "total_variation":  # no gradient where the target varies more
        assert gradient.abs().max() > 0
    torch.testing.assert_close(loss(canvas[1:], target[1:]), values[1:], rtol=1e-4, atol=1e-6)


def test_builtin_losses_are_the_documented_ones() -> None:
    assert load_loss("mse") is mse
    assert load_loss("total_variation") is total_variation
    assert isinstance(load_loss("perceptual", layers=("relu1_1",)), Perceptual)
    loss = load_loss("content", layers=("relu1_1",), norm="l2", generator=torch.Generator())
    assert isinstance(loss, Content)
    assert loss.config == ContentConfig(layers=("relu1_1",), norm="l2")


def test_registered_loss_gets_device_and_options() -> None:
    seen = []

    def factory(device: torch.device | str, weight: float) -> object:
        seen.append(device)
        return lambda canvas, target: weight * red(canvas, target)

    register_loss("test-red", factory)  # type: ignore[arg-type]
    canvas, target = pictures()
    torch.testing.assert_close(load_loss("test-red", "cpu", weight=2.0)(canvas, target), 2 * red(canvas, target))
    assert seen == ["cpu"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mean", {}, "Unknown loss 'mean'; choose mse, total_variation, perceptual, content"),
        ("mse", {"weight": 2}, "Wrong options for the loss mse"),
        ("content", {"layers": ("relu9_9",)}, "no layer 'relu9_9'"),
        ("no_such_module:loss", {}, "No loss 'no_such_module:loss'"),
        (f"{__name__}:blue", {}, "No loss"),
        (f"{__name__}:red", {"weight": 2}, "takes no options, but got weight"),
    ],
)
def test_invalid_names_and_options_raise_input_error(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_loss(name, **options)


def test_heavy_packages_are_imported_on_use_only() -> None:
    code = (
        "import sys, agents.registry, agents.rollout, painter.losses, painter.losses.content, painter.losses.style, "
        "painter.losses.guidance, painter.losses.activation, painter.metrics, painter.lines, painter.optimize\n"
        "print(*{'cv2', 'gymnasium', 'h5py', 'kornia', 'matplotlib', 'skimage', 'torchvision'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert loaded == []
