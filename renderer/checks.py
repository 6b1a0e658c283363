"""Checks of tensors at the public edge: what enters a kernel has the shape, precision and place that it reads.

Each check raises `InputError` with one line, costs microseconds, and is always on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from renderer.errors import InputError

if TYPE_CHECKING:
    from renderer.strokes import StrokeSpace

FLOATS = (torch.float32, torch.float64)
FARTHEST = 100.0  # the largest value: strokes and pixels lie in [0, 1], and positions may lie outside of the canvas


def check_size(size: tuple[int, int]) -> None:
    """Refuse a canvas of `size` (height, width) without pixels."""
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"A canvas has a height and a width of at least 1 pixel, not {tuple(size)}.")


def check_canvas(canvas: Tensor, what: str = "A canvas", *, values: bool = False) -> None:
    """Refuse anything but floats `(3, H, W)` or `(B, 3, H, W)` with pixels; with `values`, also NaN and huge values."""
    _check_float(canvas, what)
    if canvas.dim() not in (3, 4) or canvas.shape[-3] != 3 or canvas.numel() == 0:
        raise InputError(f"{what} has the shape (3, H, W) or (B, 3, H, W) with at least 1 pixel, not {_shape(canvas)}.")
    if values:
        low, high = canvas.detach().aminmax()  # both are NaN if a value is
        if not bool((low >= -FARTHEST) & (high <= FARTHEST)):
            raise InputError(f"{what} has values that are not finite, or beyond {FARTHEST:g}; they lie in [0, 1].")


def check_pictures(canvas: Tensor, target: Tensor, *, dims: int = 4, values: bool = False) -> None:
    """Refuse a canvas and a target that are not of one shape, precision and device.

    Args:
        canvas: The canvas.
        target: The picture to paint.
        dims: 4 for `(B, 3, H, W)`, 3 for `(3, H, W)`.
        values: Whether to check that all values are finite, which waits for a GPU.

    Raises:
        InputError: For anything else.
    """
    for picture, what in ((canvas, "A canvas"), (target, "A target")):
        check_canvas(picture, what, values=values)
        if picture.dim() != dims:
            raise InputError(
                f"{what} has the shape {'(B, 3, H, W)' if dims == 4 else '(3, H, W)'}, not {_shape(picture)}."
            )
    if canvas.shape != target.shape:
        raise InputError(f"The canvas is {_shape(canvas)} and the target {_shape(target)}; both need the same shape.")
    if canvas.dtype != target.dtype or canvas.device != target.device:
        raise InputError(
            f"The canvas is {canvas.dtype} on {canvas.device} and the target {target.dtype} on {target.device}; both need "
            "the same."
        )


def check_strokes(strokes: Tensor, space: StrokeSpace, dims: int = 2, *, values: bool = True) -> None:
    """Refuse strokes that a brush of `space` cannot draw.

    Args:
        strokes: Floats with `dims` dimensions, the last of `space.width` columns.
        space: What the columns mean.
        dims: 2 for `(N, P)`, 3 for `(B, N, P)`.
        values: Whether to check that all values are finite and at most `FARTHEST`, where they can be read at once (on
            the CPU; elsewhere it would wait for the device).

    Raises:
        InputError: For anything else.
    """
    _check_float(strokes, "Strokes")
    if strokes.dim() != dims or strokes.shape[-1] != space.width:
        expected = "(N, P)" if dims == 2 else "(B, N, P)"
        raise InputError(
            f"Strokes of the space {space.name} have the shape {expected} with P = {space.width}, not {_shape(strokes)}."
        )
    if values and strokes.device.type == "cpu":
        check_values(strokes)


def check_values(strokes: Tensor) -> None:
    """Refuse strokes with NaN, infinity, or values far from [0, 1]. On a GPU, this waits for it."""
    # A comparison with NaN is false.
    if strokes.numel() > 0 and not bool(strokes.detach().abs().amax() <= FARTHEST):
        raise InputError(f"Strokes have values that are not finite, or beyond {FARTHEST:g}; they lie in [0, 1].")


def check_painting(canvas: Tensor, strokes: Tensor, space: StrokeSpace, *, values: bool = True) -> None:
    """Refuse a canvas and strokes that do not belong together: `(3, H, W)` and `(N, P)`, or `(B, 3, H, W)` and `(B, N, P)`.

    Args:
        canvas: The canvas to paint on.
        strokes: The strokes to paint.
        space: What their columns mean.
        values: Whether to check the values of both too, which waits for a GPU.

    Raises:
        InputError: For anything else.
    """
    check_canvas(canvas, values=values)
    check_strokes(strokes, space, canvas.dim() - 1, values=False)
    if values:
        check_values(strokes)
    if canvas.dim() == 4 and len(canvas) != len(strokes):
        raise InputError(f"There are {len(canvas)} canvases and strokes of {len(strokes)}; give as many of both.")
    if canvas.dtype != strokes.dtype or canvas.device != strokes.device:
        raise InputError(
            f"The canvas is {canvas.dtype} on {canvas.device} and the strokes {strokes.dtype} on {strokes.device}; both "
            "need the same."
        )


def check_palette(palette: Tensor) -> Tensor:
    """A palette as float32 `(K, 3)`; refuses other shapes, no colours at all, and values outside of [0, 1]."""
    if not isinstance(palette, Tensor) or palette.dim() != 2 or palette.shape[1] != 3 or len(palette) == 0:
        raise InputError(f"A palette has the shape (K, 3) with K of at least 1, not {_shape(palette)}.")
    _check_float(palette, "A palette")
    if not bool(((palette >= 0) & (palette <= 1)).all()):
        raise InputError("The colours of a palette are floats in [0, 1].")
    return palette.float()


def check_palette_for(palette: Tensor | None, canvas: Tensor) -> Tensor | None:
    """A palette `(K, 3)` in the precision and on the device of `canvas`. Raises `InputError` for other shapes."""
    if palette is None:
        return None
    _check_float(palette, "A palette")
    if palette.dim() != 2 or palette.shape[1] != 3 or len(palette) == 0:
        raise InputError(f"A palette has the shape (K, 3) with K of at least 1, not {_shape(palette)}.")
    return palette.to(canvas).contiguous()


def check_shape(tensor: Tensor, like: Tensor, dims: int, what: str, dtype: torch.dtype | None = None) -> None:
    """Refuse a tensor without the first `dims` dimensions and the device of `like`, and of another type than `dtype`.

    None is the type of `like`.
    """
    shape, dtype = like.shape[:dims], dtype or like.dtype
    if not isinstance(tensor, Tensor) or tensor.shape != shape or tensor.device != like.device or tensor.dtype != dtype:
        found = (
            f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}" if isinstance(tensor, Tensor) else _shape(tensor)
        )
        raise InputError(f"{what} is a tensor of {dtype} {tuple(shape)} on {like.device}, not {found}.")


def check_boxes(box: Tensor, size: tuple[int, int]) -> None:
    """Refuse boxes `(N, 4)` of left, top, width, height that lie outside of a canvas; for implementations in PyTorch."""
    if box.device.type == "cpu":
        corner = box[:, :2] + box[:, 2:]
        if bool(((box[:, :2] < 0) | (box[:, 2:] < 0) | (corner > box.new_tensor([size[1], size[0]]))).any()):
            raise InputError(f"The box of a stroke lies outside of the canvas of {size[0]} x {size[1]} pixels.")


def check_weights(strokes: Tensor, weights: Tensor) -> None:
    """Refuse strokes of another precision or device than a brush's weights."""
    if strokes.dtype != weights.dtype or strokes.device != weights.device:
        raise InputError(
            f"The strokes are {strokes.dtype} on {strokes.device} and the brush's weights {weights.dtype} on "
            f"{weights.device}; convert one of them with .to()."
        )


def _check_float(tensor: Tensor, what: str) -> None:
    if isinstance(tensor, Tensor) and type(tensor) is Tensor and tensor.is_meta:
        raise InputError(f"{what} has no data: it is on the device meta.")
    if not isinstance(tensor, Tensor) or tensor.dtype not in FLOATS or tensor.layout != torch.strided:
        found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise InputError(f"{what} must be a tensor of torch.float32 or torch.float64, not {found}.")


def _shape(tensor: object) -> object:
    return tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
