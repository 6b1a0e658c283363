"""Sum up runs of `paint`: figures, the figure, and the table of docs/legibility.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.recognizability.figure import draw
from experiments.recognizability.rows import read_rows
from experiments.recognizability.run_file import differences, read_run
from experiments.recognizability.summary import summarise
from renderer.errors import InputError
from renderer.io.files import atomic

BEGIN, END = "<!-- legibility: begin, written by `report` -->", "<!-- legibility: end -->"


@dataclass(frozen=True)
class Report:
    """Sum up what was painted: JSON, a figure and, with --doc, the table of a page."""

    folders: Annotated[tuple[str, ...], tyro.conf.Positional] = ("runs/legibility",)
    """Runs of `paint`; several with the same options count as one. May be still at work."""
    out: str | None = None
    """Folder for summary.json and legibility.png; else the first run's."""
    doc: str | None = None
    """A page to write the table into, between its two markers; the figure goes to images/ beside it."""


def report(config: Report) -> dict[str, Any]:
    """Writes the summary and the figure, and returns the summary. Raises `InputError`."""
    if not config.folders:
        raise InputError("Name the folder of a run of `paint`.")
    runs = [read_run(Path(folder) / "run.json") for folder in config.folders]
    for folder, run in zip(config.folders[1:], runs[1:], strict=True):
        if changed := differences(runs[0], run):
            raise InputError(
                f"{config.folders[0]} and {folder} differ in {changed[0]}, so they cannot count as one run."
            )
    rows = {row.key: row for folder in config.folders for row in read_rows(Path(folder) / "rows.csv")}
    drawn = sorted({row.brush for row in rows.values() if row.brush})
    sessions = [session for run in runs for session in run["sessions"]]
    summary = {"settings": runs[0]["settings"], "sessions": sessions, "brush": drawn}
    summary |= summarise(list(rows.values()))
    out = Path(config.out or config.folders[0])
    page = Path(config.doc) if config.doc else None
    text = None if page is None else fill(page, table(summary))
    picture = out / "legibility.png" if page is None else page.parent / "images" / "legibility.png"
    with atomic(out / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    draw(summary, picture)
    if page is not None and text is not None:
        with atomic(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(table(summary))
    print(
        f"{len(rows)} rows, sessions: {len(sessions)}; {out}/summary.json"
        + (f", {page}" if page else "")
        + f"; open {picture}"
    )
    return summary


def fill(page: Path, text: str) -> str:
    """The page with `text` between its markers. Raises `InputError` when it has not each of them once, in order."""
    try:
        old = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The page {page} cannot be read ({error}).") from error
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise InputError(f"{page} needs the lines {BEGIN} and {END} once each, with the table between them.")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def table(summary: dict[str, Any]) -> str:
    """The tables, as Markdown: accuracy by painter of each task, and recall by class of the first painter."""
    parts = []
    for task, found in summary["tasks"].items():
        parts += [*_accuracies(task, found), "", *_recalls(summary["reference"], task, found), ""]
    settings = summary["settings"]
    parts.append(
        f"{summary['faces']} faces of {settings['split']}, {settings['size']} px; pictures by the "
        f"{' or '.join(summary['brush'])} brush. Accuracy in %. **Bold**: the 95 % interval of the loss against the same "
        "faces unpainted (paired bootstrap) includes none. Enough: the strokes from which on accuracy stays within one "
        "standard error of the unpainted faces' / within 2 points of it. Verdict kept: % of faces of which the classifier "
        "says, painted with the most strokes, what it says of them unpainted, right or wrong."
    )
    commands = dict.fromkeys(session["command"] for session in summary["sessions"])
    parts += ["", "Made by", "", "```", *commands, "```"]
    return "\n".join(parts) + "\n"


def _accuracies(task: str, found: dict[str, Any]) -> Iterator[str]:
    counts = sorted({cell["strokes"] for painter in found["painters"].values() for cell in painter["cells"]})
    most = max(cell["accuracy"]["n"] for painter in found["painters"].values() for cell in painter["cells"])
    ceiling, floor = found["unpainted"]["accuracy"], found["floor"]
    yield (
        f"**{task.capitalize()}**: {_percent(ceiling['share'])} % ({_interval(ceiling['interval'])}) of the unpainted faces "
        f"are told right; always answering “{floor['class']}” would be right for {_percent(floor['share'])} %."
    )
    yield ""
    yield _line(["strokes", *(f"{count:,}" for count in counts), "enough", "verdict kept"])
    yield _line(["---"] * (len(counts) + 3))
    for name, painter in found["painters"].items():
        cells = {cell["strokes"]: cell for cell in painter["cells"]}
        fewer = min(cell["accuracy"]["n"] for cell in painter["cells"])
        shown = [_cell(cells[count]) if count in cells else "" for count in counts]
        enough = " / ".join("–" if n is None else f"{n:,}" for n in painter["enough"].values())
        last = painter["cells"][-1]
        # One face may be in the middle of being painted.
        title = f"`{name}`" + (f" ({fewer} faces)" if fewer < most - 1 else "")
        yield _line([title, *shown, enough, _percent(last["agreement"]["share"])])


def _recalls(name: str, task: str, found: dict[str, Any]) -> Iterator[str]:
    cells = found["painters"][name]["cells"]
    yield _line([f"recall, `{name}`", *(f"{cell['strokes']:,}" for cell in cells), "unpainted"])
    yield _line(["---"] * (len(cells) + 2))
    for kind, unpainted in found["unpainted"]["recall"].items():
        shares = [cell["recall"][kind]["share"] for cell in cells]
        yield _line([f"{kind} ({unpainted['n']})", *map(_percent, shares), _percent(unpainted["share"])])


def _cell(cell: dict[str, Any]) -> str:
    text = _percent(cell["accuracy"]["share"])
    return f"**{text}**" if cell["drop"]["interval"][0] <= 0 else text


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}"


def _interval(ends: Sequence[float]) -> str:
    return f"{_percent(ends[0])} to {_percent(ends[1])}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
