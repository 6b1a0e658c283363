"""Losses between a canvas and its target, and the registry of losses.

A loss is any function or `nn.Module` of canvas and target, both `(B, 3, H, W)`, that returns `(B,)`. Networks and image
libraries are imported when a loss is loaded that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from painter.losses.pixels import Loss, mse, total_variation, weighted
from renderer.errors import InputError
from renderer.extensions import import_callable

__all__ = ["Loss", "load_loss", "mse", "register_loss", "total_variation", "weighted"]

LossFactory = Callable[..., Loss]
"""(device, **options) -> loss."""


def register_loss(name: str, factory: LossFactory) -> None:
    """Let `load_loss` find a loss by `name`; a factory registered earlier for `name` is replaced.

    Args:
        name: Name of the loss, without a colon.
        factory: Called as `factory(device, **options)`, returns the loss.
    """
    _FACTORIES[name] = factory


def load_loss(name: str, device: torch.device | str = "cpu", **options: Any) -> Loss:
    """Load a loss by name.

    Args:
        name: "mse", "total_variation", "perceptual", "content", a registered name, or "module:function" for a function
            in an importable module that is itself a loss.
        device: Where the loss keeps its network, if it has one.
        options: Passed to the factory of the loss: those of `Perceptual` for "perceptual", those of `ContentConfig` and
            `generator` for "content".

    Returns:
        The loss.

    Raises:
        InputError: No such loss, wrong options, or a network's weights are not available.
    """
    if ":" in name:
        if options:
            raise InputError(f"The loss {name} takes no options, but got {', '.join(options)}.")
        loss: Loss = import_callable(name, "loss", 2)
        return loss
    if name not in _FACTORIES:
        raise InputError(f"Unknown loss {name!r}; choose {', '.join(_FACTORIES)}, or module:function.")
    try:
        return _FACTORIES[name](device, **options)
    except TypeError as error:
        raise InputError(f"Wrong options for the loss {name}: {error}.") from error


def _load_mse(device: torch.device | str) -> Loss:
    return mse


def _load_total_variation(device: torch.device | str) -> Loss:
    return total_variation


def _load_perceptual(device: torch.device | str, **options: Any) -> Loss:
    from painter.losses.perceptual import Perceptual

    return Perceptual(**options).to(device)


def _load_content(device: torch.device | str, generator: torch.Generator | None = None, **options: Any) -> Loss:
    from painter.losses.content import ContentConfig, content_loss

    return content_loss(ContentConfig(**options), device=device, generator=generator)


_FACTORIES: dict[str, LossFactory] = {
    "mse": _load_mse,
    "total_variation": _load_total_variation,
    "perceptual": _load_perceptual,
    "content": _load_content,
}
