"""The page that plays a painting: small, closed to the network, escaped, and close to the painting in a real browser."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from renderer.brush import load_brush
from renderer.errors import InputError
from renderer.io.html_player import coded, to_html, write_html
from renderer.io.painting import Painting
from renderer.strokes import BEZIER, MYPAINT, SpaceError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAME = '</script><img src=x onerror="alert(1)"> {{script}} & 松'


def painting(count: int = 30, width: int = 64, height: int = 48) -> Painting:
    strokes = BEZIER.sample(count, torch.Generator().manual_seed(0))
    return Painting(strokes, BEZIER, height, width, (0.9, 0.8, 0.7), {"method": "agent"})


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="painting">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_a_thousand_strokes_are_small_and_exact_to_16_bits() -> None:
    page = to_html(painting(1000))
    assert len(page.encode()) < 60_000
    codes = np.frombuffer(base64.b64decode(data_of(page)["curves"]), "<u2").reshape(-1, 13)
    assert np.abs(codes / 65535 - painting(1000).strokes.numpy()).max() < 1 / 65535


def test_a_name_cannot_leave_its_place() -> None:
    page = to_html(painting(), name=NAME)
    assert page.count("</script>") == 2
    assert page.count(html.escape(NAME)) == 2
    assert "<img" not in page
    assert data_of(page)["name"] == NAME


def test_the_policy_permits_only_what_is_in_the_file() -> None:
    page = to_html(painting())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]
    for part in (r"<style>(.*?)</style>", r"<script>(.*?)</script>"):
        (text,) = re.findall(part, page, re.DOTALL)
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy[1]
    assert not re.findall(r"https?://|\ssrc=|\son\w+=|\sstyle=", page.partition("<script")[0])


def test_marks_of_another_brush_stay_in_their_budget() -> None:
    strokes = MYPAINT.sample(40, torch.Generator().manual_seed(0))
    ink = Painting(strokes, MYPAINT, 48, 64)
    brush = load_brush("ink")
    large, small = (coded(ink, brush, budget)["marks"] for budget in (10**6, 10**4))
    assert len(large["sheet"]) > len(small["sheet"])
    assert len(small["sheet"]) <= 10**4 * 4 / 3 + 4
    for marks in (large, small):
        sheet = Image.open(io.BytesIO(base64.b64decode(marks["sheet"])))
        boxes = np.frombuffer(base64.b64decode(marks["boxes"]), "<i2").reshape(40, 6)
        assert (boxes[:, 0] + boxes[:, 2] <= sheet.width).all()
        assert (boxes[:, 1] + boxes[:, 3] <= sheet.height).all()
        rows = [set(range(x, x + w)) for x, _, w, _, _, _ in boxes.tolist()]
        for i, (_, top, _, height, _, _) in enumerate(boxes.tolist()):
            for j, (_, other, _, high, _, _) in enumerate(boxes[:i].tolist()):
                assert not (rows[i] & rows[j] and top < other + high and other < top + height), "marks do not overlap"


def test_strange_paintings_have_a_page(tmp_path: Path) -> None:
    for strokes in (BEZIER.sample(0), torch.zeros(2, 13), torch.ones(1, 13)):
        write_html(Painting(strokes, BEZIER, 1, 300), tmp_path / "a.html")
        assert data_of((tmp_path / "a.html").read_text(encoding="utf-8"))["width"] == 300
    empty = coded(Painting(MYPAINT.sample(0), MYPAINT, 8, 8), load_brush("ink"))
    assert empty["marks"]["boxes"] == ""
    with pytest.raises(SpaceError):
        to_html(painting(), load_brush("ink"))
    with pytest.raises(InputError):
        write_html(painting(), "/dev/null/a.html")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt install chromium)")
def test_in_a_browser(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    expect = playwright.expect  # the page's policy forbids eval, which waiting for a function needs
    face, ink = painting(30, 128, 96), Painting(MYPAINT.sample(20, torch.Generator().manual_seed(1)), MYPAINT, 96, 128)
    write_html(face, tmp_path / "face.html", name=NAME)
    write_html(ink, tmp_path / "ink.html", load_brush("ink"))
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        for file, expected, error in (
            ("ink.html", ink.render(512, load_brush("ink")), 0.02),
            ("face.html", face.render(512), 0.015),
        ):
            page.goto((tmp_path / file).as_uri())
            expect(page.locator("#count")).not_to_be_empty()
            shown = page.evaluate(
                """async (width) => {
                  const drawing = await StrokeCanvas.decode(JSON.parse(document.getElementById("painting").textContent));
                  const canvas = document.createElement("canvas");
                  canvas.width = width;
                  canvas.height = (width * drawing.height) / drawing.width;
                  const view = new StrokeCanvas.View(canvas, drawing);
                  view.show(drawing.count);
                  const whole = canvas.toDataURL();
                  view.show(3);
                  view.show(drawing.count);
                  return [whole, canvas.toDataURL() === whole];
                }""",
                512,
            )
            image = Image.open(io.BytesIO(base64.b64decode(shown[0].partition(",")[2]))).convert("RGB")
            difference = np.abs(np.asarray(image) / 255 - expected.permute(1, 2, 0).numpy()).mean()
            assert difference < error
            assert shown[1], "back and forth is the same"
        assert page.title() == NAME
        count, keys = page.locator("#count"), page.keyboard
        assert count.inner_text() == "30 / 30"
        keys.press("Home")
        keys.press("ArrowRight")
        keys.press("Shift+ArrowRight")
        assert count.inner_text() == "11 / 30"
        assert page.locator("#scrub").get_attribute("aria-valuetext") == "11 of 30 strokes"
        keys.press(">")
        keys.press(">")
        keys.press(">")
        assert page.locator("#speed").input_value() == "16"
        keys.press(" ")
        expect(count).to_have_text("30 / 30")
        assert page.locator("#play").get_attribute("aria-label") == "Play"
        page.locator("#play").click()
        expect(count).to_have_text("30 / 30")
        for control in page.locator("button, input, canvas").all():
            assert control.get_attribute("aria-label")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert said == []
        browser.close()
