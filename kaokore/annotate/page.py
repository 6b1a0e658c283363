"""The annotation page, made with NiceGUI (https://nicegui.io). Everything it loads comes from this machine."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path
from urllib.parse import quote

from fastapi import Response
from nicegui import app, ui
from nicegui.events import GenericEventArguments
from PIL import Image

from kaokore.annotate.queue import Queue, Screen
from kaokore.annotate.widgets import LabelButton, switch, tag, tool
from kaokore.page_security import NICEGUI_POLICY, PageSecurity, check_loopback
from renderer.errors import InputError
from renderer.io.images import fit, read_image, to_bytes

HERE = Path(__file__).parent
MAX_SIDE = 1024  # pixels of a displayed image's long side
TITLES = {"gender": "Gender", "status": "Social status"}
ANSWERS = ("Enter", *"123456789")
TOOLS = (("ArrowLeft", "←", "Back"), ("ArrowRight", "→", "Forward"), ("s", "s", "Skip"), ("u", "u", "Undo"))


def clean(name: str | None) -> str:
    """Clean a name for the table: printable text of up to 60 characters, which may be empty."""
    text = " ".join((name or "").encode("utf-8", "replace").decode().split())
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")[:60].strip()


def serve(queue: Queue, *, who: str, credit: str, host: str, port: int, show: bool) -> None:
    """Serve the page at http://HOST:PORT/ until the process is stopped.

    Args:
        queue: The faces.
        who: The name of a person who gives none.
        credit: The attribution of the images, at the foot of the page.
        host: Address to serve at.
        port: Port to serve at.
        show: Open the page in the default browser.

    Raises:
        InputError: The host is not an address of this machine alone.
    """
    check_loopback(host)
    pages: list[Page] = []

    @app.get("/face/{place}")
    async def face(place: str) -> Response:
        if not (place.isdecimal() and len(place) < 10 and int(place) < len(queue.faces)):
            return Response("There is no such face.", 404, media_type="text/plain")
        try:
            # Never from a cache: after a restart in another order, another face may have this address.
            return Response(
                png(queue.faces[int(place)].path), media_type="image/png", headers={"Cache-Control": "no-store"}
            )
        except InputError as error:
            return Response(str(error), 404, media_type="text/plain")

    @app.exception_handler(404)  # instead of NiceGUI's page, which would cost the memory of a client for each request
    async def not_found(*_: object) -> Response:
        return Response("There is no such page.", 404, media_type="text/plain")

    ui.page("/")(lambda: Page(queue, who, credit, pages).build())
    app.add_middleware(PageSecurity, policy=NICEGUI_POLICY)
    app.config.socket_io_js_transports = ["websocket"]
    ui.run(
        host=host,
        port=port,
        title=f"{TITLES[queue.annotations.task]} of faces",
        show=show,
        reload=False,
        show_welcome_message=False,
        tailwind=False,
        language="en-GB",
    )


def png(path: Path) -> bytes:
    """Convert an image of any format to a PNG of at most 1024 pixels. Raises `ImageError`."""
    image = read_image(path, longest=MAX_SIDE)
    image = fit(image, MAX_SIDE) if max(image.shape) > MAX_SIDE else image
    file = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Page:
    """The page in one browser. It has a screen of the queue while it is connected."""

    def __init__(self, queue: Queue, who: str, credit: str, pages: list[Page]) -> None:
        client = ui.context.client
        self.queue, self.credit, self.pages, self.client = queue, credit, pages, client
        self.who = clean(client.request.query_params.get("who")) or who
        self.screen: Screen | None = None

    def build(self) -> None:
        """Create the elements; `draw` fills them."""
        ui.add_css(HERE / "page.css")
        ui.add_body_html(f"{_read('page.html')}<script>{_read('page.js')}</script>")
        self.sheet = tag("div", classes="sheet waiting")
        with self.sheet:
            with tag("header"):
                tag("h1", f"{TITLES[self.queue.annotations.task]} of this face?")
                with tag("div", classes="meter", role="progressbar", aria_label="labelled faces") as self.meter:
                    tag("div")
                self.me, self.name = tool("n", "n", "", data_show="name")
                tool("?", "?", "Keys", data_show="keys")
                with tag("div", classes="figures"):
                    self.done, self.agreed = tag("span"), tag("span")
            with tag("div", classes="work"):
                with tag("div", classes="image"):
                    self.face = tag("img", classes="face")
                    self.caption = tag("p", classes="caption")
                with tag("div", classes="labels", role="group", aria_label="labels"):
                    self.labels = [LabelButton(k, name) for k, name in enumerate(self.queue.annotations.classes, 1)]
                    with tag("div", classes="tools"):
                        for key, cap, name in TOOLS:
                            tool(key, cap, name, data_press=key)
                    self.message = tag("p", classes="message", role="status")
            with tag("footer"):
                tag("p", self.credit and f"Faces: {self.credit}", classes="credit")
        ui.on("press", self.press)
        self.client.on_connect(self.join)
        self.client.on_disconnect(self.leave)

    def join(self) -> None:
        """Show a face to a browser that has connected."""
        if self.screen is None:
            self.screen = self.queue.join(self.who)
            self.pages.append(self)
            self.sheet.classes(remove="waiting")
            self.draw()

    def leave(self) -> None:
        """Release the face of a browser that has disconnected."""
        if self.screen is not None and not self.client.has_socket_connection:
            self.queue.leave(self.screen)
            self.pages.remove(self)
            self.screen = None
            for page in self.pages:
                page.draw()

    def press(self, event: GenericEventArguments) -> None:
        """Handle a key or a button, which comes with the place of the face on the screen; others are ignored."""
        key, place, seen = event.args
        if self.screen is None or (key in (*ANSWERS, "s") and place != str(self.screen.place)):
            return
        face = self.queue.face(self.screen)
        try:
            if key in ANSWERS and not seen:
                raise InputError("The image is not loaded yet; skip it if it does not load.")
            text = self._do(self.screen, key, face.name if face else "")
        except InputError as error:
            text = str(error)
            self.message.classes(add="wrong")
        else:
            self.message.classes(remove="wrong")
        self.message.text = text
        for page in self.pages:
            page.draw()

    def _do(self, screen: Screen, key: str, name: str) -> str:
        classes = self.queue.annotations.classes
        match key:
            case "Enter":
                self.queue.confirm(screen)
            case "s":
                self.queue.skip(screen)
                return f"Skipped: {name}."
            case "u":
                undone = self.queue.undo(screen)
                if undone is None:
                    return "Nothing to undo."
                return f"Undone: {undone.image} was {undone.label or 'skipped'}."
            case "ArrowLeft" | "ArrowRight":
                self.queue.move(screen, -1 if key == "ArrowLeft" else 1)
                return ""
            case _ if key in map(str, range(1, len(classes) + 1)):
                self.queue.label(screen, int(key) - 1)
            case _:
                return ""
        state = self.queue.annotations.state(name)
        return f"Saved: {name} is {state.label if state else 'open'}."

    def draw(self) -> None:
        """Show the current state."""
        assert self.screen is not None
        annotations, face = self.queue.annotations, self.queue.face(self.screen)
        progress, (agreed, mine) = self.queue.progress(), annotations.agreement(self.who)
        self.meter.style(f"--part: {progress.labelled / progress.total:.4f}")
        self.meter.props.update({"aria-valuenow": str(progress.labelled), "aria-valuemax": str(progress.total)})
        skipped = f", {progress.skipped:,} skipped" if progress.skipped else ""
        self.done.text = f"{progress.labelled:,} of {progress.total:,} labelled{skipped}"
        self.agreed.text = (
            f"You agree with the classifier in {agreed / mine:.0%} ({agreed:,} of {mine:,})" if mine else ""
        )
        self.name.text = self.who
        self.me.props["aria-label"] = f"You are {self.who}; change your name"

        switch(self.face, "hidden", face is None)
        if face is None:
            self.caption.classes(add="over")
            self.caption.text = (
                f"All {progress.total:,} faces are labelled; see {annotations.table}. Close the window, or go back with ←."
                if progress.labelled == progress.total
                else "The remaining faces are on other screens; one that is released will appear here."
            )
        else:
            state = annotations.state(face.name)
            self.caption.classes(remove="over")
            self.caption.text = face.name
            if state is not None:
                self.caption.text += f" · {state.label or 'skipped'} by {state.who}"
            place = str(self.screen.place)
            source = f"/face/{place}?{quote(face.name)}"
            self.face.props.update({"src": source, "data-place": place, "alt": f"The face {face.name}"})
        for label in self.labels:
            label.draw(face, None if face is None else annotations.state(face.name))


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
