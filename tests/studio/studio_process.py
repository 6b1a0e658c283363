"""The studio as a process of its own, which can be killed and started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Server:
    """`python -m experiments.studio` on a free port."""

    def __init__(self, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.arguments = [*arguments, "--port", str(self.port), "--no-browser"]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self) -> None:
        """Start, and wait until the page answers."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "experiments.studio", *self.arguments],
            cwd=ROOT,
            env=environment | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(1200):
            assert self.process.poll() is None, self.process.communicate()[0]
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url):
                return
            time.sleep(0.1)
        raise AssertionError("the page does not come")

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.communicate()

    def interrupt(self) -> tuple[int, str]:
        """As Ctrl-C would; the exit code and what was printed."""
        self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=60)[0]
        return self.process.returncode, text
