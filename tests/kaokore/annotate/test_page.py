"""The page in a real browser: labelling by keyboard alone, undoing, a server killed in the middle, two people at once."""

import contextlib
import csv
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import pytest

from experiments.train_classifier import TINY, train
from kaokore import parse_id, write_fake_kaokore
from kaokore.classify import CLASSES
from kaokore.labels import read_corrections
from kaokore.loading import load_images

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no Chromium to show the page in (apt install chromium)", allow_module_level=True)
pytest.importorskip("nicegui", reason="the page needs NiceGUI (pip install -e '.[annotate]')")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser (pip install playwright)")

GENDERS = CLASSES["gender"]
SEEN = "img => img.complete && img.naturalWidth > 0 && img.dataset.place !== undefined"


class Server:
    """The script as a process of its own, which can be killed and started again."""

    def __init__(self, *arguments):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.arguments = [*arguments, "--who", "ann", "--port", str(self.port), "--no-open"]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "NICEGUI"))}
        command = [sys.executable, "-W", "error", "-m", "experiments.annotate", *self.arguments]
        folder = Path(__file__).parents[3]
        self.process = subprocess.Popen(command, cwd=folder, env=environment | {"OMP_NUM_THREADS": "1"})
        for _ in range(600):
            assert self.process.poll() is None
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url):
                return
            time.sleep(0.1)
        raise AssertionError("the page does not come")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Person:
    """Somebody at a browser of their own, who waits for each face before they answer."""

    def __init__(self, browser, url):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.page, self.asked, self.blocked = self.context.new_page(), [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("console", lambda message: "Security Policy" in message.text and self.blocked.append(message.text))
        self.page.goto(url)
        self.wait()

    @property
    def face(self):
        return self.page.get_attribute("img.face", "data-place")

    @property
    def name(self):
        return self.page.inner_text(".caption").split(" ")[0]

    @property
    def suggested(self):
        return self.page.inner_text(".label.suggested .name > span:first-child")

    @property
    def said(self):
        return self.page.inner_text(".message")

    def wait(self, other_than=None):
        """Until a face (another than this) is on the screen."""
        seen = "before => { const img = document.querySelector('img.face'); return img && img.dataset.place !== before "
        self.page.wait_for_function(f"{seen} && ({SEEN})(img); }}", arg=other_than)

    def press(self, key):
        """Presses a key and waits for the next face. Returns the image and what was suggested."""
        name, suggested, place = self.name, self.suggested, self.face
        self.page.keyboard.press(key)
        self.wait(place)
        return name, suggested


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Sixteen of its faces have no label."""
    return str(write_fake_kaokore(tmp_path_factory.mktemp("kaokore"), n=144))


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_a_session(root, tmp_path, browser):
    """Ten faces by keyboard, two undone, the server killed, gone on with, a second person, and a training with it all."""
    table = tmp_path / "labels.csv"
    server = Server("--root", root, "--task", "gender", "--out", str(table))
    try:
        ann = Person(browser, server.url)
        given = {}
        for key in ("1", "2", "Enter", "Enter", "2", "s", "1", "Enter", "2", "1", "Enter"):
            name, suggested = ann.press(key)
            if key != "s":
                given[name] = suggested if key == "Enter" else GENDERS[int(key) - 1]
        assert len(given) == 10
        official = {name: str(GENDERS.index(label)) for name, label in given.items()}
        assert {name: row["gender"] for name, row in rows_of(table).items()} == official
        assert "10 of 16 labelled, 1 skipped" in ann.page.inner_text("header")
        agreed = sum(row["gender"] == row["suggested"] for row in rows_of(table).values())
        assert f"{agreed} of 10" in ann.page.inner_text("header")

        for key in ("u", "Control+z"):
            ann.press(key)
            last = list(given)[-1]
            assert ann.name == last
            assert ann.said == f"Undone: {last} was {given.pop(last)}."
        assert set(rows_of(table)) == set(given)

        # The server dies while an answer is on its way: it is on the disk, or the page still shows its face.
        name = ann.name
        ann.page.keyboard.press("2")
        server.kill()
        lines = (tmp_path / "labels.csv.journal").read_text().splitlines()
        arrived = json.loads(lines[-1]).get("image") == name
        if arrived:
            given[name] = "female"
        server.start()
        ann.page.wait_for_selector("#popup", state="hidden")  # the page finds the server by itself
        ann.page.wait_for_function(f"document.querySelector('header').innerText.includes('{len(given)} of 16')")
        ann.wait()
        assert set(rows_of(table)) == set(given)
        ann.press("u")  # across the restart
        undone = list(given)[-1]
        assert ann.name == undone
        del given[undone]
        name, _ = ann.press("1")
        given[name] = "male"

        # A second person gets other faces, and cannot change the first one's.
        bob = Person(browser, server.url + "?who=bob")
        assert bob.face != ann.face
        for person, key in ((bob, "2"), (ann, "1"), (bob, "1"), (ann, "2")):
            name, _ = person.press(key)
            assert name not in given
            given[name] = GENDERS[int(key) - 1]
        while bob.name not in given or rows_of(table)[bob.name]["who"] != "ann":
            bob.press("ArrowLeft")
        taken = bob.name
        bob.page.keyboard.press("2")
        bob.page.wait_for_function("document.querySelector('.message').innerText.includes('only ann can change that')")
        rows = rows_of(table)
        assert {name: GENDERS[int(row["gender"])] for name, row in rows.items()} == given
        assert rows[taken]["who"] == "ann"
        assert sorted(row["who"] for row in rows.values()).count("bob") == 2
        assert all(row["when"].endswith("Z") and float(row["suggested_belief"]) >= 0.5 for row in rows.values())

        # Whoever leaves gives the face back, at once.
        face = ann.face
        ann.context.close()
        while bob.face != face:
            bob.press("ArrowRight")

        places = {urlparse(url).netloc for url in bob.asked if not url.startswith("data:")}
        assert places == {f"127.0.0.1:{server.port}"}
        assert bob.blocked == [], "the page's own content security policy permits all of it"
        bob.context.close()
    finally:
        server.kill()

    assert read_corrections(table, "gender") == {parse_id(name): GENDERS.index(label) for name, label in given.items()}
    plain, more = (load_images(root, "train", 32, task="gender", labels=labels) for labels in (None, table))
    assert len(more.labels) == len(plain.labels) + len(given)
    folder = train(dataclasses.replace(TINY, root=root, labels=str(table), epochs=1, runs=str(tmp_path / "runs")))
    assert (folder / "best.safetensors").is_file()


def test_no_press_counts_twice(root, tmp_path, browser):
    """Keys held down or pressed too fast, a click before Enter, keys while a dialog is open, names from the page."""
    table = tmp_path / "labels.csv"
    server = Server("--root", root, "--task", "status", "--split", "dev", "--order", "wrong", "--out", str(table))
    try:
        ann = Person(browser, server.url)
        assert ann.page.locator(".note.official:visible").count() == 1

        def answered(n):
            ann.page.wait_for_function(f"document.querySelector('header').innerText.includes('{n} of ')")
            ann.wait()
            time.sleep(0.3)  # for what should not come
            return len(rows_of(table)) == n

        key = "document.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true, repeat: %s}))"
        ann.page.evaluate(f"{key % 'false'}; {key % 'false'}; {key % 'true'}")
        assert answered(1)

        ann.page.keyboard.press("?")
        assert ann.page.locator("dialog.keys").is_visible()
        ann.page.keyboard.press("1")
        ann.page.keyboard.press("Escape")
        assert answered(1)

        other = ann.page.locator(".label:not(.suggested)").first
        name, chosen = ann.name, int(other.locator("kbd").first.inner_text()) - 1
        other.click()
        assert answered(2)
        assert rows_of(table)[name]["status"] == str(chosen)
        name, suggested = ann.press("Enter")  # not the button that was clicked
        assert answered(3)
        assert CLASSES["status"][int(rows_of(table)[name]["status"])] == suggested

        ann.page.locator(".label").nth(3).focus()  # who goes by Tab presses the button that has the focus
        name, _ = ann.press("Enter")
        assert rows_of(table)[name]["status"] == "3"
        ann.page.locator(".label").nth(3).blur()

        ann.page.keyboard.press("n")
        ann.page.keyboard.type("Eve <b>&")
        ann.page.keyboard.press("Enter")
        ann.page.wait_for_function("document.querySelector('header')?.innerText.includes('Eve <b>&')")
        ann.wait()
        name, _ = ann.press("4")
        assert rows_of(table)[name]["who"] == "Eve <b>&"
        buttons = ann.page.locator(".sheet button").all()
        assert len(buttons) == 10
        assert all(button.get_attribute("aria-label") for button in buttons)
        ann.context.close()
    finally:
        server.kill()
