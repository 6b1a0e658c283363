from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from renderer.errors import InputError
from renderer.io import clip_file
from renderer.io.clip_file import ClipRange, clip_info, read_clip
from renderer.io.video import encode_mp4

HEIGHT, WIDTH, COUNT = 48, 64, 12
IDENTITY = np.array([0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000], ">i4").tobytes()
QUARTER = np.array([0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000], ">i4").tobytes()  # clockwise


def images() -> list[np.ndarray]:
    """Frames that grow lighter; the upper left quarter is red."""
    frames = []
    for i in range(COUNT):
        frame = np.full((HEIGHT, WIDTH, 3), 20 * i, np.uint8)
        frame[: HEIGHT // 2, : WIDTH // 2] = (200, 30, 30)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    encode_mp4(iter(images()), path, Fraction(24000, 1001))
    return path


def brightness(frame: torch.Tensor) -> float:
    return float(frame[:, -8:, -8:].mean()) * 255


def test_frames_are_those_of_the_clip(path: Path) -> None:
    frames = list(read_clip(path, WIDTH))
    assert len(frames) == COUNT
    for frame, image in zip(frames, images(), strict=True):
        assert (tuple(frame.shape), frame.dtype) == ((3, HEIGHT, WIDTH), torch.float32)
        assert float((frame - torch.from_numpy(image).permute(2, 0, 1) / 255).abs().mean()) < 0.015
    small = next(read_clip(path, 16))
    assert tuple(small.shape) == (3, 12, 16)


@pytest.mark.parametrize(
    ("chosen", "expected", "fps"),
    [
        (ClipRange(), range(12), Fraction(24000, 1001)),
        (ClipRange(3), range(3, 12), Fraction(24000, 1001)),
        (ClipRange(3, 2), (3, 4), Fraction(24000, 1001)),
        (ClipRange(1, 3, 4), (1, 5, 9), Fraction(6000, 1001)),
        (ClipRange(0, None, 5), (0, 5, 10), Fraction(4800, 1001)),
        (ClipRange(11, 9), (11,), Fraction(24000, 1001)),
    ],
)
def test_range(path: Path, chosen: ClipRange, expected: range, fps: Fraction) -> None:
    levels = [brightness(frame) for frame in read_clip(path, 64, chosen)]
    assert levels == pytest.approx([20 * i for i in expected], abs=3)
    info = clip_info(path, chosen)
    assert (info.fps, info.frames) == (fps, len(expected))


def test_turned_clips_are_upright(path: Path, tmp_path: Path) -> None:
    """Phones store the turn of a frame in the header."""
    data = path.read_bytes()
    place = data.index(IDENTITY, data.index(b"tkhd"))
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data[:place] + QUARTER + data[place + 36 :])
    plain, upright = next(read_clip(path, 64)), next(read_clip(turned, 64))
    assert torch.equal(upright, torch.rot90(plain, -1, (1, 2)))


def test_wide_pixels_become_square(path: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.mkv"
    with av.open(str(wide), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for image in images():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert tuple(next(read_clip(wide, 96)).shape) == (3, 48, 96)


def truncated(data: bytes) -> bytes:
    return data[:200]


def noise(data: bytes) -> bytes:
    return np.random.default_rng(0).bytes(len(data))


def playlist(data: bytes) -> bytes:
    return b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"


def joined(data: bytes) -> bytes:
    return b"ffconcat version 1.0\nfile /etc/hostname\n"


@pytest.mark.parametrize("damage", [truncated, noise, playlist, joined, lambda data: b""])
def test_broken_clips_are_one_line(path: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(damage(path.read_bytes()))
    for read in (clip_info, lambda name: list(read_clip(name, 16))):
        with pytest.raises(InputError, match=r"^[^\n]*broken\.mp4[^\n]*\.$"):
            read(broken)


def test_damage_inside_ends_in_frames_or_one_line(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat")
    generator = np.random.default_rng(0)
    for trial in range(10):
        copy = bytearray(data)
        for place in generator.integers(begin + 4, len(data), 40):
            copy[place] = generator.integers(256)
        broken = tmp_path / f"{trial}.mp4"
        broken.write_bytes(copy)
        frames = []
        with suppress(InputError):  # and nothing else
            frames.extend(read_clip(broken, 16))
        assert len(frames) <= COUNT
        assert all(tuple(frame.shape) == (3, 12, 16) for frame in frames)


def test_other_mistakes(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^[^\n]*none\.mp4[^\n]*\.$"):
        clip_info(tmp_path / "none.mp4")
    with pytest.raises(InputError, match=r"has no frame 12\.$"):
        list(read_clip(path, 16, ClipRange(12)))
    for wrong in ({"start": -1}, {"count": 0}, {"every": 0}):
        with pytest.raises(InputError, match=r"^[^\n]+\.$"):
            ClipRange(**wrong)
    monkeypatch.setattr(clip_file, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    with pytest.raises(InputError, match=r"^[^\n]*64x48 pixels[^\n]*\.$"):
        list(read_clip(path, 16))
