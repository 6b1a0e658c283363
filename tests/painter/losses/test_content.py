"""Tests of the content loss, and of the weighted sum of losses."""

from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor
from torchvision import models

from painter.losses.content import Content, ContentConfig, content_loss
from painter.losses.perceptual import find_layers, layer_names
from painter.losses.pixels import mse, weighted
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import load_brush
from renderer.canvas import blank
from renderer.errors import InputError

SMALL = ContentConfig(layers=("relu1_2", "conv2_2"))


def picture(seed: int, height: int = 32, width: int = 48) -> Tensor:
    """Smooth patches, (1, 3, H, W)."""
    coarse = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic") * 0.8 + 0.1


def test_layer_names() -> None:
    names = layer_names("hed")
    assert find_layers(("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")) == (3, 8, 15, 22, 29)
    assert names["conv1_1"] == 0
    assert names["pool5"] == 30
    assert "conv3_4" not in names
    assert layer_names("vgg19")["conv3_4"] == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ("relu9_1",)}, r"no layer 'relu9_1'; it has relu1_1, .*relu5_3, conv for each relu.*pool5"),
        ({"layers": ("conv3_4",)}, "hed has no layer"),
        ({"source": "resnet"}, "Unknown source of features 'resnet'; choose one of hed, imagenet, vgg19"),
        ({"layers": ()}, "needs layers or a weight for pixels"),
        ({"layers": ("relu1_1", "relu1_1")}, "Name each layer once"),
        ({"weights": (1.0,)}, "3 layers and 1 weights"),
        ({"pixels": -1.0}, "from 0 on"),
        ({"norm": "l3"}, "choose l1 or l2"),
        ({"scale": 0.0}, "Scale and window"),
        ({"window": 1.5}, "Scale and window"),
    ],
)
def test_invalid_options_raise_input_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ContentConfig(**options)


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("more", [{}, {"scale": 0.5}, {"window": 0.5}, {"pixels": 1.0}])
def test_zero_for_the_target_and_increasing_with_the_difference(norm: Any, more: dict[str, float]) -> None:
    loss = content_loss(ContentConfig(SMALL.source, SMALL.layers, norm=norm, **more))
    one = picture(0)
    target = one.expand(3, -1, -1, -1)
    canvas = torch.cat((one, 0.8 * one + 0.2 * picture(1), picture(1)))
    same, near, far = loss(canvas, target).tolist()
    assert same == 0
    assert 0 < near < far


def test_weights_belong_to_their_layers_in_any_order() -> None:
    canvas, target = picture(0), picture(1)
    first, second = (content_loss(ContentConfig(layers=(name,)))(canvas, target) for name in ("conv1_1", "relu2_1"))
    both = content_loss(ContentConfig(layers=("relu2_1", "conv1_1"), weights=(3.0, 0.5)))
    torch.testing.assert_close(both(canvas, target), 0.5 * first + 3 * second)


def test_pixels_only_need_no_network() -> None:
    loss = Content(ContentConfig(layers=(), pixels=2.0))
    assert loss.features is None
    canvas, target = picture(0), picture(1)
    expected = 2 * mse(canvas, target) / (target.var(unbiased=False) + 1e-4)
    torch.testing.assert_close(loss(canvas, target), expected)


def test_target_features_are_computed_once_per_window() -> None:
    for config, most in ((SMALL, 1), (ContentConfig(layers=("relu1_1",), window=0.5), 2 * 3)):
        loss = Content(config, torch.Generator().manual_seed(0))
        target, canvas = picture(0), picture(1)
        calls = []
        assert loss.features is not None
        loss.features.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        for _ in range(12):
            loss(canvas, target.clone())
        assert 12 < len(calls) <= 12 + most
        before = len(calls)
        assert loss(target, picture(2)).item() > 0, "another target is not taken from the cache"
        assert len(calls) == before + 2


def test_windows_cover_the_whole_canvas() -> None:
    loss = Content(ContentConfig(layers=("relu1_1",), window=0.3), torch.Generator().manual_seed(0))
    seen = torch.zeros(50, 70)
    for _ in range(60):
        top, left, height, width = loss._box(50, 70)
        assert top + height <= 50
        assert left + width <= 70
        seen[top : top + height, left : left + width] += 1
    assert seen.min() > 0


def test_optimisation_lowers_the_content_loss() -> None:
    brush, target = load_brush("bezier"), picture(0)[0]
    loss, canvas = content_loss(SMALL), blank((32, 48))
    before = loss(canvas[None], target[None]).item()
    config = OptimizeConfig(steps=25, stages=2, relocations=0, radius=(0.25, 0.1), geometry_lr=0.02, colour_lr=0.05)
    generator = torch.Generator().manual_seed(0)
    *_, last = optimize(target, brush, 12, canvas=canvas, config=config, loss=loss, generator=generator)
    assert last.loss < 0.6 * before


def test_weighted_losses() -> None:
    canvas, target = picture(0), picture(1)

    def never(canvas: Tensor, target: Tensor) -> Tensor:
        raise AssertionError("a loss of weight 0 was computed")

    total = weighted((2.0, mse), (0.0, never), (0.5, mse))
    torch.testing.assert_close(total(canvas, target), 2.5 * mse(canvas, target))


def test_failed_download_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(models, "vgg19", offline)
    with pytest.raises(InputError, match=r"weights of VGG19 failed .*no network.*; use the source hed"):
        content_loss(ContentConfig("vgg19", ("relu3_4",)))
