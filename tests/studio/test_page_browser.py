"""The studio in a real browser: paint, stop, draw, mask, edit, compare, save by keyboard and mouse; a killed server."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaokore import write_fake_kaokore
from renderer.io.painting import Painting
from tests.studio.studio_process import ROOT, Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no Chromium to show the page in (apt install chromium)", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser (pip install playwright)")
pytest.importorskip("starlette", reason="the page needs Starlette (pip install -e '.[studio]')")
expect = playwright.expect  # waiting for a function would need eval, which the page's policy forbids
SECONDS = 40_000  # ms at most, on a busy machine
PICTURE = str(ROOT / "docs" / "images" / "hikime.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    root = write_fake_kaokore(folder / "kaokore", n=24)
    server = Server("--out", str(folder / "out"), "--root", str(root))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        expect.set_options(timeout=SECONDS)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Person:
    """Somebody at a browser, who notes what goes wrong."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(SECONDS)
        self.context, self.page, self.url = context, context.new_page(), url
        self.wrong: list[str] = []
        self.asked: set[str] = set()
        self.frames: list[float] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("response", lambda answer: answer.status >= 400 and self.wrong.append(answer.url))
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._frame))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(url)
        self.press = self.page.keyboard.press

    def _frame(self, data: Any) -> None:
        if isinstance(data, bytes):
            self.frames.append(time.monotonic())

    def get(self, selector: str) -> Any:
        return self.page.locator(selector)

    @property
    def count(self) -> int:
        return int(self.get("#count").inner_text().split("/")[0].replace(",", ""))

    def counts(self, shown: int, total: int | None = None) -> None:
        expect(self.get("#count")).to_have_text(f"{shown} / {shown if total is None else total}")

    def says(self, text: str) -> None:
        expect(self.get("#status")).to_contain_text(text)

    def begin(self, picture: str = PICTURE) -> None:
        self.page.set_input_files("#file", picture)
        expect(self.get("#paint")).to_be_visible()

    def choose(self, **values: str) -> None:
        if self.get("#details").get_attribute("open") is None:
            self.get("#details summary").click()
        for name, value in values.items():
            control = self.get(f"#set-{name}")
            if control.evaluate("element => element.tagName") == "SELECT":
                control.select_option(value)
            else:
                control.fill(value)

    def painted(self) -> None:
        expect(self.get("#stop")).to_be_hidden()
        expect(self.get("#paint")).to_be_visible()

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.get("#overlay").bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=6)
        self.page.mouse.up()

    def colour(self, x: float, y: float) -> list[int]:
        script = """([x, y]) => {
          const canvas = document.getElementById("painting");
          return [...canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3);
        }"""
        found: list[int] = self.page.evaluate(script, [x, y])
        return found

    def leave(self) -> None:
        usual = "WebSocket|net::ERR_CONNECTION|willReadFrequently"  # of a killed server, and of how the tests look at pixels
        assert not [text for text in self.wrong if not re.search(usual, text)]
        assert {re.sub(r"^(?:blob:)?(\w+://[^/]+/).*", r"\1", url) for url in self.asked} == {self.url}
        self.context.close()


def test_a_first_painting_takes_two_clicks(server: Server, browser: Any) -> None:
    person = Person(browser, server.url)
    person.get("#samples .tile button").first.click()
    begun = time.monotonic()
    person.get("#paint").click()
    expect(person.get("#stop")).to_be_visible()
    person.painted()
    person.counts(400)
    assert len(person.frames) > 10, "it is painted before one's eyes"
    assert person.frames[0] - begun < 10, "two seconds on a quiet machine"
    person.says("mean squared error")
    person.leave()


def test_a_session_by_keyboard(server: Server, browser: Any) -> None:
    """Nothing but keys after the picture is chosen."""
    person = Person(browser, server.url)
    press = person.press
    person.begin()
    expect(person.get("#paint")).to_be_focused()
    person.choose(strokes="60", method="optimize", steps="1500")
    press("Escape")
    person.page.evaluate("() => document.activeElement.blur()")
    press("p")
    expect(person.get("#stop")).to_be_visible()
    expect(person.get("#status")).to_contain_text("%")
    while len(person.frames) < 3:
        person.page.wait_for_timeout(50)
    press(" ")
    person.painted()
    assert 1 <= person.count <= 60
    expect(person.get("#go-on")).to_be_visible()
    press("g")
    expect(person.get("#stop")).to_be_visible()
    press("Escape")
    person.painted()
    person.choose(strokes="40", method="agent")
    person.page.evaluate("() => document.activeElement.blur()")
    press("p")
    person.counts(40)
    person.painted()

    # The timeline, and more from an earlier count.
    press("ArrowLeft")
    press("Shift+ArrowLeft")
    person.counts(29, 40)
    press("Home")
    person.counts(0, 40)
    press("End")
    person.counts(40)
    for _ in range(2):
        press("Shift+ArrowLeft")
    person.counts(20, 40)
    expect(person.get("#more")).to_have_text("Add from here")
    person.get("#more-count").fill("5")
    person.page.evaluate("() => document.activeElement.blur()")
    press("m")
    person.counts(25)
    press("Control+z")
    person.says("Undone: Add 5 strokes")
    person.counts(40)
    press("Control+Shift+z")
    person.says("Done again")
    person.counts(25)

    # Views.
    for key, view in (("2", "picture"), ("3", "error"), ("4", "outlines"), ("1", "painting")):
        press(key)
        expect(person.get(f'[data-view="{view}"]')).to_have_attribute("aria-checked", "true")

    # A stroke, a mask and a look at a stroke with the cursor on the canvas.
    press("d")
    person.get("#overlay").focus()
    before = person.get("#draw-size").input_value()
    press("]")
    assert person.get("#draw-size").input_value() > before
    press("Enter")
    for _ in range(8):
        press("ArrowRight")
    press("Enter")
    person.says("Your stroke is locked")
    drawn = person.count - 25
    assert drawn >= 1
    press("v")
    for _ in range(3):
        press("ArrowLeft")
    press("Enter")
    expect(person.get("#erase")).to_be_visible()  # the stroke is selected and not only looked at
    expect(person.get("#stroke-title")).to_contain_text("locked")
    press("Delete")
    person.says("locked stroke cannot be erased")
    press("l")
    person.says("Unlock 1 stroke")
    press("Delete")
    person.says("Erase 1 stroke")
    person.counts(24 + drawn)
    press("b")
    press("Enter")
    press("ArrowDown")
    press("Enter")
    person.says("Brush the mask")
    person.get("#repaint-count").fill("4")
    person.page.evaluate("() => document.activeElement.blur()")
    press("r")
    person.counts(28 + drawn)

    # Dialogs, and saving.
    press("?")
    expect(person.get("#dialog-keys")).to_be_visible()
    press("p")
    press("Escape")
    expect(person.get("#dialog-keys")).to_be_hidden()
    with person.page.expect_download() as download:
        press("Control+s")
    assert download.value.suggested_filename.endswith(".session.safetensors")
    person.leave()


def test_a_session_by_mouse(server: Server, browser: Any, tmp_path: Path) -> None:
    person = Person(browser, server.url)
    page = person.page
    person.get("#faces .tile button").first.click()
    person.get('[data-preset="six colours, opaque"]').click()
    person.choose(strokes="40")
    person.get("#paint").click()
    person.painted()
    person.counts(40)

    # A drawn stroke is seen, locked, and painted around.
    person.get('[data-tool="draw"]').click()
    person.get("#draw-colour").fill("#00ff00")
    person.drag((0.2, 0.3), (0.5, 0.35), (0.8, 0.3))
    person.says("Your stroke is locked")
    page.wait_for_timeout(500)
    assert person.colour(0.5, 0.335)[1] > 200 > 100 > person.colour(0.5, 0.335)[0]
    drawn = person.count - 40
    person.get("#more-count").fill("10")
    person.get("#more").click()
    person.counts(50 + drawn)
    page.wait_for_timeout(500)
    assert person.colour(0.5, 0.335)[1] > 200, "the agent paints around it"

    # The stroke under the pointer; its colour everywhere.
    person.get('[data-tool="look"]').click()
    page.mouse.move(*person.at(0.5, 0.335))
    expect(person.get("#stroke-values")).to_contain_text("#00ff00")
    page.mouse.click(*person.at(0.5, 0.335))
    expect(person.get("#lock")).to_have_text("Unlock")
    person.get("#new-colour").fill("#0000ff")
    person.says("another colour")
    page.wait_for_timeout(500)
    assert person.colour(0.5, 0.335)[2] > 200

    # A mask: outside of it, nothing changes.
    person.get('[data-tool="mask"]').click()
    person.drag((0.3, 0.7), (0.5, 0.75))
    person.says("Brush the mask")
    before = [person.colour(x / 10, 0.1) for x in range(1, 10)]
    person.get("#repaint-count").fill("6")
    person.get("#repaint").click()
    person.counts(56 + drawn)
    page.wait_for_timeout(500)
    assert (
        max(abs(a - b) for x in range(1, 10) for a, b in zip(person.colour(x / 10, 0.1), before[x - 1], strict=True))
        <= 3
    )
    person.get("#mask-clear").click()
    person.says("Remove the mask")

    # Fewer strokes by the timeline, kept for good; and playing.
    person.get("#scrub").fill("20")
    person.counts(20, 56 + drawn)
    person.get("#cut").click()
    person.counts(20)
    # On a busy machine, the first frame has begun before it was asked for.
    page.evaluate(
        "() => { const ask = requestAnimationFrame; requestAnimationFrame = (f) => ask((now) => f(now - 99)); }"
    )
    person.get("#play").click()
    expect(person.get("#play")).to_have_attribute("aria-label", "Pause")
    person.get("#play").click()
    person.get("#undo").click()
    person.counts(56 + drawn)

    # A name with a tag in it, a copy beside it, a page to share, a session opened again.
    person.get("#name").fill('<img src=x onerror="alert(1)">')
    person.get("#name").press("Enter")
    expect(person.get("#name")).to_have_value("img src x onerror alert(1)")
    person.get("#compare").click()
    person.get("#duplicate").click()
    expect(person.get("#other-about")).to_contain_text(f"{56 + drawn} strokes")
    person.says("The two are equal")
    person.get("#compare").click()
    expect(person.get("#other")).to_be_hidden()
    person.get("#export").click()
    for kind, suffix in (("page", ".html"), ("strokes", ".safetensors"), ("png", ".png")):
        person.get("#export-kind").select_option(kind)
        if kind == "png":
            person.get("#export-size").fill("300")
        with page.expect_download() as download:
            person.get("#export-start").click()
        path = tmp_path / f"exported{suffix}"
        download.value.save_as(path)
        assert path.stat().st_size > 500
    page.keyboard.press("Escape")
    assert len(Painting.load(tmp_path / "exported.safetensors").strokes) == 56 + drawn
    with page.expect_download() as download:
        person.get("#save").click()
    session = tmp_path / "a.session.safetensors"
    download.value.save_as(session)
    person.get("#home").click()
    person.begin(str(session))
    person.counts(56 + drawn)

    # Remove it again.
    name = person.get("#name").input_value()
    person.get("#open").click()
    person.get(f'[aria-label="Remove {name}"]').last.click()
    expect(person.get("#welcome")).to_be_visible()
    person.leave()


def test_a_kill_loses_nothing_that_was_done(server: Server, browser: Any) -> None:
    person = Person(browser, server.url)
    person.begin()
    person.choose(strokes="30")
    person.get("#paint").click()
    person.painted()
    person.counts(30)
    person.get('[data-tool="draw"]').click()
    person.drag((0.2, 0.2), (0.6, 0.5))
    person.says("Your stroke is locked")
    total = person.count
    server.kill()
    expect(person.get("#offline")).to_be_visible()
    server.start()
    expect(person.get("#offline")).to_be_hidden()
    person.counts(total)
    person.page.reload()
    person.counts(total)
    person.press("Control+z")
    person.counts(30)
    person.press("Control+z")
    person.counts(0)
    person.press("Control+y")
    person.counts(30)
    person.leave()


def test_labels_focus_and_width(server: Server, browser: Any) -> None:
    """Every control has a name, everything can be reached by Tab, nothing is wider than a phone."""
    names = """() => [...document.querySelectorAll("button, input, select, [role=radio], [role=application], img, canvas")]
      .filter((element) => element.checkVisibility())
      .filter((element) => !(element.ariaLabel || element.labels?.length || element.textContent.trim()
        || element.ariaHidden || element.getAttribute("alt") !== null)).map((element) => element.outerHTML)"""
    ids = "() => [...document.querySelectorAll('[id]')].map((element) => element.id)"
    for scheme, width in (("light", 1280), ("dark", 390)):
        person = Person(
            browser, server.url, color_scheme=scheme, viewport={"width": width, "height": 844}, reduced_motion="reduce"
        )
        page = person.page
        assert page.evaluate(names) == []
        person.begin()
        for tool in ("look", "draw", "mask"):
            person.get(f'[data-tool="{tool}"]').click()
            assert page.evaluate(names) == []
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        found = page.evaluate(ids)
        assert len(found) == len(set(found))
        seen = set()
        for _ in range(60):
            person.press("Tab")
            seen.add(page.evaluate("() => document.activeElement.id || document.activeElement.dataset.tool || ''"))
        assert seen >= {
            "overlay",
            "paint",
            "look",
            "draw",
            "mask",
            "name",
            "open",
            "export",
            "keys",
            "mask-size",
            "set-brush",
        } - (set() if person.get("#details").get_attribute("open") is not None else {"set-brush"})
        assert page.evaluate("() => getComputedStyle(document.querySelector('#paint')).animationName") == "none"
        dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 200) == (scheme == "dark")
        person.leave()


def test_ctrl_c_ends_it_with_an_open_page(server: Server, browser: Any, folder: Path) -> None:
    person = Person(browser, server.url)
    person.begin()
    code, text = server.interrupt()
    assert code == 130
    assert text.splitlines()[0] == f"Paint at {server.url[:-1]} (Ctrl-C ends). Paintings go to {folder / 'out'}."
    assert "Traceback" not in text
    person.context.close()
