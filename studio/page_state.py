"""What all browser tabs of the studio share: documents and jobs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from painter.methods import Step
from renderer.errors import InputError
from studio.document import PICTURE, Document
from studio.jobs import Job, JobQueue
from studio.page_faces import Faces
from studio.presets import Settings
from studio.workspace import Workspace


class Studio:
    """The studio of one process. Safe to use from several threads.

    Args:
        workspace: the documents.
        faces: pictures to begin with.
        queue: runs what takes long.
    """

    def __init__(self, workspace: Workspace, faces: Faces, queue: JobQueue) -> None:
        self.workspace, self.faces, self.queue = workspace, faces, queue
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._owners = itertools.count(1)

    def new_owner(self) -> str:
        """A name for a browser tab, as the owner of its jobs."""
        return f"tab-{next(self._owners)}"

    def version(self, document: Document) -> str:
        """Of a document; images of one version do not change, so that browsers keep them, also over restarts."""
        # The picture's time tells documents of one name apart.
        made = (document.folder / PICTURE).stat().st_mtime_ns
        with document.locked():
            return f"{document.history.edits[document.history.position].number}-{made:x}"

    def facts(self, document: Document) -> dict[str, Any]:
        """What a page shows beside the canvas, with the version and the settings."""
        with document.locked():
            return {**document.facts(), "version": self.version(document), "settings": vars(document.settings)}

    def job(self, document: Document) -> Job | None:
        """The latest painting job of a document."""
        return self._jobs.get(document.name)

    def paint(
        self,
        title: str,
        document: Document,
        steps: Callable[[], Iterator[Step]],
        owner: str,
        settings: Settings | None = None,
    ) -> Job:
        """Let a document be painted. Raises `InputError` while it is, or waits for it."""
        with self._lock:
            job = self._jobs.get(document.name)
            if job is not None and not job.ended:
                raise InputError("This painting is in work already: stop that first.")
            job = self.queue.paint(title, document, steps, owner=owner, settings=settings)
            self._jobs[document.name] = job
            return job

    def close(self) -> None:
        """Stop all work, keep what was painted, and close the documents."""
        self.queue.close()
        self.workspace.close()
