"""Images in a notebook."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from renderer.io.painting import Painting


def show_images(images: Mapping[str, Tensor | Painting], size: int = 256, inches: float = 2.5) -> None:
    """Show images or paintings side by side, each under its title.

    Args:
        images: by title: images (3, H, W), or (1, H, W) and (H, W) in grey, in [0, 1]; or paintings.
        size: pixels on the long side at which paintings are drawn.
        inches: width of each on the page.
    """
    import matplotlib.pyplot as plt  # here, because it takes long to import

    _, axes = plt.subplots(1, len(images), figsize=(inches * len(images), inches * 1.2), squeeze=False)
    for axis, (title, image) in zip(axes[0], images.items(), strict=True):
        pixels = (image.render(size) if isinstance(image, Painting) else image.detach().cpu()).clamp(0, 1)
        pixels = pixels.squeeze(0) if pixels.shape[0] == 1 else pixels
        pixels = pixels.permute(1, 2, 0) if pixels.dim() == 3 else pixels
        axis.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    plt.show()
