"""Summarise runs of `paint`: JSON, a figure, and the tables of docs/recognizability.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.figures.elements import markdown_table
from experiments.recognizability.figure import draw
from experiments.recognizability.rows import read_rows
from experiments.recognizability.run_file import differences, read_run
from experiments.recognizability.summary import summarise
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.read import guarded, read_text

BEGIN, END = "<!-- recognizability: begin, written by `report` -->", "<!-- recognizability: end -->"


@dataclass(frozen=True)
class Report:
    """Summarise a run: JSON, a figure and, with --doc, the tables of a page."""

    folders: Annotated[tuple[str, ...], tyro.conf.Positional] = ("runs/recognizability",)
    """Folders of `paint`, which may still be running; several with the same settings are joined."""
    out: str | None = None
    """Folder for summary.json and recognizability.png; by default the first run's."""
    doc: str | None = None
    """A page to write the tables into, between its two markers; the figure goes to images/ beside it."""


def report(config: Report) -> dict[str, Any]:
    """Write the summary and the figure, and return the summary. Raises `InputError`."""
    if not config.folders:
        raise InputError("Name the folder of a run of `paint`.")
    runs = [read_run(Path(folder) / "run.json") for folder in config.folders]
    for folder, run in zip(config.folders[1:], runs[1:], strict=True):
        if changed := differences(runs[0], run):
            raise InputError(f"{config.folders[0]} and {folder} differ in {changed[0]}, so that they cannot be joined.")
    rows = {row.key: row for folder in config.folders for row in read_rows(Path(folder) / "rows.csv")}
    brushes = sorted({row.brush for row in rows.values() if row.brush})
    sessions = [session for run in runs for session in run["sessions"]]
    summary = {"settings": runs[0]["settings"], "sessions": sessions, "brush": brushes}
    summary |= summarise(list(rows.values()))
    out = Path(config.out or config.folders[0])
    tables = format_tables(summary)
    page = Path(config.doc) if config.doc else None
    text = None if page is None else fill(page, tables)
    figure = (out if page is None else page.parent / "images") / "recognizability.png"
    with atomic(out / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    draw(summary, figure)
    if page is not None and text is not None:
        with atomic(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(tables)
    files = f"{out}/summary.json" + (f", {page}" if page else "")
    print(f"{len(rows)} rows of {len(sessions)} sessions; wrote {files} and {figure}.")
    return summary


def fill(page: Path, text: str) -> str:
    """The page with `text` between its markers. Raises `InputError` unless it has both markers once, in order."""
    with guarded(f"The page {page}", InputError, "cannot be read"):
        old = read_text(page)
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise InputError(f"{page} needs the lines {BEGIN} and {END} once each, with the table between them.")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def format_tables(summary: dict[str, Any]) -> str:
    """The tables as Markdown: for each task, accuracy by painter, and recall by class of the first painter."""
    parts = []
    for task, found in summary["tasks"].items():
        parts += [_accuracies(task, found), _recalls(summary["reference"], found)]
    settings = summary["settings"]
    parts.append(
        f"{summary['faces']} faces of {settings['split']}, {settings['size']} px; pictures drawn by the "
        f"{' or '.join(summary['brush'])} brush. Accuracy in %. **Bold**: the 95 % interval of the loss of accuracy against "
        "the same faces unpainted (paired bootstrap) includes zero. Sufficient: the number of strokes from which accuracy "
        "stays within one standard error of the unpainted faces / within 2 points of it. Agreement: % of faces that the "
        "classifier assigns to the same class painted with the most strokes and unpainted, correctly or not."
    )
    commands = dict.fromkeys(session["command"] for session in summary["sessions"])
    return "\n\n".join((*parts, "Made by", "\n".join(("```", *commands, "```")))) + "\n"


def _accuracies(task: str, found: dict[str, Any]) -> str:
    cells = [cell for painter in found["painters"].values() for cell in painter["cells"]]
    counts = sorted({cell["strokes"] for cell in cells})
    most = max(cell["accuracy"]["n"] for cell in cells)
    ceiling, floor = found["unpainted"]["accuracy"], found["floor"]
    low, high = map(_percent, ceiling["interval"])
    text = (
        f"**{task.capitalize()}**: {_percent(ceiling['share'])} % ({low} to {high}) of the unpainted faces are classified "
        f"correctly; always answering “{floor['class']}” would be correct for {_percent(floor['share'])} %."
    )
    rows = []
    for name, painter in found["painters"].items():
        by_count = {cell["strokes"]: cell for cell in painter["cells"]}
        fewer = min(cell["accuracy"]["n"] for cell in painter["cells"])
        # One face may be incomplete, while `paint` is running.
        title = f"`{name}`" + (f" ({fewer} faces)" if fewer < most - 1 else "")
        shown = [_accuracy(by_count[count]) if count in by_count else "" for count in counts]
        sufficient = " / ".join("–" if n is None else f"{n:,}" for n in painter["sufficient"].values())
        rows.append([title, *shown, sufficient, _percent(painter["cells"][-1]["agreement"]["share"])])
    head = ["strokes", *(f"{count:,}" for count in counts), "sufficient", "agreement"]
    return f"{text}\n\n{markdown_table(head, rows)}"


def _recalls(name: str, found: dict[str, Any]) -> str:
    cells = found["painters"][name]["cells"]
    rows: list[Sequence[str]] = []
    for kind, unpainted in found["unpainted"]["recall"].items():
        shares = [*(cell["recall"][kind]["share"] for cell in cells), unpainted["share"]]
        rows.append([f"{kind} ({unpainted['n']})", *map(_percent, shares)])
    return markdown_table([f"recall, `{name}`", *(f"{cell['strokes']:,}" for cell in cells), "unpainted"], rows)


def _accuracy(cell: dict[str, Any]) -> str:
    text = _percent(cell["accuracy"]["share"])
    return f"**{text}**" if cell["drop"]["interval"][0] <= 0 else text


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}"
