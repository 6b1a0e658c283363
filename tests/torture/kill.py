"""Kill every long job at random moments, run it again, and compare what it leaves with an undisturbed run.

    python -m tests.torture.kill --kills 50
    python -m tests.torture.kill --only repaint,download

Half of the kills come at random times, half at random writes (a file is opened, renamed, removed; a folder made). After
each kill nothing may be damaged and nothing finished may be lost; after the last run of a round the folder equals that of
the undisturbed run, and no temporary file is left. The exit code is 1 after a finding.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pyarrow import parquet

from experiments import (
    cli,
    paint_collection,
    repaint,
    results,
    train_agent,
    train_classifier,
    train_huang2019,
    train_ppo,
    train_renderer,
    train_stylegan,
)
from kaokore import __main__ as kaokore_command
from kaokore import write_fake_kaokore
from kaokore.annotate.annotations import Annotations
from kaokore.annotate.queue import Face, Queue
from kaokore.classify import CLASSES
from renderer.io.checkpoint import Checkpoint
from renderer.io.images import read_image, write_png
from renderer.io.painting import Painting
from studio.document import Document
from studio.painters import Painters
from tests.experiments.interruptions import contents
from tests.experiments.tiny_agent import tiny_agent
from tests.torture.children import Moment, run, torment_all

KILLS_OF_A_ROUND = 4  # then a run is let to its end
COLLECTION_FILES = {"painting.png", "strokes.safetensors", "metrics.json"}
FILES = {"painting.png", "painting.svg", "painting.mp4", "painting.gif", "strokes.safetensors"}


@dataclass
class Job:
    """A long job that writes to a folder.

    Attributes:
        name: For the report.
        start: Starts the job in a folder, or resumes what is there.
        finished: What is finished in the folder, by name, in a form that can be compared; raises or asserts where
            something is damaged. Called after each kill: a name never disappears, and its value never changes.
        result: All that the undisturbed run and a resumed one must have in common, at the end.
        times: Kills for each one of the other jobs, because it is quick.
    """

    name: str
    start: Callable[[Path], object]
    finished: Callable[[Path], Mapping[str, Any]]
    result: Callable[[Path], Mapping[str, Any]]
    times: int = 1


@dataclass
class Report:
    """Counts of a job."""

    kills: int = 0
    rounds: int = 0
    by_time: int = 0
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0


def torment(job: Job, kills: int, seed: int, folder: Path) -> Report:
    """Kill a job `kills` times; returns what was found."""
    report, rng, begun = Report(), random.Random(f"{seed} {job.name}"), time.monotonic()
    log = folder / "log.txt"
    undisturbed = folder / "undisturbed"
    whole = run(partial(job.start, undisturbed), log)
    if whole.code != 0:
        report.findings.append(f"{job.name}: the undisturbed run ended with {whole.code}: {whole.said[-300:]}")
        return report
    wanted = job.result(undisturbed)
    while report.kills < kills and len(report.findings) < 5:
        place, before = folder / "round", dict[str, Any]()
        report.rounds += 1
        for attempt in range(KILLS_OF_A_ROUND + 1):
            by_event = rng.random() < 0.5
            event, seconds = rng.randint(1, max(1, whole.events)), rng.uniform(0, whole.seconds)
            moment = Moment(event=event) if by_event else Moment(seconds=seconds)
            last = attempt == KILLS_OF_A_ROUND or report.kills == kills
            ended = run(partial(job.start, place), log, None if last else moment)
            report.kills += ended.code is None
            report.by_time += ended.code is None and not by_event
            where = f"{job.name}, round {report.rounds}, {moment}"
            if ended.code not in (None, 0):
                report.findings.append(f"{where}: it ended with {ended.code}: {ended.said[-300:]}")
                break
            try:
                now = job.finished(place) if place.exists() else {}
            except Exception as error:
                report.findings.append(f"{where}: {type(error).__name__}: {error}")
                break
            lost = [name for name, value in before.items() if not _kept(value, now.get(name))]
            if lost:
                report.findings.append(f"{where}: lost or changed: {', '.join(lost[:5])}")
            before = dict(now)
            if ended.code == 0:
                found = job.result(place)
                other = [name for name in {*wanted, *found} if wanted.get(name) != found.get(name)]
                left = [str(path) for path in place.rglob(".*.tmp*")]
                if other:
                    report.findings.append(f"{where}: another result: {', '.join(sorted(other)[:5])}")
                if left:
                    report.findings.append(f"{where}: left there: {', '.join(left[:5])}")
                break
        shutil.rmtree(place, ignore_errors=True)
        so_far = f"{report.kills} kills, {len(report.findings)} findings"
        print(f"\r{job.name}: {so_far} ", end="", file=sys.stderr, flush=True)
    print("\r", end="", file=sys.stderr)
    report.seconds = time.monotonic() - begun
    return report


def _kept(before: Any, now: Any) -> bool:
    """Whether something finished is still there: a number of steps may have grown."""
    return now is not None and now >= before if isinstance(before, int) else bool(now == before)


# Jobs.


def jobs(folder: Path) -> Iterator[Job]:
    """All jobs; `folder` is for their inputs."""
    root = write_fake_kaokore(folder / "kaokore", n=24)
    yield _repaint(folder / "faces")
    yield _collection(folder / "collection")
    yield _download(folder / "published")
    yield _annotate(folder)
    yield _annotation_page(folder)
    yield _studio(folder)
    often: dict[str, Any] = {"minutes_between_saves": 0.0}
    faces = {"root": str(root), **often}
    replace = dataclasses.replace
    renderer = replace(train_renderer.TINY, steps=6, evaluate_every=3, **often)
    yield training("renderer", train_renderer.train_renderer, renderer)
    yield training("agent", train_agent.train_agent, replace(train_agent.TINY, episodes=4, **faces))
    yield training("ppo", train_ppo.train_ppo, replace(train_ppo.TINY, episodes=6, **faces))
    huang2019 = replace(train_huang2019.TINY, evaluate_faces=1, evaluate_every=2, **faces)
    yield training("huang2019", train_huang2019.train_huang2019, huang2019)
    classifier = replace(train_classifier.TINY, root=str(root))  # its state is large, and saved after every epoch
    yield training("classifier", train_classifier.train, classifier)
    yield training("stylegan", train_stylegan.train, replace(train_stylegan.TINY, **faces))


def training(name: str, train: Callable[[Any], Path], config: Any) -> Job:
    """A training: it is resumed exactly, and what it has saved is never lost."""

    def start(folder: Path) -> None:
        begun = [path.parent for path in folder.glob("*/config.json")]
        train(type(config)(resume=str(begun[0])) if begun else dataclasses.replace(config, runs=str(folder)))

    def finished(folder: Path) -> Mapping[str, Any]:
        steps = {}
        for state in folder.glob("*/state.safetensors"):
            steps[state.parent.name] = int(str(contents(state)["step"]))
        for file in folder.glob("*/[!.]*"):
            if file.suffix == ".safetensors" and file.name != "state.safetensors":
                Checkpoint.load(file)
            elif file.suffix == ".json":
                json.loads(file.read_text())
            elif file.suffix == ".png":
                read_image(file)
        return steps

    def result(folder: Path) -> Mapping[str, Any]:
        (run_folder,) = [path.parent for path in folder.glob("*/state.safetensors")]
        found: dict[str, Any] = dict(contents(run_folder / "state.safetensors"))
        for file in run_folder.iterdir():
            if file.suffix == ".png":
                found[file.name] = file.read_bytes()
            elif file.suffix == ".safetensors" and file.name != "state.safetensors":
                checkpoint = Checkpoint.load(file)
                found |= {f"{file.name} {key}": tensor.tolist() for key, tensor in checkpoint.tensors.items()}
            elif file.name in ("metrics.json", "evaluation.json"):
                record = json.loads(file.read_text())
                found |= {
                    f"{file.name} {key}": value for key, value in record.items() if key not in ("config", "command")
                }
        return found

    return Job(f"train {name}", start, finished, result)


def _write_pictures(folder: Path, n: int) -> list[Path]:
    paths = [folder / f"face-{i}.png" for i in range(n)]
    for i, path in enumerate(paths):
        coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(i))
        write_png(torch.nn.functional.interpolate(coarse, (24, 24), mode="bilinear")[0], path)
    return paths


def _repaint(faces: Path) -> Job:
    inputs = [str(path) for path in _write_pictures(faces, 3)]
    agent = tiny_agent(faces / "tiny.safetensors")
    options = ["--agent", agent, "--strokes", "3", "--size", "24", "--video-size", "32"]

    def start(folder: Path) -> None:
        arguments = [*inputs, "--out", str(folder), *options]
        cli.run(repaint.repaint, repaint.Config, arguments=arguments, prog="repaint")

    def finished(folder: Path) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for place in folder.glob("*/"):
            if place.name.startswith("."):
                continue
            assert {path.name for path in place.iterdir()} == FILES, f"{place} is not whole"
            Painting.load(place / "strokes.safetensors")
            found |= {f"{place.name}/{path.name}": path.read_bytes() for path in place.iterdir()}
        for row in results.MetricsTable(folder / results.METRICS, repaint.COLUMNS).rows():
            found[f"row {row['folder']}"] = {key: value for key, value in row.items() if key != "seconds"}
        return found

    return Job("repaint", start, finished, finished)


def _collection(faces: Path) -> Job:
    inputs = [str(path) for path in _write_pictures(faces, 12)]
    options = ["--method", "optimize", "--steps", "3", "--strokes", "3", "--size", "24", "--workers", "2"]

    def start(folder: Path) -> None:
        arguments = [*inputs, "--out", str(folder), *options]
        cli.run(
            paint_collection.paint_collection, paint_collection.Config, arguments=arguments, prog="paint_collection"
        )

    def finished(folder: Path) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for place in folder.glob("paintings/*/[!.]*"):
            assert {path.name for path in place.iterdir()} == COLLECTION_FILES, f"{place} is not whole"
            Painting.load(place / "strokes.safetensors")
            found |= {
                f"{place.name}/{name}": (place / name).read_bytes() for name in COLLECTION_FILES - {"metrics.json"}
            }
            found[f"row {place.name}"] = _without_times(json.loads((place / "metrics.json").read_text()))
        return found

    def result(folder: Path) -> Mapping[str, Any]:
        table = parquet.read_table(folder / paint_collection.TABLE).to_pylist()
        return {**finished(folder), "table": sorted(map(repr, map(_without_times, table)))}

    return Job("collection", start, finished, result)


def _without_times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("seconds", "painted_by")}


def _download(published: Path) -> Job:
    from tests.kaokore.conftest import FlakyServer

    server = FlakyServer()
    write_fake_kaokore(published, n=30, base_url=server.url)
    server.serve_folder(published, prefix="/dataset_v1.1")
    server.delay = 0.01
    serving = os.fork()
    if serving == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            server.serve_forever()
        finally:
            os._exit(0)
    server.socket.close()
    SERVERS.append(serving)

    def start(folder: Path) -> None:
        sys.exit(kaokore_command.main(["download", "--root", str(folder), "--base-url", server.url]))

    def finished(folder: Path) -> Mapping[str, Any]:
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}
        for name, content in found.items():
            assert content == (published / name).read_bytes(), f"{name} is damaged"
        return found

    return Job("download", start, finished, finished)


def _label_all(queue: Queue, acknowledged: Path) -> None:
    """Label every face that is open; each that is on the disk is acknowledged in another file."""
    screen = queue.join("ann")
    with acknowledged.open("a", buffering=1) as file:
        while (face := queue.face(screen)) is not None:
            queue.label(screen, int(face.name.removesuffix(".png")) % 4)
            file.write(f"{face.name}\n")


def _queue(folder: Path, faces: int) -> Queue:
    statuses = CLASSES["status"]
    found = [Face(f"{i}.png", folder / f"{i}.png", (0.1, 0.2, 0.3, 0.4)) for i in range(faces)]
    clock: Callable[[], str] = lambda: "2026-01-02T03:04:05Z"  # noqa: E731
    return Queue(found, Annotations(folder / "labels.csv", "status", statuses, "a test", clock=clock), ("some", "0123"))


def _labelled(folder: Path) -> Mapping[str, Any]:
    """The labels in the journal, among which must be all acknowledged ones; the table must be whole."""
    annotations = _queue(folder, 1).annotations
    annotations.close()
    labels: dict[str, Any] = {action.image: action.label for action in annotations.labels()}
    acknowledged = folder / "acknowledged.txt"
    for name in acknowledged.read_text().splitlines() if acknowledged.exists() else ():
        assert name in labels, f"the label of {name} is lost"
    with (folder / "labels.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(labels)
    return labels


def _annotate(_: Path) -> Job:
    def start(folder: Path) -> None:
        queue = _queue(folder, 40)
        _label_all(queue, folder / "acknowledged.txt")
        queue.annotations.write()

    return Job("annotate, journal and table", start, _labelled, _labelled)


def _annotation_page(_: Path) -> Job:
    def start(folder: Path) -> None:
        from nicegui import app

        from kaokore.annotate.page import serve
        from kaokore.page_security import free_port

        queue = _queue(folder, 40)

        async def label() -> None:
            _label_all(queue, folder / "acknowledged.txt")
            app.shutdown()

        app.on_startup(label)
        serve(queue, who="ann", credit="", host="127.0.0.1", port=free_port("127.0.0.1", 0), show=False)
        queue.annotations.write()

    return Job("annotate, page", start, _labelled, _labelled)


def _studio(_: Path) -> Job:
    """Edits of a document; every edit that has returned must be there after a kill, with what it made."""
    line = [(0.1, 0.2, 0.5), (0.6, 0.7, 1.0), (0.9, 0.1, 0.2)]

    def add(document: Document) -> object:
        return document.add_stroke(line, colour="#c0392b", locked=False)

    edits: list[Callable[[Document], object]] = [
        *(add, add, Document.undo, Document.redo, lambda document: document.lock([0]), add),
        *(lambda document: document.recolour("#c0392b", "#2b7ac0"), Document.undo, Document.undo, add),
        *(lambda document: document.erase([1]), lambda document: document.cut(2), Document.undo, Document.redo),
    ]

    def opened(folder: Path) -> Document:
        painters = Painters()
        place = folder / "face"
        if not (place / "history" / "history.jsonl").exists():
            shutil.rmtree(place, ignore_errors=True)  # it was killed before the document was made
            return Document.create(place, torch.full((3, 12, 16), 0.5), painters)
        return Document(place, painters)

    def lines(folder: Path) -> list[bytes]:
        journal = folder / "face" / "history" / "history.jsonl"
        return journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []

    def start(folder: Path) -> None:
        document = opened(folder)
        with (folder / "acknowledged.txt").open("a", buffering=1) as file:
            for number in range(max(0, len(lines(folder)) - 1), len(edits)):
                edits[number](document)
                file.write(f"{number} {_state_of(document)}\n")
        document.save(folder / "face.session.safetensors")
        document.close()

    def finished(folder: Path) -> Mapping[str, Any]:
        acknowledged = folder / "acknowledged.txt"
        done = acknowledged.read_text().splitlines() if acknowledged.exists() else []
        found = lines(folder)
        assert len(found) > len(done) or not done, "an edit that had returned is lost"
        if len(found) == len(done) + 1 and done:  # else one more was killed before it was acknowledged
            document = opened(folder)
            state = _state_of(document)
            document.close()
            assert done[-1].split()[1] == state, "an edit has another result"
        return {"edits": len(done)}

    def result(folder: Path) -> Mapping[str, Any]:
        return {"session": (folder / "face.session.safetensors").read_bytes(), "edits": len(lines(folder))}

    return Job("studio", start, finished, result, times=4)


def _state_of(document: Document) -> str:
    state = document.state
    content = state.painting.strokes.numpy().tobytes() + state.locked.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()


SERVERS: list[int] = []  # processes that serve downloads


def stop_servers() -> None:
    """End the processes that serve downloads."""
    while SERVERS:
        os.kill(SERVERS[-1], signal.SIGKILL)
        os.waitpid(SERVERS.pop(), 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="parts of jobs' names, separated by commas")
    options = parser.parse_args()

    def kill(job: Job, folder: Path) -> tuple[str, list[str]]:
        report = torment(job, job.times * options.kills, options.seed, folder)
        shutil.rmtree(folder / "undisturbed", ignore_errors=True)
        counts = f"{report.kills:4} kills ({report.by_time} by time) in {report.rounds} rounds, {report.seconds:.0f} s"
        return counts, report.findings

    return torment_all(jobs, kill, options.only, stop_servers)


if __name__ == "__main__":
    sys.exit(main())
