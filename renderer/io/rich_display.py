"""How notebooks show objects: tables in HTML, that are readable on light and dark pages."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table; everything is escaped."""
    cells = "".join(f"<th style='text-align:left'>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def picture_and_facts(png: bytes, alt: str, facts: Mapping[str, object]) -> str:
    """A PNG beside a table of facts."""
    data = base64.b64encode(png).decode()
    return (
        "<div style='display:flex;gap:1em;flex-wrap:wrap;align-items:flex-start'>"
        f"<img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{data}' style='max-width:384px'>"
        f"{table(('', ''), facts.items())}</div>"
    )
