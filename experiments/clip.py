"""Repaint a video clip with strokes that persist from frame to frame.

    python -m experiments.clip dance.mp4 --out paintings
    python -m experiments.clip dance.mp4 --out paintings --strokes 400 --start-frame 100 --frames 48 --every 2

A clip gives a folder of its name with painting.mp4, first.png, last.png and frames.safetensors, the strokes of every
frame. It is painted frame by frame, so that a long clip needs little memory. Ctrl-C keeps the frames so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from tqdm.auto import tqdm

from experiments.cli import require, run
from experiments.painting_options import PaintingOptions
from experiments.results import FRAMES, find_folder, fingerprint, new_folder, plain_options, printable
from painter.persistent import ClipConfig
from renderer.errors import InputError
from renderer.io.clip_file import MAX_BYTES, ClipRange, PaintedClip, clip_info, read_clip
from renderer.io.files import check_writable
from renderer.io.images import write_png
from renderer.io.painting import Painting, PaintingError
from renderer.io.video import LARGEST_VIDEO, MAX_FPS, write_clip

# Every option that a painted clip depends on.
RESULT_OPTIONS = (
    *("method", "strokes", "size", "renderer", "blend", "agent", "steps", "opaque", "min_radius", "max_radius"),
    *("palette", "background", "features", "seed"),
    *("start_frame", "frames", "every", "frame_steps", "cut", "video_size"),
)


@dataclass(frozen=True)
class Config(PaintingOptions):
    """Options of a painted clip."""

    input: tyro.conf.Positional[str]
    """A video."""
    out: str
    """Folder for the results."""
    start_frame: int = 0
    """The first frame, from 0."""
    frames: int | None = None
    """How many frames to paint; by default all."""
    every: int = 1
    """2 paints every second frame; the clip stays as long, with fewer frames a second."""
    frame_steps: int = ClipConfig.steps
    """Gradient steps for each frame after the first."""
    cut: float = ClipConfig.cut
    """Mean difference between two frames, in [0, 1], from which the second one begins a new scene, painted anew."""
    video_size: int = 512
    """Pixels on the long side of the video."""
    again: bool = False
    """Repaint what is painted already with the same options."""


def repaint_clip(config: Config, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Repaint a video clip with strokes that persist from frame to frame.

    Args:
        config: The options.
        say: Called with the line that reports the result.

    Returns:
        The result for a program: `status`, `folder` and, unless it was painted already, `frames`, `strokes`, `cuts` and
        `mse`, the mean over the frames.
    """
    chosen = _check(config)
    config = replace(config, size=config.working_size())  # what is recorded
    path, out = Path(config.input), Path(config.out)
    info = clip_info(path, chosen)
    if info.fps > MAX_FPS:
        raise InputError(f"{path} has more than {MAX_FPS} frames a second; thin it out by --every.")
    painter = config.painter()
    columns = painter.brush.space.width
    if info.frames is not None and info.frames * config.strokes * columns * 4 > MAX_BYTES:
        raise InputError(
            f"{path} has {info.frames:,} frames, whose strokes would take more than {MAX_BYTES >> 30} GiB; choose fewer "
            "by --frames or --every."
        )
    check_writable(out)
    options, files = plain_options(config, RESULT_OPTIONS)
    mark = fingerprint(path, options, *files)
    record = {"input": printable(path.name), **options, "fingerprint": mark}
    folder, done = find_folder(out, path.stem, mark)
    if done and not config.again and _complete(folder):
        say(f"{folder}: painted already; --again repaints it.")
        return {"status": "painted already", "folder": str(folder)}
    paintings, errors, stopped, cuts = list[Painting](), list[float](), list[BaseException](), 0
    with (
        new_folder(folder) as temporary,
        tqdm(desc=path.name, total=info.frames, unit=" frames", disable=None, leave=False) as bar,
    ):

        def painted() -> Iterator[Painting]:
            nonlocal cuts
            frames = painter.paint_clip(
                read_clip(path, config.working_size(), chosen),
                ClipConfig(steps=config.frame_steps, cut=config.cut),
                strokes=config.strokes,
                size=config.working_size(),
                constraints=config.constraints(),
                background=config.background,
                features=config.features,
                seed=config.seed,
            )
            try:
                for frame in frames:
                    errors.append(float((frame.painting.render() - frame.target).square().mean()))
                    paintings.append(frame.painting)
                    cuts += frame.cut and frame.index > 0
                    bar.update()
                    yield frame.painting
            except (InputError, KeyboardInterrupt) as error:
                if not paintings:
                    raise
                stopped.append(error)  # the frames so far are kept

        write_clip(painted(), temporary / "painting.mp4", config.video_size, info.fps)
        PaintedClip.of(paintings, info.fps, record | {"complete": not stopped}).save(temporary / FRAMES)
        for name, painting in (("first", paintings[0]), ("last", paintings[-1])):
            write_png(painting.render(config.video_size), temporary / f"{name}.png")
    mean = sum(errors) / len(errors)
    say(f"{folder}: {len(paintings)} frames of {config.strokes} strokes, {cuts} scene cuts, mean mse {mean:.5f}")
    if stopped:
        raise stopped[0]
    about = {"frames": len(paintings), "strokes": config.strokes, "cuts": cuts, "mse": mean}
    return {"status": "painted", "folder": str(folder), **about}


def _check(config: Config) -> ClipRange:
    """Find the user's mistakes before any work."""
    config.check()
    require(config, start_frame=0, every=1, frame_steps=1, cut=0, video_size=1)
    if config.frames is not None:
        require(config, frames=1)
    if config.video_size > LARGEST_VIDEO:
        raise InputError(f"--video-size must be between 1 and {LARGEST_VIDEO} pixels, not {config.video_size}.")
    return ClipRange(config.start_frame, config.frames, config.every)


def _complete(folder: Path) -> bool:
    try:
        return bool(PaintedClip.load(folder / FRAMES).provenance.get("complete"))
    except PaintingError:
        return False


if __name__ == "__main__":
    run(repaint_clip, Config, __doc__)
