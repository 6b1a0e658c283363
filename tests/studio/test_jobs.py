"""One job at a time, live frames, stopping, and places in the queue."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event

import pytest

from renderer.errors import InputError
from studio.document import Document
from studio.jobs import Job, JobQueue
from tests.studio.conftest import QUICK


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    queue = JobQueue()
    yield queue
    queue.close()


def held(queue: JobQueue, document: Document, **options: str) -> tuple[Job, Callable[[], None]]:
    """A job that runs until it is released."""
    release, begun = Event(), Event()

    def work(_: Job) -> int:
        begun.set()
        release.wait(10)
        return 7

    job = queue.submit("held", document, work, **options)
    return job, release.set


def test_jobs_run_one_after_another_in_order(queue: JobQueue, document: Document) -> None:
    first, release = held(queue, document)
    others = [queue.submit(f"{i}", document, lambda job: job.title) for i in range(2)]
    assert [queue.position(job) for job in others] in ([1, 2], [2, 3])
    queue.stop(others[0])
    assert others[0].state == "stopped"
    release()
    assert others[1].wait(5)
    assert (first.state, first.result, others[1].result) == ("finished", 7, "1")
    assert queue.position(first) == -1
    assert queue.jobs() == []


def test_painting_shows_frames_and_ends_whole(queue: JobQueue, document: Document) -> None:
    job = queue.paint("Paint", document, document.paint, size=64)
    last, counts = -1, []
    while not job.ended:
        frame = job.frame(last)
        if frame is not None and frame.image is not None:
            last = frame.number
            counts.append(frame.strokes)
        time.sleep(0.005)
    assert job.state == "finished", job.error
    assert counts == sorted(counts)
    final = job.frame()
    assert final is not None
    assert final.strokes == document.count == 6
    assert final.progress == 1


def test_stopping_keeps_what_is_there(queue: JobQueue, document: Document) -> None:
    settings = replace(QUICK, method="optimize", steps=20_000)
    job = queue.paint("Paint", document, lambda: document.paint(settings), settings=settings)
    while job.steps < 2:
        time.sleep(0.005)
    queue.stop(job)
    assert job.wait(5)
    assert job.state == "stopped"
    assert document.count > 0
    assert document.unfinished
    assert not document.busy


def test_a_failed_job_says_why_and_the_next_one_runs(
    queue: JobQueue, document: Document, caplog: pytest.LogCaptureFixture
) -> None:
    job = queue.paint("Repaint", document, lambda: document.repaint(2))
    fault = queue.submit("fault", document, lambda _: 1 / 0)
    fine = queue.submit("fine", document, lambda _: None)
    assert fine.wait(5)
    assert (job.state, fault.state, fine.state) == ("failed", "failed", "finished")
    assert "no mask" in job.error
    assert fault.error == "ZeroDivisionError: division by zero"
    assert "fault failed" in caplog.text


def test_the_queue_is_bounded(queue: JobQueue, document: Document) -> None:
    _, release = held(queue, document, owner="ann")
    for _ in range(2):
        queue.submit("more", document, lambda _: None, owner="ann")
    with pytest.raises(InputError, match="3 of your jobs"):
        queue.submit("more", document, lambda _: None, owner="ann")
    queue.submit("more", document, lambda _: None, owner="bob")
    release()
