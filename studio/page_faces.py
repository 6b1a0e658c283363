"""Faces to begin with: those of KaoKore, where the data set is here, and sampled ones."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from kaokore import ATTRIBUTION
from kaokore.dataset import KaoKore, read_face
from kaokore.errors import DatasetError
from kaokore.paths import image_name, image_path, parse_id, resolve_root
from kaokore.stylegan import FaceGenerator, load_generator
from renderer.errors import InputError
from renderer.io.images import to_bytes

THUMBNAIL = 160  # pixels
PAGE = 48  # faces that are shown at once
ENLARGED = 4  # times, smoothly: sampled faces are small
TRUNCATION = 0.7


class Faces:
    """Finds faces of KaoKore and samples new ones. Safe to use from several threads.

    Args:
        root: KaoKore's folder; else KAOKORE_ROOT, else data/kaokore. If it was given and is missing, that is an error.
        generator: the StyleGAN's checkpoint.

    Raises:
        DatasetError: the given folder holds no data set.
    """

    def __init__(self, root: str | Path | None = None, generator: str = "stylegan") -> None:
        self.root, self._name = resolve_root(root), generator
        self._generator: FaceGenerator | None = None
        self._lock = threading.Lock()
        try:
            # Only faces with labels and a split, as in all other commands.
            self.ids = sorted(i for split in ("train", "dev") for i in KaoKore(root, split=split, missing="skip").ids)
        except DatasetError:
            if root is not None:
                raise
            self.ids = []

    @property
    def credit(self) -> str:
        """The attribution of KaoKore's faces."""
        return ATTRIBUTION

    def page(self, start: int) -> list[int]:
        """The numbers of `PAGE` faces from the `start`-th on, spread over the data set, so that each page is varied."""
        step = 617  # has no common divisor with the numbers of faces, so that each appears once
        count = len(self.ids)
        return [self.ids[(start + i) * step % count] for i in range(PAGE)] if count else []

    def path(self, number: object) -> tuple[str, Path]:
        """The name and the file of a face of KaoKore. Raises `InputError` when there is none."""
        face = parse_id(str(number))
        if face not in self.ids:
            raise InputError(f"There is no face {face} in {self.root}.")
        return f"kaokore {Path(image_name(face)).stem}", image_path(self.root, face)

    def thumbnail(self, number: object) -> bytes:
        """A face of KaoKore as a small JPEG. Raises `InputError`."""
        return _jpeg(read_face(self.path(number)[1], THUMBNAIL))

    def sample(self, seed: int) -> Tensor:
        """The face (3, S, S) in [0, 1] that the generator makes from `seed`, enlarged. Raises `InputError`."""
        with self._lock:
            if self._generator is None:
                self._generator = load_generator(self._name)
            draws = torch.Generator().manual_seed(seed)
            styles = self._generator.sample_styles(1, draws, truncation=TRUNCATION)
            face = self._generator.synthesise(styles, draws)
        return interpolate(face, scale_factor=ENLARGED, mode="bicubic", align_corners=False).clamp(0, 1)[0]

    def sample_image(self, seed: int) -> bytes:
        """`sample` as a JPEG. Raises `InputError`."""
        return _jpeg(Image.fromarray(to_bytes(self.sample(seed))))


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    return file.getvalue()
