"""Protection of a local web page: who may request it, and response headers that isolate it.

A page on this machine has no password, so it must be reachable from this machine's own browser and from no other web
site. Three kinds of requests are refused: those from other machines (`check_loopback`), those of DNS rebinding, where a
foreign name resolves to 127.0.0.1 (the Host header), and those of a foreign site to localhost (the Origin header).

    port = free_port(host, port)
    app.add_middleware(PageSecurity, policy=STRICT_POLICY)

Pure ASGI, without dependencies, so that any page of the project can use it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from renderer.errors import InputError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

STRICT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Everything comes from the page's own server, and scripts and styles only from its files."""
NICEGUI_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Everything comes from the page's own server. NiceGUI needs inline scripts and eval."""
POLICY_VIOLATION = 1008  # close code of a websocket (RFC 6455, section 7.4.1)
_HOST = re.compile(r"(localhost|[0-9.]+|\[[0-9a-f:.]+\])(:[0-9]+)?", re.IGNORECASE)


class PageSecurity:
    """ASGI middleware that refuses requests of other machines and other sites with 403, before the application sees them.

    There must be one Host header, which names this machine. Origin, where there is one, must be the page's own, and a
    websocket must have one. All responses get `isolation(policy)`.
    """

    def __init__(self, app: App, policy: str = STRICT_POLICY) -> None:
        self.app, self.headers = app, isolation(policy)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):  # the start and the end of the server
            await self.app(scope, receive, send)
            return
        reason = refusal(scope)
        if scope["type"] == "websocket" and reason is not None:
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message.get("headers", []) if pair[0].decode().lower() not in self.headers]
                message["headers"] = kept + [(name.encode(), value.encode()) for name, value in self.headers.items()]
            await send(message)

        if reason is None:
            await self.app(scope, receive, send_with_headers)
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send_with_headers({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": reason.encode()})


def isolation(policy: str) -> dict[str, str]:
    """Headers that isolate a page from other sites, with its content security policy."""
    return {
        "content-security-policy": policy,
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
    }


def refusal(scope: Message) -> str | None:
    """Return why a request is refused, or None."""
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    hosts = [value for name, value in headers if name == "host"]
    origins = [value for name, value in headers if name == "origin"]
    if len(hosts) != 1 or not names_this_machine(hosts[0]):
        return "This page is served to this machine only; the Host header names another one."
    if any(origin.lower() != f"http://{hosts[0]}".lower() for origin in origins):
        return "This page refuses requests of other sites."
    if scope["type"] == "websocket" and not origins:
        return "A websocket needs the Origin header of this page."
    return None


def names_this_machine(host: str) -> bool:
    """Tell whether a Host header, with or without a port, is localhost or a loopback address.

    >>> [names_this_machine(host) for host in ("localhost:8080", "127.0.0.1", "[::1]:80", "evil.example", "10.0.0.1")]
    [True, True, True, False, False]
    """
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback(match[1].strip("[]"))


def is_loopback(name: str) -> bool:
    """Tell whether a name is localhost or a loopback address."""
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_loopback(host: str) -> None:
    """Raise `InputError` unless `host`, the address to serve at, is localhost or a loopback address."""
    if not is_loopback(host):
        raise InputError(
            f"--host must be an address of this machine alone, such as 127.0.0.1, not {host}: the page has no password. "
            "From another machine, open it through `ssh -L 8080:127.0.0.1:8080 THIS_MACHINE`."
        )


def free_port(host: str, port: int) -> int:
    """Return the port to serve at: `port`, or any free one for 0.

    Raises:
        InputError: `host` is not an address of this machine alone, or the port cannot be used.
    """
    check_loopback(host)
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, port))
            return int(one.getsockname()[1])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot serve at {host}:{port} ({reason}); choose another --port or --host.") from error
