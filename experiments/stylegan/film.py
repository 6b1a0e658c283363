"""Films of frames that loop: MP4 (H.264) and GIF, as `renderer.film` makes them of paintings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
from av.video.reformatter import Colorspace
from PIL import Image
from torch import Tensor

from renderer.errors import InputError
from renderer.files import atomic
from renderer.film import CODEC, FPS, GIF_FPS
from renderer.pictures import to_bytes


def write_film(frames: Callable[[float], Sequence[Tensor]], path: str | Path) -> Path:
    """Writes the film that `frames` gives for so many frames a second, each (3, H, W) in [0, 1].

    The suffix says what it will be, .mp4 or .gif; sides are cut to even numbers for an MP4. Raises `InputError`.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".mp4":
            _write_mp4(frames(FPS), path)
        case ".gif":
            images = [Image.fromarray(to_bytes(frame)).quantize(256) for frame in frames(GIF_FPS)]
            with atomic(path) as temporary:
                each = round(1000 / GIF_FPS)
                images[0].save(temporary, "GIF", save_all=True, append_images=images[1:], duration=each, loop=0)
        case _:
            raise InputError(f"A film's name ends in .mp4 or .gif, unlike {path}.")
    return path


def _write_mp4(frames: Sequence[Tensor], path: Path) -> None:
    height, width = (side - side % 2 for side in frames[0].shape[1:])
    with atomic(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
                stream = container.add_stream(CODEC, rate=FPS, options={"crf": "18", "preset": "veryfast"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                context = stream.codec_context  # BT.709, narrow range, said aloud as in renderer.film
                context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
                for frame in frames:
                    image = av.VideoFrame.from_ndarray(to_bytes(frame[:, :height, :width]), format="rgb24")
                    image = image.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=1)
                    container.mux(stream.encode(image))
                container.mux(stream.encode(None))
        except av.codec.codec.UnknownCodecError as error:
            raise InputError(f"This build of PyAV has no {CODEC}; `pip install av` brings one that has.") from error
        except av.error.FFmpegError as error:
            raise InputError(f"The film {path} cannot be written: {error.strerror}.") from error
