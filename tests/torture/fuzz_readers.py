"""Read damaged files of every kind: each is read, or refused by one of the project's errors in one line that names it.

    python -m tests.torture.fuzz_readers --count 100000
    python -m tests.torture.fuzz_readers --count 1000 --target journal

Reading runs in child processes of limited memory, so that a crash and a size bomb are findings too, as are a warning and an
input that takes seconds of the processor. A finding's file stays in --keep; the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agents.policy import Policy
from agents.registry import load_agent
from experiments import runs
from experiments.figures.classifier_table import evaluations
from experiments.recognizability.rows import NAMES, read_rows
from experiments.recognizability.run_file import read_run
from experiments.repaint import COLUMNS
from experiments.results import MetricsTable
from experiments.train_agent import TINY
from experiments.train_agent import Config as AgentConfig
from experiments.trainer import resumed
from kaokore import parse_region, read_labels, read_tags, read_urls
from kaokore.annotate.annotations import Annotations
from kaokore.classify import load_classifier
from kaokore.labels import read_corrections, read_label_table
from kaokore.stylegan import load_generator
from kaokore.stylegan.generator import FaceGenerator
from kaokore.stylegan.networks import Generator, NetworkConfig
from kaokore.versions import GENDERS
from renderer.brush import load_brush
from renderer.brushes.bezier import AnalyticBezier
from renderer.brushes.mypaint import MyPaint
from renderer.canvas import blank, paint
from renderer.constraints import load_constraint, parse_colour, parse_palette
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.io.clip_file import PaintedClip, clip_info, read_clip
from renderer.io.painting import MissingBrushWarning, Painting
from renderer.io.read import read_text
from renderer.io.training_curves import read_curve
from renderer.io.video import encode_mp4
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stroke_map import StrokeMap
from renderer.strokes import BEZIER, MIXED, MYPAINT
from studio.history import History
from studio.presets import Settings
from studio.session_file import State, read_session, write_session
from tests.torture.mutations import damage_bytes, damage_json, damage_table, damage_tensors

CHUNK = 2000  # inputs of one child process
MOST_MEMORY = 3 << 30  # bytes of addresses that a child may take beyond those at its start
MOST_GROWTH = 700  # MiB by which a child's memory may grow
MOST_SECONDS = 10.0  # of the processor, of one input
MOST_WAITING = 120.0  # seconds that one input may take in all; other processes may keep this one waiting
ODD = 400  # one input in so many is no file of this kind at all, see `write_odd`


class TooSlowError(BaseException):
    """One input takes too long; no `Exception`, so that no reader catches it."""


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        name: of the file that is damaged.
        read: reads the file at a path, and uses what it has read.
        seeds: makes sound files.
        damage: (file, random numbers) -> damaged file.
        names_file: whether an error must contain the file's name.
        sound: whether the seeds can be read.
    """

    name: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    damage: Callable[[bytes, random.Random], bytes]
    names_file: bool = True
    sound: bool = True


def saved(write: Callable[[Path], object], suffix: str = ".safetensors") -> bytes:
    """The bytes of a file that `write` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        write(path)
        return path.read_bytes()


def _in_one_line(read: Callable[[], object]) -> None:
    """Call what may be refused."""
    try:
        read()
    except InputError as error:
        text = str(error)
    else:
        text = ""
    assert "\n" not in text, "an error of several lines"


# Strokes.


def painting_seeds() -> list[bytes]:
    """Paintings of each space; the reference brush of MyPaint is not drawn where its engine is not installed."""
    draws = torch.Generator().manual_seed(0)
    record = {"method": "agent", "seed": 0, "palette": ["#1a1a1a"]}
    brushes = {"brush": ["watercolour", "ink"], "myb": ["{}", "{}"]}
    return [
        saved(painting.save)
        for painting in (
            Painting(BEZIER.sample(5, draws), BEZIER, 12, 16, provenance=record),
            Painting.by(AnalyticBezier(), BEZIER.sample(2, draws).half(), (7, 5), (0.5, 0.5, 0.5)),
            Painting(BEZIER.sample(0, draws), BEZIER, 1, 1),
            Painting(MYPAINT.sample(2, draws), MYPAINT, 8, 8, provenance={"brush": "ink", "myb": "{}"}),
            Painting(MIXED.sample(2, draws), MIXED, 8, 8, provenance=brushes),
        )
    ]


def read_painting(path: Path) -> object:
    """Load, draw small, and write again."""
    painting = Painting.load(path)
    painting.to_json()
    if painting.space == BEZIER and len(painting.strokes) < 50:
        assert bool(painting.render(16, AnalyticBezier()).isfinite().all())
    elif len(painting.strokes) < 50:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MissingBrushWarning)
            _in_one_line(lambda: painting.default_brush(16))
    painting.save(path.with_suffix(".again.safetensors"))
    return painting


def session_seeds() -> list[bytes]:
    """Sessions of the studio with and without a picture, a mask and strokes."""
    draws = torch.Generator().manual_seed(0)
    settings = Settings(strokes=3, size=16, palette="#000000,#ffffff")
    full = Painting(BEZIER.sample(3, draws), BEZIER, 12, 16, provenance={"method": "agent"})
    locked, mask = torch.tensor([True, False, False]), torch.eye(12, 16, dtype=torch.bool)
    states = [
        (State(full, settings, locked, mask, 3), torch.rand(3, 24, 32, generator=draws)),
        (State(full, settings, locked, None, 5, 0.5), None),
        (State(Painting(BEZIER.sample(0), BEZIER, 1, 1), Settings(), torch.zeros(0, dtype=torch.bool)), None),
    ]
    return [saved(lambda path: write_session(path, state, picture)) for state, picture in states]  # noqa: B023


def read_session_again(path: Path) -> object:
    """Read a session, and write it again."""
    state, picture, about = read_session(path)
    write_session(path.with_suffix(".again.safetensors"), state, picture, about)
    return state


def history_seeds() -> list[bytes]:
    """A journal of edits whose states are not there."""
    lines = [
        {"do": "edit", "state": 0, "label": "a"},
        {"do": "edit", "state": 3, "label": "b"},
        {"do": "undo"},
        {"do": "redo"},
    ]
    return ["".join(json.dumps(line) + "\n" for line in lines).encode(), b""]


def read_history(path: Path) -> None:
    """Open a history, whose states are made first."""
    state = State(Painting(BEZIER.sample(1), BEZIER, 1, 1), Settings(), torch.zeros(1, dtype=torch.bool))
    for number in (0, 3):
        write_session(path.parent / f"{number:08}.safetensors", state)
    history = History(path.parent)
    try:
        history.present()
        history.add(state, "c")
        if history.undo_label() is not None:
            history.undo()
    finally:
        history.close()


# Clips.


def painted_clip_seeds() -> list[bytes]:
    """Painted clips of one and three frames."""
    draws = torch.Generator().manual_seed(0)
    frames = [Painting(BEZIER.sample(4, draws), BEZIER, 12, 16, provenance={"brush": "bezier"}) for _ in range(3)]
    return [saved(PaintedClip.of(frames[:n], Fraction(25), {"fingerprint": "0"}).save) for n in (1, 3)]


def read_painted_clip(path: Path) -> object:
    """Load, and draw the last frame small."""
    clip = PaintedClip.load(path)
    last = clip.frame(len(clip) - 1)
    return last.render(16, AnalyticBezier()) if last.space == BEZIER and len(last.strokes) < 50 else last


def video_seeds() -> list[bytes]:
    """A video of four frames."""
    frames = [np.full((16, 32, 3), 60 * i, np.uint8) for i in range(4)]
    return [saved(lambda path: encode_mp4(iter(frames), path), ".mp4")]


def read_video(path: Path) -> object:
    """Read the header and all frames."""
    return clip_info(path), list(read_clip(path, 16))


# Checkpoints.


def brush_seeds() -> list[bytes]:
    """Learned brushes of few weights."""
    torch.manual_seed(0)
    small = {"brush": "ink", "reach": 1.5, "hidden": 4, "along": 12, "across": 3, "myb": "{}"}
    made: list[tuple[str, dict[str, Any], Any]] = [("stroke-map", {"hidden": 4, "grid": 3}, StrokeMap(4, 3))]
    for options in (small, small | {"latent": 2, "sized": False}, small | {"grain": 1, "directed": False}):
        made.append(("neural-brush", options, NeuralBrush(**options)))
    about = {"alpha_mse": 0.1, "steps": 10, "command": "x"}
    return [
        saved(Checkpoint(kind, config, network.state_dict(), network.space, about).save)
        for kind, config, network in made
    ]


def read_brush(path: Path) -> object:
    """Load, and draw one stroke."""
    brush = load_brush(str(path))
    with torch.no_grad():
        return paint(blank((16, 16)), brush.space.default_strokes(1), brush)


def agent_seeds() -> list[bytes]:
    """A policy of few weights."""
    torch.manual_seed(0)
    policy = Policy(8, 1, 1)
    config = {"width": 8, "blocks": 1, "each": 1}
    return [saved(Checkpoint("policy", config, policy.state_dict(), policy.space, {"dev_mse": 0.1}).save)]


def generator_seeds() -> list[bytes]:
    """A StyleGAN of few weights."""
    torch.manual_seed(0)
    config = NetworkConfig(size=8, channels=8, most_channels=2, latent=2, mapping=1)
    return [saved(FaceGenerator(Generator(config), [1] * 8, {"kid": 0.1}).save)]


def classifier_seeds() -> list[bytes]:
    """Configurations of classifiers; of the weights only one is there, which is refused at last."""
    config = {"model": "efficientnet_lite0", "task": "gender", "size": 112, "flip": True, "temperature": 0.5}
    return [saved(Checkpoint("classifier", config, {"weight": torch.zeros(2)}, about={"accuracy": 0.9}).save)]


# Run folders.


class Training:
    """A module, an optimizer and a generator, whose state is saved."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 0.01)
        self.generator = torch.Generator().manual_seed(0)

    @property
    def objects(self) -> dict[str, Any]:
        """What is saved."""
        return {"network": self.network, "optimizer": self.optimizer, "generator": self.generator}

    def step(self) -> None:
        """Train once."""
        self.optimizer.zero_grad()
        self.network(torch.randn(4, 2, generator=self.generator)).square().mean().backward()
        self.optimizer.step()


def state_seeds() -> list[bytes]:
    """A training's state before and after its first step."""
    training = Training()
    before = saved(lambda path: runs.save_state(path, 0, training.objects))
    training.step()
    return [before, saved(lambda path: runs.save_state(path, 1, training.objects, {"best": 0.5, "finished": False}))]


def read_state(path: Path) -> object:
    """Load, and train on."""
    training = Training()
    training.step()
    found = runs.load_state(path, training.objects)
    training.step()
    return found


def config_seeds() -> list[bytes]:
    """The configuration of a run, and one in the names of version 0.1."""
    record = {"script": "train_agent", "arguments": asdict(replace(TINY, resume="x")), "command": "x", "threads": 1}
    old = {name if name != "training" else "learn": value for name, value in record["arguments"].items()}  # type: ignore[attr-defined]
    return [json.dumps(value, indent=2).encode() for value in (record, record | {"arguments": old})]


def read_events(path: Path) -> object:
    """Read a curve of TensorBoard."""
    return read_curve(path.parent, "train/mse")


def event_seeds() -> list[bytes]:
    """A log of two curves."""
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as board:
            for step in range(4):
                board.add_scalar("train/mse", 0.5, step)
                board.add_scalar("dev/mse", 0.5, step)
        return [next(Path(folder).iterdir()).read_bytes()]


# Data set and annotations.

LABELS = b"image,gender,status,set\n00000000.jpg,0,3,train\n00000001.jpg,1,0,dev\n00000002.jpg,0,1,test\n"
URLS = b"http://iiif.example.jp/a/3_019.tif/-2,1372,176,176/256,256/0/default.jpg\n\nhttps://b.jp/c/1,2,3,4/256,256/0/d.jpg\n"
TAGS = (
    "00003000.jpg:タグ=鬼;制作年=from 1600;制作年=to 1700;制作年=江戸前期;向き=正面;=\n"
    + "00000001.jpg:性別=男;身分=武士;DOI=10.1/2\n"
).encode()
TABLE = b"image,gender,status,set,who,when\n00000000.jpg,male,3,train,ann,\n00000001.jpg,1,,dev,'=bob,x\n"


def read_addresses(path: Path) -> None:
    """Read urls.txt, and the region in each address."""
    for url in read_urls(path.parent):
        _in_one_line(lambda: parse_region(url))  # noqa: B023


def read_labelled(path: Path) -> None:
    """Read a table of labels by name and by number of the image."""
    read_label_table(path, "gender")
    read_corrections(path, "status")


def journal_seeds() -> list[bytes]:
    """A journal of each action."""
    label = {
        "do": "label",
        "image": "0.png",
        "label": "male",
        "who": "ann",
        "suggested": "female",
        "suggested_belief": 0.9,
    }
    label |= {"belief": 0.1, "checkpoint": "kaokore-gender", "checkpoint_hash": "0123", "when": "2026-01-01T00:00:00Z"}
    skip = {"do": "skip", "image": "1.png", "who": "bob", "when": "2026-01-01T00:00:01Z"}
    undo = {"do": "undo", "action": 2, "who": "bob", "when": "2026-01-01T00:00:02Z"}
    lines = [{"task": "gender", "source": "a test"}, label, skip, undo, {**label, "image": "é.png"}]
    return ["".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()]


def read_journal(path: Path) -> None:
    """Open the annotations, which writes their table."""
    annotations = Annotations(path.with_suffix(""), "gender", GENDERS, "a test")
    try:
        annotations.skip("2.png", "ann")
        annotations.labels()
        annotations.agreement("ann")
    finally:
        annotations.close()


# Results.


def row_seeds() -> list[bytes]:
    """A table of painted faces."""
    return [f"{','.join(NAMES)}\n7,agent,50,0,reference,0.01,1.5,male,male,0.9,noble,warrior,0.2\n".encode()]


def metrics_seeds() -> list[bytes]:
    """A table of metrics."""
    row = ",".join("0.5" for _ in COLUMNS)
    return [f"{','.join(COLUMNS)}\n{row}\n{row}\n".encode()]


def run_seeds() -> list[bytes]:
    """The record of a run of `paint`."""
    settings = {"split": "test", "size": 128, "steps": 50}
    run = {"settings": settings, "checkpoints": {"agent": "0123"}, "sessions": [{"command": "x", "threads": 1}]}
    return [json.dumps(run, indent=1).encode()]


def evaluation_seeds() -> list[bytes]:
    """The output of `evaluate`."""
    figures = {"model": "resnet18", "task": "gender", "split": "test", "accuracy": 0.9, "n": 100, "size": 112}
    return [json.dumps(figures | {"balanced_accuracy": 0.9, "ece": None}).encode()]


# Brushes, palettes, names.


def myb_seeds() -> list[bytes]:
    """The brush files that the shipped checkpoints contain."""
    return [Checkpoint.load(name).config["myb"].encode() for name in ("ink", "charcoal", "flat")]


def text_of(path: Path) -> str:
    """What the command line would hand over: a file's text, or the path of what is no file."""
    try:
        return read_text(path, errors="surrogateescape")
    except (OSError, ValueError):
        return str(path)


def read_palette(path: Path) -> None:
    """Read a palette and a colour, as from the command line."""
    text = text_of(path)
    for read in (parse_palette, parse_colour):
        _in_one_line(lambda: read(text))  # noqa: B023


def read_name(path: Path) -> None:
    """Load a brush, an agent and a constraint by a damaged name."""
    name = text_of(path)
    for load in (load_brush, lambda text: load_agent(text, AnalyticBezier()), load_constraint):
        _in_one_line(lambda: load(name))  # noqa: B023


NAMES_OF_THINGS = (
    b"bezier",
    b"bezier+ink",
    b"mypaint:ink",
    b"json:none",
    b"agent",
    b"renderer.brushes.bezier:ExactBezier",
)


TARGETS = {
    "painting": Target("strokes.safetensors", read_painting, painting_seeds, damage_tensors),
    "session": Target("face.session.safetensors", read_session_again, session_seeds, damage_tensors),
    "history": Target("history.jsonl", read_history, history_seeds, damage_json),
    "painted_clip": Target("clip.safetensors", read_painted_clip, painted_clip_seeds, damage_tensors),
    "video": Target("clip.mp4", read_video, video_seeds, damage_bytes),
    "brush": Target("brush.safetensors", read_brush, brush_seeds, damage_tensors),
    "agent": Target(
        "agent.safetensors", lambda path: load_agent(str(path), AnalyticBezier()), agent_seeds, damage_tensors
    ),
    "generator": Target("generator.safetensors", load_generator, generator_seeds, damage_tensors),
    "classifier": Target("classifier.safetensors", load_classifier, classifier_seeds, damage_tensors, sound=False),
    "state": Target("state.safetensors", read_state, state_seeds, damage_tensors),
    "config": Target(
        "config.json",
        lambda path: resumed(AgentConfig(resume=str(path.parent)), "train_agent"),
        config_seeds,
        damage_json,
    ),
    "events": Target("events.out.tfevents.0", read_events, event_seeds, damage_bytes),
    "labels": Target("labels.csv", lambda path: read_labels(path.parent), lambda: [LABELS], damage_table),
    "urls": Target("urls.txt", read_addresses, lambda: [URLS], damage_bytes),
    "tags": Target("original_tags.txt", lambda path: read_tags(path.parent), lambda: [TAGS], damage_bytes),
    "table": Target("table.csv", read_labelled, lambda: [TABLE], damage_table),
    "journal": Target("labels.csv.journal", read_journal, journal_seeds, damage_json),
    "rows": Target("rows.csv", read_rows, row_seeds, damage_table),
    "run": Target("run.json", read_run, run_seeds, damage_json),
    "evaluation": Target("evaluation.json", evaluations, evaluation_seeds, damage_json),
    "metrics": Target("metrics.csv", lambda path: MetricsTable(path, COLUMNS), metrics_seeds, damage_table),
    "myb": Target("brush.myb", lambda path: MyPaint(path), myb_seeds, damage_json, names_file=False),
    "palette": Target(
        "palette", read_palette, lambda: [b"#1a1a1a, c0392b,#f5e6c8", b"#123456"], damage_bytes, names_file=False
    ),
    "name": Target("name", read_name, lambda: [*NAMES_OF_THINGS], damage_bytes, names_file=False),
}


def write_odd(path: Path, kind: int) -> None:
    """What is no file of its kind: a folder, nothing, a pipe, a file of 100 GB, a device, a circle of links."""
    match kind % 7:
        case 0:
            path.mkdir()
        case 1:
            pass
        case 2:
            os.mkfifo(path)
        case 3:
            with path.open("wb") as file:
                file.truncate(100 * 10**9)
        case 4:
            path.symlink_to("/dev/zero")
        case 5:
            path.symlink_to(path)
        case _:
            path.touch()


def inputs(target: Target, numbers: range, seed: int) -> Iterator[tuple[int, bytes | None]]:
    """Numbers and damaged files, equal for equal seeds; None is for `write_odd`."""
    files = target.seeds()
    for i in numbers:
        rng = random.Random(f"{seed} {i}")
        yield i, None if i % ODD == ODD - 1 else target.damage(files[i % len(files)], rng)


def try_reading(target: Target, path: Path) -> str:
    """`read` or `refused`; every other exception, and what the error does not say, is a finding."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            target.read(path)
        except InputError as error:
            text, cause = str(error), error.__cause__
            assert "\n" not in text, "an error of several lines"
            assert len(text) < 2000 + len(str(path)), "a long error"
            assert path.name in text or str(path.parent) in text or not target.names_file, f"names no file: {text}"
            if isinstance(cause, MemoryError) or "alloc" in str(cause).partition("\nException raised from ")[0]:
                raise MemoryError(str(cause)) from error
            return "refused"
    return "read"


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise `TooSlowError` after `MOST_SECONDS` of the processor or `MOST_WAITING` in all."""

    def stop(*_: object) -> None:
        raise TooSlowError(f"over {MOST_SECONDS} s of the processor, or {MOST_WAITING} s")

    limits = ((signal.ITIMER_PROF, signal.SIGPROF, MOST_SECONDS), (signal.ITIMER_REAL, signal.SIGALRM, MOST_WAITING))
    before = [signal.signal(number, stop) for _, number, _ in limits]
    for timer, _, seconds in limits:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(limits, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def sound_files(target: Target, folder: Path) -> None:
    """Read the files that are not damaged. Raises what reading them raises."""
    for data in target.seeds():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / target.name).write_bytes(data)
        target.read(folder / target.name)


def read_all(target: Target, numbers: range, seed: int, folder: Path, keep: Path | None) -> dict[str, Any]:
    """Read damaged files: how many are read and refused, the findings, and the slowest input."""
    outcomes: Counter[str] = Counter()
    findings: list[str] = []
    slowest, work = 0.0, folder / "work"
    for i, data in inputs(target, numbers, seed):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        path = work / target.name
        if data is None:
            write_odd(path, i // ODD)
        else:
            path.write_bytes(data)
        if keep is not None:
            (folder / "current").write_text(str(i))
        begun = time.process_time()
        try:
            with time_limit():
                outcomes[try_reading(target, path)] += 1
        except (Exception, TooSlowError) as error:
            findings.append(f"{i}: {type(error).__name__}: {str(error)[:200]}")
            if keep is not None and data is not None:
                (keep / f"{i}-{target.name}").write_bytes(data)
        slowest = max(slowest, time.process_time() - begun)
    return {"outcomes": outcomes, "findings": findings, "slowest": slowest}


def _work(target: Target, numbers: range, seed: int, folder: Path, keep: Path) -> None:
    """Read some files in a child process; leaves report.json, and the number of the present file in `current`."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=folder) as first:
        try:
            sound_files(target, Path(first) / "sound")  # also imports what reading needs, before memory is limited
        except InputError:
            if target.sound:
                raise
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = read_all(target, numbers, seed, folder, keep)
    report["growth"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    (folder / "report.json").write_text(json.dumps(report))


def fuzz(name: str, count: int, seed: int, keep: Path) -> list[str]:
    """Read `count` damaged files of one target; prints a line, and returns the findings."""
    target, keep = TARGETS[name], keep / name
    keep.mkdir(parents=True, exist_ok=True)
    outcomes: Counter[str] = Counter()
    findings: list[str] = []
    slowest, growth, begun = 0.0, 0, time.monotonic()
    context = multiprocessing.get_context("fork")
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for first in range(0, count, CHUNK):
        numbers = range(first, min(count, first + CHUNK))
        while numbers:
            with tempfile.TemporaryDirectory(dir=shared) as folder:
                child = context.Process(target=_work, args=(target, numbers, seed, Path(folder), keep))
                child.start()
                child.join()
                if child.exitcode == 0:
                    report = json.loads((Path(folder) / "report.json").read_text())
                    outcomes.update(report["outcomes"])
                    findings += report["findings"]
                    slowest, growth = max(slowest, report["slowest"]), max(growth, report["growth"])
                    if report["growth"] > MOST_GROWTH:
                        findings.append(f"inputs {numbers.start} to {numbers.stop - 1} took {report['growth']} MiB")
                    break
                current = Path(folder) / "current"
                if not current.exists():
                    return [f"{name}: its sound files cannot be read"]
                number = int(current.read_text())
                findings.append(f"{number}: the process ended with {child.exitcode}")
                numbers = range(number + 1, numbers.stop)  # those before it in the chunk are lost from the count
        print(f"\r{name}: {first + CHUNK:,} inputs, {len(findings)} findings ", end="", file=sys.stderr, flush=True)
    print("\r", end="", file=sys.stderr)
    print(
        f"{name:10} {sum(outcomes.values()) + len(findings):9,} inputs {outcomes['read']:8,} read {outcomes['refused']:8,} "
        f"refused {len(findings):4} findings {time.monotonic() - begun:6.0f} s, slowest {slowest:5.2f} s, {growth:4} MiB",
        flush=True,
    )
    return [f"{name} {finding}" for finding in findings]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="damaged inputs of each target")
    parser.add_argument("--target", choices=TARGETS, nargs="*", help="only these; by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-readers"), help="folder for the files of findings")
    options = parser.parse_args()
    findings = [
        finding
        for name in options.target or TARGETS
        for finding in fuzz(name, options.count, options.seed, options.keep)
    ]
    print(*findings[:200], sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
