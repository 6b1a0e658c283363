"""Show a first painting in the studio to a browser: screenshots, a short film, and measurements.

    python docs/studio_figures.py --out docs/images

Writes studio.png, studio_dark.png, studio_phone.png and studio.mp4, and prints a line of JSON: clicks and seconds of a first
painting, seconds until its first strokes, updates a second, seconds until an edit and a step of the timeline are seen.
Requires Chromium, playwright and ffmpeg. The picture is docs/images/hikime.png.
"""

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from base64 import b64decode
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.studio.studio_process import ROOT, Server

PICTURE = ROOT / "docs" / "images" / "hikime.png"
FILM_SIDE, RATE = 960, 10  # pixels, frames a second
SIZE = {"width": 1280, "height": 800}


class Film:
    """What a page shows, as it changes."""

    def __init__(self, page, folder):
        self.folder, self.frames = folder, []
        self.session = page.context.new_cdp_session(page)
        self.session.on("Page.screencastFrame", self._frame)
        size = {"maxWidth": FILM_SIDE, "maxHeight": FILM_SIDE}
        self.session.send("Page.startScreencast", {"format": "jpeg", "quality": 90, **size})

    def _frame(self, event):
        path = self.folder / f"{len(self.frames):05}.jpg"
        path.write_bytes(b64decode(event["data"]))
        self.frames.append((event["metadata"]["timestamp"], path))
        self.session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    def write(self, path):
        self.session.send("Page.stopScreencast")
        ends = [when for when, _ in self.frames[1:]] + [self.frames[-1][0] + 2]
        lines = [
            f"file '{file}'\nduration {min(2.0, end - when):.3f}"
            for (when, file), end in zip(self.frames, ends, strict=True)
        ]
        listing = self.folder / "frames.txt"
        listing.write_text("\n".join([*lines, f"file '{self.frames[-1][1]}'"]), encoding="utf-8")
        made = f"ffmpeg -loglevel error -y -f concat -safe 0 -i {listing} -r {RATE} -pix_fmt yuv420p -crf 32"
        subprocess.run(
            [*made.split(), "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-movflags", "+faststart", str(path)], check=True
        )


def painted(page):
    """Wait until painting has begun and ended."""
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()


def added(page, button, strokes):
    """Add strokes, and wait until they are there."""
    total = int(page.locator("#count").inner_text().split("/")[1]) + strokes
    button.click()
    expect(page.locator("#count")).to_have_text(f"{total} / {total}")


def first_painting(page, frames):
    """Two clicks, as a new user: choose a picture, paint. Returns measurements."""
    begun = time.monotonic()
    page.set_input_files("#file", str(PICTURE))
    expect(page.locator("#paint")).to_be_visible()
    page.wait_for_timeout(700)
    frames.clear()
    clicked = time.monotonic()
    page.locator("#paint").click()
    while not any(count for _, count in frames):
        page.wait_for_timeout(5)
    first = next(when for when, count in frames if count) - clicked
    expect(page.locator("#count")).to_have_text("400 / 400")
    whole = frames[-1][0] - clicked
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(frames)]
    return {
        "clicks": 2,
        "seconds": round(time.monotonic() - begun, 2),
        "first_strokes": round(first, 2),
        "painted": round(whole, 2),
        "updates_per_second": round(len(frames) / whole, 1),
        "longest_gap": round(max(gaps), 2),
    }


def median_seconds(page, act, times=7):
    """How long a change takes until the count on the page has changed, the median of several."""
    count, taken = page.locator("#count"), []
    for _ in range(times):
        before = count.inner_text()
        begun = time.monotonic()
        act()
        while count.inner_text() == before:
            pass
        taken.append(time.monotonic() - begun)
        page.wait_for_timeout(250)
    return round(statistics.median(taken), 3)


def edits(page, measured):
    """Draw a stroke, let the agent go on, repaint a part, go back; some of it is measured."""
    box = page.locator("#overlay").bounding_box()

    def at(x, y):
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(points):
        page.mouse.move(*at(*points[0]))
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*at(*point), steps=8)
        page.mouse.up()
        page.wait_for_timeout(700)

    page.mouse.move(*at(0.57, 0.44), steps=5)
    page.wait_for_timeout(1200)
    page.keyboard.press("d")
    page.locator("#draw-colour").fill("#b5402d")
    drag([(0.36, 0.25), (0.42, 0.18), (0.5, 0.155), (0.58, 0.17)])
    page.locator("#more-count").fill("40")
    added(page, page.locator("#more"), 40)
    page.wait_for_timeout(900)
    page.keyboard.press("b")
    drag([(0.58, 0.62), (0.66, 0.64), (0.62, 0.66)])
    page.locator("#repaint-count").fill("60")
    added(page, page.locator("#repaint"), 60)
    page.wait_for_timeout(900)
    page.keyboard.press("v")
    measured["timeline_step"] = median_seconds(page, lambda: page.keyboard.press("ArrowLeft"))
    for _ in range(14):
        page.keyboard.press("Shift+ArrowLeft")
        page.wait_for_timeout(120)
    page.keyboard.press("4")
    page.wait_for_timeout(1200)
    page.keyboard.press("1")
    page.keyboard.press("End")
    page.wait_for_timeout(900)
    keys = itertools.cycle(("Control+z", "Control+y"))
    measured["undo"] = median_seconds(page, lambda: page.keyboard.press(next(keys)), 4)
    page.wait_for_timeout(900)


def shot(browser, url, path, **options):
    """A screenshot of the painting, where a stroke is under the pointer."""
    page = browser.new_page(**{"viewport": SIZE, **options})
    page.goto(url)
    page.wait_for_timeout(1500)
    if not options.get("is_mobile"):
        box = page.locator("#overlay").bounding_box()
        page.mouse.move(box["x"] + 0.42 * box["width"], box["y"] + 0.3 * box["height"])
        expect(page.locator("#panel-stroke")).to_be_visible()
        page.wait_for_timeout(500)
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
    page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out
    frames = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        expect.set_options(timeout=300_000)
        server = Server("--out", f"{folder}/studio")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport=SIZE, color_scheme="light")

            def frame(data):
                if isinstance(data, bytes):
                    length = int.from_bytes(data[:4], "big")
                    frames.append((time.monotonic(), json.loads(data[4 : 4 + length])["strokes"]))

            page.on("websocket", lambda socket: socket.on("framereceived", frame))
            page.goto(server.url)
            page.wait_for_timeout(6000)  # until faces are sampled and the painter is warm
            measured = first_painting(page, frames)
            film = Film(page, Path(folder))
            page.wait_for_timeout(500)
            page.keyboard.press("p")
            painted(page)
            page.wait_for_timeout(1500)
            edits(page, measured)
            film.write(out / "studio.mp4")
            address = page.url
            page.close()
            shot(browser, address, out / "studio.png", color_scheme="light")
            shot(browser, address, out / "studio_dark.png", color_scheme="dark")
            phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
            shot(browser, address, out / "studio_phone.png", color_scheme="light", **phone)
        finally:
            browser.close()
            server.kill()
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
