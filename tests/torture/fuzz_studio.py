"""Send the studio's commands with arguments that nobody expects: each is done, or refused with one line.

    python -m tests.torture.fuzz_studio --n 4000

Two tabs share one studio, so that one may remove what the other shows. The same --n and --seed send the same commands; the
exit code is 1 if there is a finding.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kaokore import write_fake_kaokore
from renderer.errors import InputError
from studio.jobs import Job, JobQueue
from studio.page_commands import Commands
from studio.page_faces import Faces
from studio.page_state import Studio
from studio.painters import Painters
from studio.presets import Settings
from studio.workspace import Workspace

NAMES = [name for name in vars(Commands) if not name.startswith("_") and name not in ("do", "facts")]
SLOW = 10.0  # seconds; a painting may take longer, and is stopped then
MOST = 6  # paintings


def picture(side: int) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


WILD: list[Any] = [
    *(None, True, 0, 1, -1, 3, 8, 16, 24, 2**31, 2**63, 10**30, 0.5, -0.5, 1e308, float("nan"), float("inf")),
    *("", "x", "a", "#ff0000", "#zz", "../../etc/passwd", "\x00", "\ud800", "a" * 300, ".", "aGVsbG8="),
    *(
        [],
        [[]],
        [0.5, 0.5],
        [[0.5, 0.5], [0.6, 0.6]],
        [[0.1, 0.1, 0.5], [0.9, 0.9, 0.9]],
        [[float("nan"), 0]],
        {},
        {"a": 1},
    ),
    *("png", "ora", "html", "svg", "csv", "json", "session", "gif", "mp4", "psd", "page"),
    *("bezier", "ink", "charcoal", "agent", "optimize", "hybrid", "lines"),
    *(base64.b64encode(picture(side)).decode() for side in (3, 24)),
]


def arguments(name: str, draw: random.Random, paintings: list[str]) -> dict[str, Any]:
    """Arguments of a command: about half as they should be, some missing, the others wild."""
    likely = {
        "name": paintings,
        "other": paintings,
        "points": [[[draw.random(), draw.random()] for _ in range(draw.randint(0, 6))]],
        "radius": [draw.random()],
        "opacity": [draw.random()],
        "colour": ["#aabbcc"],
        "strokes": [draw.randint(1, 8)],
        "count": [draw.randint(-1, 12)],
        "index": [draw.randint(-1, 12)],
        "kind": ["png", "svg", "csv", "ora", "psd", "gif"],
        "settings": [settings(draw)],
    }
    given = {}
    for key in [*inspect.signature(getattr(Commands, name)).parameters][1:]:
        if draw.random() < 0.95:
            given[key] = draw.choice(likely[key] if likely.get(key) and draw.random() < 0.6 else WILD)
    return given


def settings(draw: random.Random) -> dict[str, Any]:
    """Settings of a small painting with up to two wild values."""
    made = asdict(Settings(strokes=6, size=16))
    for _ in range(draw.randint(0, 2)):
        made[draw.choice(list(made))] = draw.choice(WILD)
    return made


def wait(studio: Studio, job: Job) -> None:
    """Wait for a job; what takes long is stopped."""
    end = time.monotonic() + SLOW
    while not job.ended:
        if time.monotonic() > end:
            studio.queue.stop(job)
        time.sleep(0.002)


def fuzz(n: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Send `n` commands; returns how many were done and refused, and the findings."""
    draw, counts, findings = random.Random(seed), Counter[str](), []
    faces = Faces(Path(write_fake_kaokore(folder / "kaokore", n=6)))
    studio = Studio(Workspace(folder / "studio", Painters(device="cpu")), faces, JobQueue())
    tabs = [Commands(studio), Commands(studio)]
    for _ in range(n):
        paintings = [entry.name for entry in studio.workspace.list()] or [
            studio.workspace.upload("a.png", picture(24)).name
        ]
        for name in paintings[MOST:]:
            studio.workspace.remove(name)
        tab = draw.choice(tabs)
        if tab.document is None or draw.random() < 0.03:
            tab.open(draw.choice(paintings[:MOST]))
        name = draw.choice(NAMES)
        given = arguments(name, draw, paintings)
        message = f"{name} {given}"
        begun = time.monotonic()
        try:
            json.dumps([tab.do(name, json.loads(json.dumps(given))), tab.facts()])
            counts["done"] += 1
        except InputError as error:
            counts["refused"] += 1
            if "\n" in str(error):
                findings.append(f"{message}: {error!r}")
        except Exception as error:
            findings.append(f"{message}: {error!r}")
        if time.monotonic() - begun > SLOW:
            findings.append(f"{message}: over {SLOW:.0f} s")
        jobs = [studio.job(tab.document)] if tab.document is not None else []
        for job in [*jobs, *tab.exports]:
            if job is not None:
                wait(studio, job)
                if "\n" in job.error or "Error:" in job.error:  # a defect is named by its class
                    findings.append(f"{message}: {job.error}")
        tab.exports.clear()
    studio.close()
    return counts, findings


def main(n: int, seed: int) -> int:
    """Print counts and findings; returns how many findings there are."""
    with tempfile.TemporaryDirectory() as folder:
        counts, findings = fuzz(n, seed, Path(folder))
    for line in findings[:40]:
        print(line)
    said = ", ".join(f"{count} {how}" for how, count in counts.most_common())
    print(f"{n} commands: {said}; {len(findings)} findings")
    return len(findings)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4000, help="number of commands")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sys.exit(min(main(asked.n, asked.seed), 1))
