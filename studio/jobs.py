"""One heavy job at a time for the whole process; the others have a place in the queue."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

from painter.methods import Step
from renderer.errors import InputError
from studio.document import VIEW_SIZE, Document
from studio.live import Frame, LiveView
from studio.presets import Settings

MOST_WAITING = 16
MOST_OF_ONE = 3  # waiting or running jobs of one owner

JobState = Literal["waiting", "running", "finished", "stopped", "failed"]

_log = logging.getLogger(__name__)


class Job:
    """A heavy job.

    Attributes:
        number: of the job.
        title: what a page calls it.
        owner: who asked for it, such as a browser tab.
        document: what it works on.
        state: waiting, running, finished, stopped or failed.
        progress: in [0, 1].
        error: of a failed job, in one line.
        result: of a finished one.
        live: the view of a painting in the making; None of other jobs, and before it begins.
    """

    def __init__(self, number: int, title: str, owner: str, document: Document, work: Callable[[Job], Any]) -> None:
        self.number, self.title, self.owner, self.document = number, title, owner, document
        self.state: JobState = "waiting"
        self.progress = 0.0
        self.error = ""
        self.result: Any = None
        self.live: LiveView | None = None
        self.steps = 0
        self._work = work
        self._stop = threading.Event()
        self._ended = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether the job should end soon."""
        return self._stop.is_set()

    @property
    def ended(self) -> bool:
        """Whether it is finished, stopped or failed."""
        return self._ended.is_set()

    def stop(self) -> None:
        """End the job soon; what a painting has by then is kept. A waiting job does not begin."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; False when that took longer than `seconds`."""
        return self._ended.wait(seconds)

    def frame(self, after: int = -1) -> Frame | None:
        """What to show; None before painting begins. See `LiveView.frame`. It draws: call it outside of an event loop."""
        live = self.live
        return None if live is None else live.frame(after, whole=self.ended)

    def _run(self) -> None:
        if self.stopping:
            self.state = "stopped"
        else:
            self.state = "running"
            try:
                self.result = self._work(self)
                self.state = "stopped" if self.stopping and self.progress < 1 else "finished"
            except InputError as error:
                self.state, self.error = "failed", str(error)
            except Exception as error:
                _log.exception("The job %s failed", self.title)
                self.state, self.error = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
        self._ended.set()


class JobQueue:
    """Runs jobs one after another in a thread of its own.

    Painting in a thread leaves an event loop responsive, because PyTorch's kernels release Python's global lock.
    """

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="studio-jobs", daemon=True)
        self._thread.start()

    def paint(
        self,
        title: str,
        document: Document,
        steps: Callable[[], Iterator[Step]],
        *,
        owner: str = "",
        settings: Settings | None = None,
        size: int = VIEW_SIZE,
    ) -> Job:
        """Let a document be painted.

        Args:
            title: what a page calls the job.
            document: to paint.
            steps: returns the generator that paints, such as `lambda: document.more(100)`; called when the job begins.
            owner: who asks for it.
            settings: those that `Document.paint` gets; None where the painting that is shown goes on.
            size: pixels on the long side of live frames; smaller where drawing is slow.

        Raises:
            InputError: when too many jobs are waiting.
        """

        def work(job: Job) -> int:
            views = [document.view(side, settings) for side in (size, size // 2, size // 4)]
            job.live = LiveView(views, document.shown().strokes if settings is None else None)
            painting = steps()
            try:
                for step in painting:
                    job.live.step(step.strokes, step.progress)
                    job.progress, job.steps = step.progress, job.steps + 1
                    if job.stopping:
                        break
            finally:
                painting.close()  # type: ignore[attr-defined]  # which keeps what is there
            return document.count

        return self.submit(title, document, work, owner=owner)

    def submit(self, title: str, document: Document, work: Callable[[Job], Any], *, owner: str = "") -> Job:
        """Let `work(job)` be done, such as an export; it should set `job.progress` and end when `job.stopping`.

        Raises `InputError` when too many jobs are waiting.
        """
        with self._changed:
            if self._closed:
                raise InputError("The studio is closing.")
            present = [*self._waiting, *([self._running] if self._running else [])]
            if len(self._waiting) >= MOST_WAITING:
                raise InputError(f"{len(self._waiting)} jobs are waiting already; try again later.")
            if sum(job.owner == owner for job in present) >= MOST_OF_ONE:
                raise InputError(f"{MOST_OF_ONE} of your jobs are waiting already; stop one of them first.")
            job = Job(next(self._numbers), title, owner, document, work)
            self._waiting.append(job)
            self._changed.notify_all()
            return job

    def position(self, job: Job) -> int:
        """The place in the queue: 0 for the running job, 1 for the next one; -1 of a job that has ended."""
        with self._changed:
            if job is self._running:
                return 0
            return 1 + self._waiting.index(job) if job in self._waiting else -1

    def jobs(self) -> list[Job]:
        """The running and the waiting jobs, in their order."""
        with self._changed:
            return [*([self._running] if self._running else []), *self._waiting]

    def stop(self, job: Job) -> None:
        """Stop a job; a waiting one leaves the queue at once."""
        job.stop()
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                job._run()  # which ends at once

    def close(self, seconds: float = 10.0) -> None:
        """Stop all jobs and wait until what was painted is kept, at most so many seconds."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.stop()
            if self._running is not None:
                self._running.stop()
            self._changed.notify_all()
        self._thread.join(seconds)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                self._running = self._waiting.popleft()
            self._running._run()
            with self._changed:
                self._running = None
