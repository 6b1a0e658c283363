"""What notebooks show: short lines, tables, a picture with facts, a player, curves, progress, and the scrubbing widget."""

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from painter import Painter, watch
from renderer.errors import InputError
from renderer.io import display
from renderer.io.painting import Painting
from renderer.io.scrubber import scrubber
from renderer.io.training_curves import TrainingRun, smoothed
from renderer.io.video import Video
from renderer.strokes import BEZIER, MIXED, Field, StrokeSpace


def painting(count: int = 20) -> Painting:
    made = {"method": "<b>agent", "seed": 3}
    return Painting(BEZIER.sample(count, torch.Generator().manual_seed(0)), BEZIER, 24, 32, (1.0, 0.5, 0.0), made)


def test_a_painting_is_one_line_and_a_picture_with_facts() -> None:
    assert repr(painting()) == "Painting(20 strokes, bezier, 32x24 pixels, by <b>agent)"
    shown = painting()._repr_mimebundle_()
    assert shown["text/plain"] == repr(painting())
    with Image.open(io.BytesIO(base64.b64decode(shown["image/png"]))) as image:
        assert image.size == (384, 288)
    assert shown["image/png"] in shown["text/html"]
    for fact in ("&lt;b&gt;agent", "#ff8000", "32x24 pixels"):
        assert fact in shown["text/html"]
    assert "<b>agent" not in shown["text/html"]


def test_a_space_is_a_table() -> None:
    page = MIXED._repr_html_()
    assert page.count("<tr>") == 1 + len(MIXED.fields)
    assert "0 to 0.25" in page
    odd = StrokeSpace("<i>", (Field("a<b", 1, 0, 1, "<script>"),))
    assert "<script>" not in odd._repr_html_()


def test_a_video_holds_no_bytes_in_its_line() -> None:
    video = Video(b"x" * 100_000)
    assert repr(video) == "Video(100,000 bytes of MP4)"
    assert "data:video/mp4;base64," in video._repr_html_()


def test_runs_show_curves_of_dev_first(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with pytest.raises(InputError, match="has no curves"):
        TrainingRun(tmp_path)
    with SummaryWriter(str(tmp_path)) as board:
        for step in range(40):
            board.add_scalar("train/mse", 1 / (step + 1), step)
            board.add_scalar("dev/mse", 2 / (step + 1), 10 * step)
    (tmp_path / "config.json").write_text(json.dumps({"command": "python <x>"}))
    run = TrainingRun(tmp_path)
    assert list(run.curves()) == ["dev/mse", "train/mse"]
    page = run._repr_html_()
    assert page.index("dev/mse") < page.index("train/mse")
    assert "python &lt;x&gt;" in page
    with Image.open(io.BytesIO(run.figure())) as image:
        assert min(image.size) > 100
    noisy = [float(i % 2) for i in range(120)]
    assert max(smoothed(noisy)[-10:]) - min(smoothed(noisy)[-10:]) < 0.2
    with pytest.raises(InputError, match="no run folder"):
        TrainingRun(tmp_path / "none")


class Cell:
    """What a notebook would show below a cell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: list[str] = []
        monkeypatch.setattr(display, "in_notebook", lambda: True)
        monkeypatch.setattr("painter.watching.in_notebook", lambda: True)
        monkeypatch.setattr("IPython.display.display", self.display)

    def display(self, page: object, display_id: bool = False) -> "Cell":
        self.update(page)
        return self

    def update(self, page: object) -> None:
        self.pages.append(str(page.data))  # type: ignore[attr-defined]


def test_progress_and_watching_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell(monkeypatch)
    assert list(display.progress_bar(range(5), 5, "<count>")) == [0, 1, 2, 3, 4]
    assert "value='1.000'" in cell.pages[-1]
    assert "&lt;count&gt;" in cell.pages[-1]
    cell.pages.clear()
    steps = list(watch(Painter("agent").steps(torch.rand(3, 24, 32), strokes=4, size=32)))
    assert len(steps[-1].strokes) == 4
    assert "4 strokes" in cell.pages[-1]
    assert "data:image/jpeg" in cell.pages[-1]


def test_progress_and_watching_elsewhere() -> None:
    assert list(display.progress_bar("abc", 3)) == ["a", "b", "c"]
    assert not display.in_notebook()


def test_the_scrubber_holds_the_strokes_and_follows_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget")
    widget = scrubber(painting(), width=200)
    assert widget.count == 20
    assert len(base64.b64decode(widget.coded["curves"])) == 20 * 13 * 2
    widget.count = 7
    assert len(widget.shown().strokes) == 7
    assert repr(widget) == "Scrubber(7 of 20 strokes)"
    assert not re.search(r"https?://", widget._esm)
    for options in ({"width": 1}, {"seconds": 0.0}):
        with pytest.raises(InputError):
            scrubber(painting(), **options)  # type: ignore[arg-type]


NODE = """
const fs = await import("node:fs");
const calls = { fill: 0 };
const context = new Proxy({ getTransform: () => ({ a: 1 }) }, {
  get: (target, name) => name in target ? target[name] : name === "fill" ? () => { calls.fill += 1; }
    : () => ({ addColorStop() {} }),
  set: (target, name, value) => { target[name] = value; return true; },
});
globalThis.Path2D = class { moveTo() {} lineTo() {} arc() {} closePath() {} };
globalThis.DOMMatrix = class { translate() { return this; } };
globalThis.OffscreenCanvas = class { constructor() {} getContext() { return context; } };
globalThis.requestAnimationFrame = () => 1;
globalThis.cancelAnimationFrame = () => {};
class Node {
  constructor() { this.style = {}; this.handlers = {}; this.children = []; this.attributes = {}; }
  setAttribute(name, value) { this.attributes[name] = value; }
  addEventListener(name, handler) { this.handlers[name] = handler; }
  append(...nodes) { this.children.push(...nodes); }
  getContext() { return context; }
  cloneNode() { return new Node(); }
}
globalThis.document = { createElement: () => new Node() };
const values = { coded: JSON.parse(fs.readFileSync(process.argv[3])), count: 20, width: 100, seconds: 2 };
const listeners = {};
const model = {
  get: (name) => values[name], set: (name, value) => { values[name] = value; },
  save_changes() { calls.saved = values.count; },
  on: (name, f) => { listeners[name] = f; }, off: (name) => { delete listeners[name]; },
};
const widget = (await import(process.argv[2])).default, el = new Node();
const end = await widget.render({ model, el });
const [canvas, row] = el.children[0].children, [play, slider, text] = row.children;
const first = text.textContent, drawn = calls.fill;
slider.value = "5"; slider.handlers.input();
const second = text.textContent, saved = calls.saved;
values.count = 12; listeners["change:count"]();
const third = text.textContent;
end();
const label = canvas.attributes["aria-label"], left = Object.keys(listeners);
console.log(JSON.stringify({ first, drawn, second, saved, third, left, label }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_script_of_the_scrubber(tmp_path: Path) -> None:
    pytest.importorskip("anywidget")
    widget = scrubber(painting())
    (tmp_path / "widget.mjs").write_text(widget._esm, encoding="utf-8")
    (tmp_path / "test.mjs").write_text(NODE, encoding="utf-8")
    (tmp_path / "coded.json").write_text(json.dumps(widget.coded), encoding="utf-8")
    command = ["node", "test.mjs", "./widget.mjs", "coded.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["first"], found["second"], found["third"]) == ("20 / 20", "5 / 20", "12 / 20")
    assert found["drawn"] >= 18  # a stroke may be too small or too faint to be drawn
    assert (found["saved"], found["left"]) == (5, [])
    assert found["label"] == "The painting with 12 of 20 strokes"
