"""The studio's page on this machine: a small application on Starlette, with one websocket for each browser tab.

It is not made with NiceGUI, unlike the annotation page: NiceGUI needs inline scripts and eval, and sends every element from
the server. Here, the policy permits the page's own files only, and live frames go to a canvas without a detour.

    GET  /                              the page, and its files under /static/
    GET  /document/NAME/VIEW            an image of a document: picture, painting, error, outlines, mask
    GET  /document/NAME/export/FILE     a file that was exported
    GET  /face/NUMBER, /sample/SEED     a face to begin with
    POST /upload?name=NAME              a picture, a session or a painting; answers with the document's name
    WS   /live                          commands (`page_commands`) as JSON, and frames of the painting in the making
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kaokore.page_security import PageSecurity, check_loopback
from renderer.errors import InputError
from studio.document import LARGEST_VIEW, Document
from studio.exports import FOLDER
from studio.jobs import Job
from studio.page_commands import Commands
from studio.page_state import Studio
from studio.workspace import MAX_UPLOAD

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FRAMES = 24  # a second, at most
MAX_MESSAGE = 4 * 2**20  # bytes from a browser
VIEWS = ("picture", "painting", "error", "outlines", "mask")
LOOKS = 0.1  # seconds between looks at new jobs, exports, and what other tabs have changed

_log = logging.getLogger(__name__)


def make_app(studio: Studio) -> Starlette:
    """The application; `studio` is closed when it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(studio.close)

    async def index(_: Request) -> Response:
        return _static("studio.html")

    async def static(request: Request) -> Response:
        return _static(request.path_params["name"])

    async def view(request: Request) -> Response:
        return await _answer(lambda: _view(studio, request))

    async def exported(request: Request) -> Response:
        return await _answer(lambda: _exported(studio, request))

    async def face(request: Request) -> Response:
        return await _answer(lambda: _image(studio.faces.thumbnail(request.path_params["number"]), "jpeg"))

    async def sample(request: Request) -> Response:
        return await _answer(lambda: _image(studio.faces.sample_image(request.path_params["seed"] % 2**32), "jpeg"))

    async def upload(request: Request) -> Response:
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > MAX_UPLOAD:
                return JSONResponse({"error": f"The file has over {MAX_UPLOAD // 2**20} MiB; reduce it first."}, 413)
        name = request.query_params.get("name", "picture")[:200]

        def receive() -> Response:
            return JSONResponse({"name": studio.workspace.upload(name, bytes(data)).name})

        return await _answer(receive)

    async def live(socket: WebSocket) -> None:
        await _Tab(studio, socket).serve()

    async def not_found(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        text = "There is no such page." if error.status_code == 404 else str(error.detail)
        return Response(text, error.status_code, media_type="text/plain", headers=error.headers)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name}", static),
            Route("/document/{name}/export/{file}", exported),
            Route("/document/{name}/{view}", view),
            Route("/face/{number:int}", face),
            Route("/sample/{seed:int}", sample),
            Route("/upload", upload, methods=["POST"]),
            WebSocketRoute("/live", live),
        ],
        middleware=[Middleware(PageSecurity)],
        exception_handlers={HTTPException: not_found},
        lifespan=lifespan,
    )


def serve(studio: Studio, *, host: str, port: int, show: bool) -> None:
    """Serve the page at http://HOST:PORT/ until the process is stopped.

    Args:
        studio: closed at the end.
        host: address to serve at.
        port: port to serve at.
        show: open the page in the default browser.

    Raises:
        InputError: The host is not an address of this machine alone.
    """
    check_loopback(host)
    config = uvicorn.Config(
        make_app(studio),
        host=host,
        port=port,
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        timeout_graceful_shutdown=1,  # open tabs keep a websocket
        server_header=False,
    )
    server = uvicorn.Server(config)
    if show:
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        threading.Timer(0.5, webbrowser.open, (address,)).start()
    server.run()


async def _answer(work: Callable[[], Response]) -> Response:
    """Do something outside of the event loop; an `InputError` is the answer 400 with its line."""
    try:
        return await run_in_threadpool(work)
    except InputError as error:
        return JSONResponse({"error": str(error)}, 400)


def _static(name: str) -> Response:
    if name not in {path.name for path in STATIC.iterdir()}:
        raise HTTPException(404)
    path = STATIC / name
    return Response(path.read_bytes(), media_type=TYPES[path.suffix], headers={"Cache-Control": "no-cache"})


def _image(data: bytes | None, kind: str, keep: bool = True) -> Response:
    """An image; browsers keep it if its address always means the same."""
    if data is None:
        return JSONResponse({"error": "There is no such image."}, 404)
    cached = "private, max-age=86400, immutable" if keep else "no-store"
    return Response(data, media_type=f"image/{kind}", headers={"Cache-Control": cached})


def _view(studio: Studio, request: Request) -> Response:
    view, query = request.path_params["view"], request.query_params
    if view not in VIEWS:
        raise HTTPException(404)
    document = studio.workspace.open(request.path_params["name"])
    count, size = _whole(query.get("count")), _whole(query.get("size") or "512") or 0
    if not 8 <= size <= LARGEST_VIEW:
        raise InputError(f"An image has 8 to {LARGEST_VIEW} pixels on the long side, not {size}.")
    keep = query.get("version") == studio.version(document)
    match view:
        case "picture":
            return _image(document.picture_image(size), "jpeg", keep)
        case "painting":
            return _image(document.image(count, size), "jpeg", keep)
        case "error":
            return _image(document.error_image(count, size), "png", keep)
        case "outlines":
            return _image(document.outlines_image(count, size), "png", keep)
        case _:
            return _image(document.mask_image(), "png", keep)


def _exported(studio: Studio, request: Request) -> Response:
    document, file = studio.workspace.open(request.path_params["name"]), request.path_params["file"]
    folder = document.folder / FOLDER
    if not folder.is_dir() or file not in {path.name for path in folder.iterdir()}:
        raise HTTPException(404)
    # Never shown inside the page's origin: an SVG or an HTML file could hold scripts.
    return FileResponse(folder / file, filename=file, media_type="application/octet-stream")


def _whole(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InputError(f"{text!r:.20} is not a whole number.")
    return int(text)


class _Tab:
    """The websocket of one browser tab."""

    def __init__(self, studio: Studio, socket: WebSocket) -> None:
        self.studio, self.socket, self.commands = studio, socket, Commands(studio)
        self._sent: tuple[str, str, bool] | None = None  # name, version and business of the document that the tab knows
        self._telling = asyncio.Lock()
        self._frame = (0, -1)  # the job whose frame is shown, and the number of the frame
        self._over = ("", 0)  # the document, and its last job whose end the tab knows or never saw begin
        self._state: dict[str, Any] = {}

    async def serve(self) -> None:
        """Answer commands until the tab is closed; meanwhile, send what changes."""
        await self.socket.accept()
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                await self._command(await self.socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):  # also for messages that are no text
            pass
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await watching

    async def _command(self, text: str) -> None:
        number: Any = None
        try:
            message = json.loads(text)
            if not isinstance(message, dict):
                raise InputError("A command is a JSON object.")
            number = message.pop("id", None)
            result = await run_in_threadpool(self.commands.do, message.pop("do", None), message)
        except (InputError, RecursionError, json.JSONDecodeError) as error:
            await self._send({"id": number, "error": str(error)})
        except Exception as error:  # a defect: the tab is told, and stays usable
            _log.exception("A command failed")
            await self._send({"id": number, "error": f"{type(error).__name__}: {error}".splitlines()[0]})
        else:
            await self._facts()
            await self._send({"id": number, "result": result})

    async def _send(self, message: dict[str, Any]) -> None:
        await self.socket.send_text(json.dumps(_finite(message)))

    async def _facts(self) -> None:
        """Send the facts of the document if they are others than those that were sent."""
        async with self._telling:  # so that the newest come last
            document = self.commands.document
            known = None if document is None else (document.name, self.studio.version(document), document.busy)
            if known != self._sent:
                self._sent = known
                await self._send({"event": "facts", "facts": await run_in_threadpool(self.commands.facts)})

    async def _watch(self) -> None:
        """Send frames and the state of jobs, `FRAMES` times a second while something is painted."""
        while True:
            begun = time.monotonic()
            document = self.commands.document
            job = None if document is None else self.studio.job(document)
            alive = job is not None and not job.ended
            if document is not None:
                if job is not None:
                    await self._live(document, job)
                elif self._over[0] != document.name:
                    self._over = document.name, 0
            await self._exports()
            await self._facts()
            pause = 1 / FRAMES - (time.monotonic() - begun) if alive else LOOKS
            await asyncio.sleep(max(0.005, pause))

    async def _live(self, document: Document, job: Job) -> None:
        ended = job.ended  # asked before the frame: the last frame is sent, too
        if self._over[0] != document.name:
            self._over = document.name, job.number if ended else 0
        if self._over[1] == job.number:
            return
        shown, after = self._frame
        if shown != job.number:
            self._frame, after = (job.number, -1), -1
        frame = await run_in_threadpool(job.frame, after)
        if frame is not None and frame.image is not None:
            self._frame = job.number, frame.number
            head = json.dumps({"strokes": frame.strokes, "progress": frame.progress, "seconds": frame.seconds}).encode()
            await self.socket.send_bytes(len(head).to_bytes(4, "big") + head + frame.image)
        state = {
            "event": "job",
            "number": job.number,
            "title": job.title,
            "state": job.state if ended or job.state == "waiting" else "running",  # its end is told once it is over
            "place": self.studio.queue.position(job),
            "progress": round(job.progress, 3),
            "error": job.error,
        }
        if ended:
            await self._facts()
            self._over = document.name, job.number
        if state != self._state:
            self._state = state
            await self._send(state)

    async def _exports(self) -> None:
        for job in list(self.commands.exports):
            done = job.ended
            state = {
                "event": "export",
                "number": job.number,
                "title": job.title,
                "state": job.state if done or job.state == "waiting" else "running",
                "place": self.studio.queue.position(job),
                "progress": round(job.progress, 2),
                "error": job.error,
            }
            if done and job.state == "finished":
                file = job.result.name
                state |= {"file": file, "url": f"/document/{quote(job.document.name)}/export/{quote(file)}"}
            if done:
                self.commands.exports.remove(job)
            await self._send(state)


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
