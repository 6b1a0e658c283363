"""Download many files over HTTP from servers that fail, stall, truncate and recover. Independent of the data set."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.exceptions import ChunkedEncodingError, ConnectionError, ContentDecodingError, HTTPError, Timeout
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from kaokore.errors import DatasetError
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.read import read_bytes

CONNECTIONS = 4
"""Connections at once. The publishers are libraries, so this is deliberately low and not an option."""

MAX_FAILURES = 8
"""A server that failed for this many files in a row, each with all its retries, is not asked again in this run."""

TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
MAX_WAIT = 120.0  # seconds; after a `Retry-After` of hours, the user runs the command again


@dataclass(frozen=True)
class RetryPolicy:
    """When to try a file again.

    Attributes:
        retries: Attempts after the first one.
        backoff: Seconds. The first retry is immediate, the next ones wait 2, 4, 8, ... times as long.
        timeout: Seconds without a byte after which an attempt has failed.
    """

    retries: int = 5
    backoff: float = 1.0
    timeout: float = 30.0


@dataclass(frozen=True)
class DownloadReport:
    """The result for every requested file. `failed` gives the reason by name; another run tries only those."""

    got: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{len(self.got):,} got, {len(self.there):,} already there, {len(self.failed):,} failed"


class UnusableError(Exception):
    """The content that a server sent is unusable; the message is the reason."""


Check = Callable[[bytes], None]
"""Raises `UnusableError` for content that must not be kept."""


def download(
    urls: Mapping[str, str], folder: Path, check: Check, *, retry: RetryPolicy, progress: bool = False
) -> DownloadReport:
    """Download files into a folder, at most `CONNECTIONS` at once.

    A file that is there and passes `check` is not downloaded again. Files appear under their names only when complete, so
    a run can be stopped at any time and repeated. A file that cannot be downloaded is in the report and is no error.

    Args:
        urls: The URL of each file by its name.
        folder: Where to write the files.
        check: Raises `UnusableError` for content that must not be kept.
        retry: When to try a file again.
        progress: Show a progress bar on stderr.

    Raises:
        DatasetError: The folder cannot be written.
    """
    got: list[str] = []
    there: list[str] = []
    failed: dict[str, str] = {}
    failures: Counter[str] = Counter()  # by server, since its last success
    stop = threading.Event()

    def one(name: str, url: str) -> bool:
        """Download a file; return whether that was necessary."""
        path, host = folder / name, urlsplit(url).netloc
        if passes(path, check):
            return False
        if failures[host] >= MAX_FAILURES:
            raise UnusableError(f"{host} failed {MAX_FAILURES} times in a row and is not asked again")
        try:
            _write(path, _get(session, url, check, retry, stop))
        except MaxRetryError:
            failures[host] += 1
            raise
        failures[host] = 0
        return True

    with (
        requests.Session() as session,
        tqdm(total=len(urls), unit="file", disable=not progress) as bar,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        session.headers["User-Agent"] = "kaokore-painter (research; python-requests)"
        try:
            jobs = {pool.submit(one, name, url): name for name, url in urls.items()}
            for job in as_completed(jobs):
                name = jobs[job]
                try:
                    (got if job.result() else there).append(name)
                except (requests.RequestException, MaxRetryError, UnusableError) as error:
                    failed[name] = _reason(error, retry.timeout)
                bar.update()
        except BaseException:  # Ctrl-C or a full disk: cancel the waiting files and finish the running ones
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return DownloadReport(tuple(sorted(got)), tuple(sorted(there)), dict(sorted(failed.items())))


def passes(path: Path, check: Check) -> bool:
    """Tell whether there is a file at `path` that passes `check`."""
    try:
        check(read_bytes(path))
    except (OSError, ValueError, UnusableError):
        return False
    return True


def _get(session: requests.Session, url: str, check: Check, policy: RetryPolicy, stop: threading.Event) -> bytes:
    # The adapter's own retries end at the headers. Bodies break off and stall too, so the loop is here; `Retry` computes
    # the waits.
    retry = Retry(policy.retries, backoff_factor=policy.backoff, backoff_jitter=policy.backoff)
    while True:
        wait = None
        try:
            with session.get(url, timeout=policy.timeout) as response:
                response.raise_for_status()
                check(response.content)
                return response.content
        except HTTPError as error:
            if error.response.status_code not in TRANSIENT_STATUS:
                raise
            problem: Exception = error
            wait = retry.get_retry_after(error.response.raw)
        except (ConnectionError, Timeout, ChunkedEncodingError, ContentDecodingError, UnusableError) as error:
            problem = error
        retry = retry.increment("GET", url, error=problem)  # MaxRetryError when there are none left
        if stop.wait(min(wait or retry.get_backoff_time(), MAX_WAIT)):
            raise problem


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    except InputError as error:
        raise DatasetError(str(error)) from error


def _reason(error: Exception, timeout: float) -> str:
    """The reason of a failure in a few words, because a report may list thousands."""
    if isinstance(error, MaxRetryError) and error.reason is not None:
        error = error.reason
    match error:
        case HTTPError():
            return f"HTTP {error.response.status_code}"
        case Timeout():
            return f"no answer within {timeout:g} s"
        case ChunkedEncodingError():
            return "the answer broke off"
        case ConnectionError() if "timed out" in str(error):  # the error of `requests` for a body that stalls
            return f"no answer within {timeout:g} s"
        case ConnectionError():
            return "no connection"
    return str(error)
