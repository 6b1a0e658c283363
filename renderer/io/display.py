"""Images and progress in a notebook."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor

from renderer.io.painting import Painting

BETWEEN = 0.1  # seconds between two updates of what a notebook shows, at least

T = TypeVar("T")


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


def progress_bar(items: Iterable[T], total: int, label: str = "") -> Iterator[T]:
    """Pass `total` items on, and show how many have come: below the cell of a notebook, elsewhere on the terminal.

    Needs no widgets: a saved notebook shows the finished bar.
    """
    if not in_notebook():
        from tqdm.auto import tqdm

        yield from tqdm(items, total=total, desc=label, disable=None)
        return
    shown, begun = Shown(), time.monotonic()
    for count, item in enumerate(items, 1):
        shown.update(lambda: bar(count / total, label, f"{count} of {total}", begun))  # noqa: B023
        yield item
    shown.update(lambda: bar(1.0, label, f"{total} of {total}", begun), last=True)


class Shown:
    """HTML below a notebook's cell that is replaced, at most ten times a second."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._when = 0.0

    def update(self, content: Any, *, last: bool = False) -> None:
        """Show what `content()` returns, unless something was shown just before; the `last` is always shown."""
        from IPython.display import HTML, display

        if not last and time.monotonic() - self._when < BETWEEN:
            return
        page = HTML(content())
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)
        self._when = time.monotonic()


def bar(progress: float, label: str, note: str, begun: float) -> str:
    """HTML of a progress bar."""
    seconds = time.monotonic() - begun
    left = "" if progress <= 0.02 or progress >= 1 else f", {seconds / progress - seconds:.0f} s left"
    text = html.escape(f"{note}, {seconds:.0f} s{left}")
    return (
        f"<div><label>{html.escape(label)} <progress max='1' value='{progress:.3f}'></progress></label> "
        f"<span>{text}</span></div>"
    )


def in_notebook() -> bool:
    """Whether this runs in a kernel of Jupyter, which shows HTML."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
