import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import Colorspace
from PIL import Image

from renderer.brushes.bezier import ExactBezier
from renderer.errors import InputError
from renderer.io import video
from renderer.io.images import to_bytes
from renderer.io.painting import Painting
from renderer.io.video import BLANK, FINISHED, FPS, GIF_FINISHED, seconds_for, write_gif, write_mp4
from renderer.strokes import BEZIER

BACKGROUND = (0.2, 0.4, 0.8)


def painting(n: int = 12, height: int = 48, width: int = 64) -> Painting:
    strokes = BEZIER.sample(n, torch.Generator().manual_seed(1))
    return Painting(strokes, BEZIER, height, width, BACKGROUND)


def read_mp4(path: Path) -> tuple[av.VideoStream, list[np.ndarray]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream, [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)]


def read_gif(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Frames and their durations in milliseconds."""
    with Image.open(path) as image:
        for i in range(image.n_frames):
            image.seek(i)
            yield np.asarray(image.convert("RGB")).astype(int), image.info["duration"]


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "new" / "video.mp4"
    write_mp4(painting(), path, 96)
    return path


def test_mp4_format(mp4: Path) -> None:
    stream, frames = read_mp4(mp4)
    context = stream.codec_context
    assert (context.name, context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", FPS)
    assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    assert (context.width, context.height) == (96, 72)
    expected = round((BLANK + seconds_for(12) + FINISHED) * FPS)
    assert len(frames) == stream.frames == expected == 120
    with av.open(str(mp4)) as container:
        assert container.duration == pytest.approx(1e6 * expected / FPS, abs=2e4)
    data = mp4.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # a browser can start before the file is complete
    assert [path.name for path in mp4.parent.iterdir()] == ["video.mp4"]


def test_mp4_content(mp4: Path) -> None:
    _, frames = read_mp4(mp4)
    one = painting()
    finished = to_bytes(one.render(96)).astype(int)
    background = np.rint(255 * np.array(BACKGROUND))
    assert all(np.abs(frame - background).max() <= 4 for frame in frames[: round(BLANK * FPS) + 1])
    assert np.abs(frames[round(BLANK * FPS) + 3] - background).mean() > 1
    for frame in frames[-round(FINISHED * FPS) :]:
        assert np.abs(frame - finished).mean() < 4
        assert (
            np.abs((frame - finished).mean((0, 1))).max() < 2
        )  # no colour cast: the matrix, range and order of channels are right
    halfway = Painting(one.strokes[:3], BEZIER, 48, 64, BACKGROUND).render(
        96
    )  # a quarter of the strokes at half of the time
    assert np.abs(frames[round(BLANK * FPS) + 29] - to_bytes(halfway)).mean() < 4


@pytest.mark.parametrize(
    ("height", "width", "longest", "size"),
    [
        (48, 64, 33, (26, 34)),  # odd sides get one more pixel
        (17, 33, 33, (18, 34)),
        (8, 8, 8, (16, 16)),  # tiny ones are enlarged by an integer factor
        (1, 1, 1, (16, 16)),
        (7, 5, 7, (22, 16)),
        (1, 90, 50, (16, 50)),
    ],
)
def test_mp4_of_odd_and_tiny_sizes(
    tmp_path: Path, height: int, width: int, longest: int, size: tuple[int, int]
) -> None:
    one = painting(2, height, width)
    write_mp4(one, tmp_path / "a.mp4", longest)
    _, frames = read_mp4(tmp_path / "a.mp4")
    assert frames[-1].shape == (*size, 3)
    frame = to_bytes(one.render(longest)).astype(int)
    scale = max(1, -(-16 // longest))
    frame = frame.repeat(scale, 0).repeat(scale, 1)
    margin = [(0, size[i] - frame.shape[i]) for i in range(2)]
    expected = np.pad(frame, (*margin, (0, 0)), mode="edge")
    assert np.abs(frames[-1] - expected).mean() < 6


@pytest.mark.parametrize(("strokes", "seconds"), [(0, 2), (1, 2), (60, 3), (200, 10), (100_000, 10)])
def test_length(strokes: int, seconds: float) -> None:
    assert seconds_for(strokes) == seconds


def test_frames_are_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one canvas and one frame for the encoder, however long the video is."""
    canvases, planes = set(), set()
    changes, encode_planes = Painting.changes, video.encode_planes

    def seen(*args: object, **options: object) -> Iterator[tuple[torch.Tensor, list]]:
        for canvas, changed in changes(*args, **options):
            canvases.add(canvas.data_ptr())
            yield canvas, changed

    def encode(frames: Iterator[video._Planes], *args: object) -> None:
        def each() -> Iterator[video._Planes]:
            for frame in frames:
                planes.add(frame.data.ctypes.data)
                yield frame

        encode_planes(each(), *args)

    monkeypatch.setattr(Painting, "changes", seen)
    monkeypatch.setattr(video, "encode_planes", encode)
    write_mp4(painting(1, 16, 16), tmp_path / "a.mp4", 16)
    assert (len(canvases), len(planes)) == (1, 1)


@pytest.mark.parametrize("size", [(64, 80), (63, 79), (9, 30)])
def test_only_what_changes_is_converted(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    """Frames that are changed box by box are those that are converted as a whole."""
    one = painting(40, *size)
    height, width = (side + side % 2 for side in size)
    whole = video._Planes(max(16, height), max(16, width))
    frames = video._Planes.of_painting(one, max(size), 30, ExactBezier(), "ease")
    for planes, canvas in zip(frames, one.frames(30), strict=True):
        margin = [(0, side - given) for side, given in zip(whole.size, size, strict=True)]
        whole.put(np.pad(to_bytes(canvas), (*margin, (0, 0)), mode="edge"))
        np.testing.assert_array_equal(planes.data, whole.data)


def test_colours_are_those_of_the_codec_s_library() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    planes = video._Planes(64, 96)
    planes.put(image)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    theirs = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=1).to_ndarray()
    assert np.abs(planes.luma.astype(int) - theirs[:64]).max() <= 1
    chroma, expected = (c.astype(int)[:, 4::8, 4::8] for c in (planes.chroma, theirs[64:].reshape(2, 32, 48)))
    assert np.abs(chroma - expected).max() <= 1  # inside areas of one colour: at edges, filters differ


@pytest.mark.parametrize("side", [48, 256])
def test_fewer_discs_draw_the_same_picture(side: int) -> None:
    one = painting(12)
    error = (one.render(side) - one.render(side, ExactBezier(4, video.OUTLINE_ERROR))).square().mean()
    assert error < 1e-4  # 40 dB; H.264 at this quality has about 40 dB, too


def test_gif(tmp_path: Path) -> None:
    one = painting()
    write_gif(one, tmp_path / "a.gif", 64)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["loop"] == 0  # for ever
        assert image.size == (64, 48)
    shown = list(read_gif(tmp_path / "a.gif"))
    assert 10 <= len(shown) <= round(seconds_for(12) * 12.5)
    times = [duration for _, duration in shown]
    assert times[-1] >= 1000 * GIF_FINISHED  # more where the last strokes change nothing
    assert min(times) == 80
    assert sum(times) == pytest.approx(1000 * (BLANK + seconds_for(12) + GIF_FINISHED), abs=200)
    assert np.abs(shown[0][0] - np.rint(255 * np.array(BACKGROUND))).max() <= 2
    assert np.abs(shown[-1][0] - to_bytes(one.render(64))).mean() < 5
    assert (tmp_path / "a.gif").stat().st_size < 0.5 * 64 * 48 * len(shown)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 9), (1, 40, 20)])
def test_gif_of_tiny_sizes(tmp_path: Path, size: tuple[int, int, int]) -> None:
    one = painting(3, *size[:2])
    write_gif(one, tmp_path / "a.gif", size[2])
    *_, (last, _) = read_gif(tmp_path / "a.gif")
    assert last.shape == (*one.size(size[2]), 3)


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_video_without_strokes(tmp_path: Path, write) -> None:
    path = tmp_path / f"a.{write.__name__[-3:]}"
    write(painting(0), path, 32)
    frames = read_mp4(path)[1] if write is write_mp4 else [frame for frame, _ in read_gif(path)]
    assert all(np.abs(frame - np.rint(255 * np.array(BACKGROUND))).max() <= 4 for frame in frames)


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_video_of_one_stroke(tmp_path: Path, write) -> None:
    one, path = painting(1), tmp_path / f"a.{write.__name__[-3:]}"
    write(one, path, 32)
    first, *_, last = read_mp4(path)[1] if write is write_mp4 else [frame for frame, _ in read_gif(path)]
    assert np.abs(first - np.rint(255 * np.array(BACKGROUND))).max() <= 4
    assert np.abs(last - to_bytes(one.render(32))).mean() < 5
    assert np.abs(first - last).mean() > 5


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_impossible_sizes(tmp_path: Path, write) -> None:
    for longest in (0, -1, 4097):
        with pytest.raises(InputError, match=rf"^[^\n]+not {longest}\.$"):
            write(painting(), tmp_path / "video.mp4", longest)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write"):
        write(painting(1), tmp_path / "file" / "video.mp4", 16)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_full_disk(tmp_path: Path, write) -> None:
    """A limit on the size of files fails inside the encoder, as a full disk would."""
    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    constraints = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, constraints[1]))
        with pytest.raises(InputError, match=r"^[^\n]*video.mp4[^\n]*\.$"):
            write(painting(), path, 64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, constraints)
    assert [file.name for file in tmp_path.iterdir()] == ["video.mp4"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("write", [write_mp4, write_gif])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write, error: BaseException
) -> None:
    changes = Painting.changes

    def stop(*args: object, **options: object) -> Iterator[tuple[torch.Tensor, list]]:
        for i, frame in enumerate(changes(*args, **options)):
            if i == 5:
                raise error
            yield frame

    monkeypatch.setattr(Painting, "changes", stop)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt, match=r"No space|^$"):
        write(painting(), tmp_path / "video", 32)
    assert not list(tmp_path.iterdir())


def test_missing_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renderer.io.video.CODEC", "libnothing")
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        write_mp4(painting(1), tmp_path / "a.mp4", 16)
    assert not list(tmp_path.iterdir())
