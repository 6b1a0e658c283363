"""Read video clips frame by frame, and the file of a painted clip: the strokes of every frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import ENOMEM
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import torch
from av.container import InputContainer
from torch import Tensor

from renderer.errors import InputError
from renderer.io.from_json import from_json
from renderer.io.images import fitted_size
from renderer.io.painting import Painting, PaintingError
from renderer.io.read import guarded, opened, parse_json, to_json
from renderer.io.tensor_file import read_tensors, write_tensors

CLIP_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".ts")
FORMAT = "kaokore-clip/1"
MAX_PIXELS = 40_000_000  # of a frame: 8K has 33 million
MAX_BYTES = 2 * 2**30  # of the strokes of a clip
DEFAULT_FPS: Final = Fraction(25)  # of clips that do not say
# Nothing but this file is opened, and only by readers of video: playlists would name other files and addresses.
READERS = {"format_whitelist": "mov,matroska,avi,mpeg,mpegts,ogg", "protocol_whitelist": "file"}


@dataclass(frozen=True)
class ClipRange:
    """Which frames of a clip.

    Attributes:
        start: the first one, from 0.
        count: how many are painted; None for all.
        every: 2 takes every second frame; the clip stays as long, with fewer frames a second.

    Raises:
        InputError: for numbers out of range.
    """

    start: int = 0
    count: int | None = None
    every: int = 1

    def __post_init__(self) -> None:
        for name, value, least in (("first frame", self.start, 0), ("step", self.every, 1)):
            if value < least:
                raise InputError(f"The {name} of a clip is at least {least}, not {value}.")
        if self.count is not None and self.count < 1:
            raise InputError(f"At least one frame is painted, not {self.count}.")


ALL_FRAMES: Final = ClipRange()


@dataclass(frozen=True)
class ClipInfo:
    """What a clip says of itself: `fps` of the frames that are taken, and about how many there are, if it says so."""

    fps: Fraction
    frames: int | None


def clip_info(path: str | Path, chosen: ClipRange = ALL_FRAMES) -> ClipInfo:
    """Read the header of a clip. Raises `InputError`."""
    with _opened(Path(path)) as container:
        stream = container.streams.video[0]
        fps = stream.average_rate or stream.guessed_rate or DEFAULT_FPS
        total = stream.frames
        if not total and container.duration:
            total = round(container.duration / 1e6 * fps)
        taken = -(-max(0, total - chosen.start) // chosen.every)
        if chosen.count is not None:
            taken = min(taken, chosen.count)
        return ClipInfo(Fraction(fps) / chosen.every, taken if total else None)


def read_clip(path: str | Path, longest: int, chosen: ClipRange = ALL_FRAMES) -> Iterator[Tensor]:
    """Yield the frames of a clip, upright and with square pixels, one at a time.

    Args:
        path: a file in one of the formats of `CLIP_SUFFIXES`.
        longest: pixels on the long side; smaller frames are enlarged.
        chosen: which frames.

    Yields:
        `(3, H, W)` float32 in [0, 1].

    Raises:
        InputError: in one line, for a file that is no clip, is damaged, or has frames of more than `MAX_PIXELS` pixels or
            none in the range.
    """
    path, taken = Path(path), 0
    with _opened(path) as container:
        stream = container.streams.video[0]
        aspect, frames = float(stream.sample_aspect_ratio or 1), container.decode(stream)
        last = None if chosen.count is None else chosen.start + (chosen.count - 1) * chosen.every + 1
        for frame in islice(frames, chosen.start, last, chosen.every):
            yield _to_tensor(frame, aspect, longest)
            taken += 1
    if taken == 0:
        raise InputError(f"The clip {path} has no frame {chosen.start}.")


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """A clip with a stream of video. Raises `InputError`."""
    with guarded(path, InputError, "cannot be read as a video or is damaged"):
        try:
            with opened(path) as file, av.open(file, "r", options=READERS, metadata_errors="replace") as container:
                if not container.streams.video:
                    raise InputError(f"{path} holds no video.")
                context = container.streams.video[0].codec_context
                if context is None:  # whatever the types say
                    raise InputError(f"{path} is a video of an unknown kind.")
                if context.width * context.height > MAX_PIXELS:
                    raise InputError(
                        f"The frames of {path} have {context.width}x{context.height} pixels; reduce the clip first, for "
                        "example by `ffmpeg -i CLIP -vf scale=1920:-2 SMALLER.mp4`."
                    )
                yield container
        except av.error.FFmpegError as error:
            # FFmpeg refuses such a size before it takes the memory.
            raise ValueError("it asks for too much memory" if error.errno == ENOMEM else error.strerror) from error


def _to_tensor(frame: av.VideoFrame, aspect: float, longest: int) -> Tensor:
    if frame.width * frame.height > MAX_PIXELS:
        raise InputError(f"A frame has {frame.width}x{frame.height} pixels; reduce the clip first.")
    height, width = fitted_size((frame.height, max(1, round(frame.width * aspect))), longest)
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    turned = np.rot90(pixels, round(frame.rotation / 90))
    return torch.from_numpy(turned.copy()).permute(2, 0, 1).float() / 255


@dataclass(frozen=True, eq=False)
class PaintedClip:
    """The strokes of every frame of a clip.

    Attributes:
        strokes: (F, N, P) in [0, 1].
        backgrounds: (F, 3), sRGB in [0, 1].
        first: a painting of which all frames have the space and size.
        fps: frames a second.
        provenance: how it was made; anything that JSON can hold.
    """

    strokes: Tensor
    backgrounds: Tensor
    first: Painting
    fps: Fraction
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, paintings: list[Painting], fps: Fraction, provenance: dict[str, Any]) -> PaintedClip:
        """From one painting a frame, all of one size, space and number of strokes."""
        backgrounds = torch.tensor([painting.background for painting in paintings])
        return cls(torch.stack([p.strokes for p in paintings]), backgrounds, paintings[0], fps, provenance)

    def __len__(self) -> int:
        return len(self.strokes)

    def frame(self, index: int) -> Painting:
        """The painting of a frame. Raises `InputError` for one that there is not."""
        if not 0 <= index < len(self):
            raise InputError(f"The clip has frames 0 to {len(self) - 1}, not {index}.")
        red, green, blue = self.backgrounds[index].tolist()
        first = self.first
        return Painting(
            self.strokes[index], first.space, first.height, first.width, (red, green, blue), first.provenance
        )

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all. Raises `InputError`."""
        about = {
            "format": FORMAT,
            **{name: value for name, value in self.first.record().items() if name in ("space", "height", "width")},
            "fps": [self.fps.numerator, self.fps.denominator],
            "brush": self.first.provenance,
            "made_by": self.provenance,
        }
        metadata = {"clip": to_json(about), "fingerprint": str(self.provenance.get("fingerprint", ""))}
        write_tensors(path, {"strokes": self.strokes, "backgrounds": self.backgrounds}, metadata)

    @classmethod
    def load(cls, path: str | Path) -> PaintedClip:
        """Read what `save` wrote. Raises `PaintingError`."""
        path = Path(path)
        if not path.is_file():
            raise PaintingError(f"There is no painted clip {path}.")
        with guarded(path, PaintingError, "is damaged or not a painted clip"):
            metadata, tensors = read_tensors(path, max_bytes=MAX_BYTES)
            about = parse_json(metadata.get("clip", "{}"))
            if about.get("format") != FORMAT:
                raise PaintingError(f"{path} is not a painted clip of Kaokore Painter, or of another version of it.")
            strokes, backgrounds = tensors["strokes"], tensors["backgrounds"].float()
            if strokes.dim() != 3 or len(strokes) < 1 or backgrounds.shape != (len(strokes), 3):
                raise PaintingError(f"{path} is damaged: its frames have no common shape.")
            if not bool(((strokes >= 0) & (strokes <= 1)).all()):
                raise PaintingError(f"{path} is damaged: strokes are numbers between 0 and 1.")
            if not bool(((backgrounds >= 0) & (backgrounds <= 1)).all()):
                raise PaintingError(f"{path} is damaged: backgrounds are numbers between 0 and 1.")
            numerator, denominator = from_json(tuple[int, ...], about["fps"], "fps")
            record = {**about, "background": backgrounds[0].tolist(), "made_by": about["brush"]}
            first = Painting.from_record(strokes[0], record)
            made_by = from_json(dict, about["made_by"], "made_by")
            return cls(strokes, backgrounds, first, Fraction(numerator, denominator), made_by)
