"""Paint on a web page: watch the strokes appear, take the brush yourself, edit, compare and export.

Examples:

    python -m experiments.studio
    python -m experiments.studio --out paintings/studio --root data/kaokore --port 8080 --no-browser
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from dataclasses import dataclass

from experiments.cli import require, run
from renderer.errors import InputError


@dataclass(frozen=True)
class Options:
    """Options of the studio."""

    out: str = "paintings/studio"
    """Folder of all documents and exports; nothing is written outside of it."""
    root: str | None = None
    """KaoKore's folder, to paint its faces; else KAOKORE_ROOT, else data/kaokore, where there is one."""
    agent: str = "agent"
    """The agent's checkpoint."""
    host: str = "127.0.0.1"
    """Address of the page. It has no password, so only addresses of this machine are accepted."""
    port: int = 8080
    """Of the page; 0 takes any free one."""
    browser: bool = True
    """Open the page in your browser."""
    device: str = "auto"


def studio(options: Options) -> None:
    """Serve the page until it is stopped. Raises `InputError`."""
    require(options, port=0)
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "websockets")):
        raise InputError("The page needs Starlette and uvicorn: install them with `pip install -e '.[studio]'`.")
    from kaokore.page_security import free_port
    from studio.jobs import JobQueue
    from studio.page_faces import Faces
    from studio.page_server import serve
    from studio.page_state import Studio
    from studio.painters import Painters
    from studio.presets import Settings
    from studio.workspace import Workspace

    port = free_port(options.host, options.port)
    painters = Painters(options.agent, options.device)
    painters.get(Settings())  # a wrong agent is found now
    state = Studio(Workspace(options.out, painters), Faces(options.root), JobQueue())
    threading.Thread(target=painters.preload, name="studio-preload", daemon=True).start()
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"Paint at http://{host}:{port} (Ctrl-C ends). Paintings go to {options.out}.", flush=True)
    serve(state, host=options.host, port=port, show=options.browser)


if __name__ == "__main__":
    sys.argv[0] = "studio"
    run(studio, Options, __doc__)
