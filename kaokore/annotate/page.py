"""The page: a thin face of the queue, by NiceGUI (https://nicegui.io). All it loads comes from this machine."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path
from urllib.parse import quote

from fastapi import Response
from nicegui import app, ui
from nicegui.events import GenericEventArguments
from PIL import Image

from kaokore.annotate.queue import Queue, Seat
from kaokore.annotate.widgets import LabelButton, switch, tag, tool
from renderer.errors import InputError
from renderer.io.images import fit, read_image, to_bytes

HERE = Path(__file__).parent
LONGEST = 1024  # pixels of a picture's long side as it is shown
TITLES = {"gender": "Gender", "status": "Social status"}
ANSWERS = ("Enter", *"123456789")
TOOLS = (("ArrowLeft", "←", "Back"), ("ArrowRight", "→", "Forward"), ("s", "s", "Skip"), ("u", "u", "Undo"))


def clean(name: str | None) -> str:
    """A name as it may stand in a table: printable text of up to 60 characters, perhaps none."""
    text = " ".join((name or "").encode("utf-8", "replace").decode().split())
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")[:60].strip()


def serve(queue: Queue, who: str, credit: str, host: str, port: int, show: bool) -> None:
    """Shows the queue at http://HOST:PORT/ until the process is stopped; `who` is who comes without a name."""
    pages: list[Page] = []

    async def face(place: int) -> Response:
        try:
            # Never from a cache: after a restart in another order, another face may have this address.
            return Response(png(queue.faces[place].path), media_type="image/png", headers={"Cache-Control": "no-store"})
        except (IndexError, InputError) as error:
            return Response(str(error), 404, media_type="text/plain")

    app.add_api_route("/face/{place}", face)
    ui.run(
        lambda: Page(queue, who, credit, pages).build(),
        host=host,
        port=port,
        title=f"{TITLES[queue.record.task]} of faces",
        show=show,
        reload=False,
        show_welcome_message=False,
        tailwind=False,
        language="en-GB",
    )


def png(path: Path) -> bytes:
    """A picture as browsers show it, whatever its format, of at most 1024 pixels. Raises `ImageError`."""
    picture = read_image(path, longest=LONGEST)
    picture = fit(picture, LONGEST) if max(picture.shape) > LONGEST else picture
    file = io.BytesIO()
    Image.fromarray(to_bytes(picture)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Page:
    """One browser's view. It has a seat while it is connected, so a face goes back as soon as a window is closed."""

    def __init__(self, queue: Queue, who: str, credit: str, pages: list[Page]) -> None:
        client = ui.context.client
        self.queue, self.credit, self.pages, self.client = queue, credit, pages, client
        self.who = clean(client.request.query_params.get("who")) or who
        self.seat: Seat | None = None

    def build(self) -> None:
        """Lays the page out; what is on it comes with `draw`."""
        ui.add_css(HERE / "page.css")
        ui.add_body_html(f"{_read('page.html')}<script>{_read('page.js')}</script>")
        self.sheet = tag("div", classes="sheet waiting")
        with self.sheet:
            with tag("header"):
                tag("h1", f"{TITLES[self.queue.record.task]} of this face?")
                with tag("div", classes="meter", role="progressbar", aria_label="labelled faces") as self.meter:
                    tag("div")
                self.me, self.name = tool("n", "n", "", data_show="name")
                tool("?", "?", "Keys", data_show="keys")
                with tag("div", classes="figures"):
                    self.done, self.agreed = tag("span"), tag("span")
            with tag("div", classes="work"):
                with tag("div", classes="picture"):
                    self.face = tag("img", classes="face")
                    self.caption = tag("p", classes="caption")
                with tag("div", classes="labels", role="group", aria_label="labels"):
                    self.labels = [LabelButton(k, name) for k, name in enumerate(self.queue.record.classes, 1)]
                    with tag("div", classes="tools"):
                        for key, cap, name in TOOLS:
                            tool(key, cap, name, data_press=key)
                    self.said = tag("p", classes="said", role="status")
            with tag("footer"):
                tag("p", self.credit and f"Faces: {self.credit}", classes="credit")
        ui.on("press", self.press)
        self.client.on_connect(self.join)
        self.client.on_disconnect(self.leave)

    def join(self) -> None:
        """The browser is there: it gets a face."""
        if self.seat is None:
            self.seat = self.queue.sit(self.who)
            self.pages.append(self)
            self.sheet.classes(remove="waiting")
            self.draw()

    def leave(self) -> None:
        """The browser is gone, or has lost its connection: its face is free."""
        if self.seat is not None and not self.client.has_socket_connection:
            self.queue.leave(self.seat)
            self.pages.remove(self)
            self.seat = None
            for page in self.pages:
                page.draw()

    def press(self, event: GenericEventArguments) -> None:
        """A key or a button, with the place of the face on the screen. What was meant for another face is passed over."""
        key, place, seen = event.args
        if self.seat is None or (key in (*ANSWERS, "s") and place != str(self.seat.place)):
            return
        face = self.queue.face(self.seat)
        try:
            if key in ANSWERS and not seen:
                raise InputError("The picture is not there yet; if it does not come, skip it.")
            said = self._do(self.seat, key, face.name if face else "")
        except InputError as error:
            said = str(error)
            self.said.classes(add="wrong")
        else:
            self.said.classes(remove="wrong")
        self.said.text = said
        for page in self.pages:
            page.draw()

    def _do(self, seat: Seat, key: str, name: str) -> str:
        classes = self.queue.record.classes
        match key:
            case "Enter":
                self.queue.confirm(seat)
            case "s":
                self.queue.skip(seat)
                return f"{name} is skipped."
            case "u":
                undone = self.queue.undo(seat)
                if undone is None:
                    return "There is nothing of yours to undo."
                return f"Undone: {undone.image} was {undone.label or 'skipped'}."
            case "ArrowLeft" | "ArrowRight":
                self.queue.move(seat, -1 if key == "ArrowLeft" else 1)
                return ""
            case _ if key in map(str, range(1, len(classes) + 1)):
                self.queue.answer(seat, int(key) - 1)
            case _:
                return ""
        state = self.queue.record.state(name)
        return f"Saved: {name} is {state.label if state else 'open'}."

    def draw(self) -> None:
        """Shows what is."""
        assert self.seat is not None
        record, face = self.queue.record, self.queue.face(self.seat)
        progress, (agreed, mine) = self.queue.progress(), record.agreement(self.who)
        self.meter.style(f"--part: {progress.labelled / progress.total:.4f}")
        self.meter.props.update({"aria-valuenow": str(progress.labelled), "aria-valuemax": str(progress.total)})
        skipped = f", {progress.skipped:,} skipped" if progress.skipped else ""
        self.done.text = f"{progress.labelled:,} of {progress.total:,} labelled{skipped}"
        self.agreed.text = f"You agree with the model in {agreed / mine:.0%} ({agreed:,} of {mine:,})" if mine else ""
        self.name.text = self.who
        self.me.props["aria-label"] = f"You are {self.who}; change your name"

        switch(self.face, "hidden", face is None)
        if face is None:
            self.caption.classes(add="over")
            self.caption.text = (
                f"All {progress.total:,} faces are labelled: {record.table} has them. Close the window, or go back with ←."
                if progress.labelled == progress.total
                else "The faces that are left are on other screens; one that comes free will appear here."
            )
        else:
            state = record.state(face.name)
            self.caption.classes(remove="over")
            self.caption.text = face.name
            if state is not None:
                self.caption.text += f" · {state.label or 'skipped'} by {state.who}"
            place = str(self.seat.place)
            source = f"/face/{place}?{quote(face.name)}"
            self.face.props.update({"src": source, "data-place": place, "alt": f"The face {face.name}"})
        for label in self.labels:
            label.draw(face, None if face is None else record.state(face.name))


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
