"""The documentation builds without warnings, is complete, and loads nothing from other servers."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOADING = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}  # not a: it only links


class Resources(HTMLParser):
    """The addresses that a page loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LOADING:
            self.found += [value for name, value in attrs if name in ("src", "href", "data", "poster") and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built_and_linked(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")} - {Path("404.html")}
    assert built == pages
    contents = (site / "index.html").read_text(encoding="utf-8")
    assert not [page for page in pages if f'href="{page.as_posix()}"' not in contents], (
        "every page is in the navigation"
    )


@pytest.mark.slow
def test_the_reference_shows_the_public_api(site: Path) -> None:
    page = (site / "reference" / "painter.html").read_text(encoding="utf-8")
    for name in ("Painter.paint", "Painter.steps", "Painter.refine", "Painter.paint_batch"):
        assert f'id="painter.api.{name}"' in page
    assert "Painting.export" in page


@pytest.mark.slow
def test_pages_load_nothing_from_other_servers(site: Path) -> None:
    loaded = 0
    for path in sorted(site.rglob("*.html")):
        for address in Resources(path.read_text(encoding="utf-8")).found:
            assert not address.startswith(("http:", "https:", "//")), f"{path.relative_to(site)} loads {address}"
            loaded += 1
    assert loaded > 100
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        assert "@import" not in text
        assert "url(http" not in text
        assert "url(//" not in text


def test_the_parser_finds_what_a_page_loads() -> None:
    page = '<link href="https://a/b.css"><a href="https://c"></a><script src="//d.js"></script><img src="e.png">'
    assert Resources(page).found == ["https://a/b.css", "//d.js", "e.png"]
