"""Getting many files over HTTP from servers that fail, stall, truncate and recover; knows nothing of faces."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.exceptions import ChunkedEncodingError, ConnectionError, ContentDecodingError, HTTPError, Timeout
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from kaokore.errors import DatasetError

AT_ONCE = 4
"""Connections at once. The publishers are libraries: this is a courtesy to them, and not an option."""

GIVE_UP_AFTER = 8
"""A server that failed this many files in a row, each with all its retries, is left alone for the rest of the run."""

TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
LONGEST_WAIT = 120.0  # seconds; a `Retry-After` of hours is better met by running again


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    After the first failure a file is tried again at once, then after 2, 4, 8, ... times `backoff`.
    """

    retries: int = 5
    backoff: float = 1.0  # seconds
    timeout: float = 30.0  # seconds without a byte


@dataclass(frozen=True)
class DownloadReport:
    """What became of every file that was asked for. `failed` gives the reason by name; another run tries only those."""

    got: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{len(self.got):,} got, {len(self.there):,} already there, {len(self.failed):,} failed"


class UnusableError(Exception):
    """What a server sent is not what was asked for; the message says why."""


Check = Callable[[bytes], None]
"""Raises `UnusableError` for content that must not be kept."""


def download(
    urls: Mapping[str, str], folder: Path, check: Check, patience: Patience, progress: bool = False
) -> DownloadReport:
    """Puts the file at each URL into `folder` under its name, at most `AT_ONCE` at once.

    A file that is there and passes `check` is not fetched again. Files appear under their names only when whole, so a
    run may be stopped at any time and run again. `progress` draws a bar on the standard error stream. A file that
    cannot be had is in the report and is no error. Raises `DatasetError` when the folder cannot be written.
    """
    got: list[str] = []
    there: list[str] = []
    failed: dict[str, str] = {}
    failures: Counter[str] = Counter()  # by server, since its last success
    stop = threading.Event()

    def one(name: str, url: str) -> bool:
        """Whether the file had to be fetched."""
        path, host = folder / name, urlsplit(url).netloc
        if passes(path, check):
            return False
        if failures[host] >= GIVE_UP_AFTER:
            raise UnusableError(f"{host} failed {GIVE_UP_AFTER} times in a row and was left alone")
        try:
            _write(path, _get(session, url, check, patience, stop))
        except MaxRetryError:
            failures[host] += 1
            raise
        failures[host] = 0
        return True

    with (
        requests.Session() as session,
        tqdm(total=len(urls), unit="file", disable=not progress) as bar,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        session.headers["User-Agent"] = "kaokore-painter (research; python-requests)"
        try:
            jobs = {pool.submit(one, name, url): name for name, url in urls.items()}
            for job in as_completed(jobs):
                name = jobs[job]
                try:
                    (got if job.result() else there).append(name)
                except (requests.RequestException, MaxRetryError, UnusableError) as error:
                    failed[name] = _reason(error, patience)
                bar.update()
        except BaseException:  # Ctrl-C or a full disk: drop what waits, and only let those under way come to their end
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return DownloadReport(tuple(sorted(got)), tuple(sorted(there)), dict(sorted(failed.items())))


def passes(path: Path, check: Check) -> bool:
    """Whether there is a file at `path` that passes `check`."""
    try:
        check(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, UnusableError):
        return False
    return True


def _get(session: requests.Session, url: str, check: Check, patience: Patience, stop: threading.Event) -> bytes:
    # The adapter's own retries end at the headers. Bodies break off and stall too, so the loop is here, and `Retry` is
    # its arithmetic.
    retry = Retry(patience.retries, backoff_factor=patience.backoff, backoff_jitter=patience.backoff)
    while True:
        wait = None
        try:
            with session.get(url, timeout=patience.timeout) as response:
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
        if stop.wait(min(wait or retry.get_backoff_time(), LONGEST_WAIT)):
            raise problem


def _write(path: Path, content: bytes) -> None:
    """The whole file or none: a reader never sees half of one, and no half is left behind by an error."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise DatasetError(f"{path} cannot be written ({error.strerror}); make room or choose another root.") from error


def _reason(error: Exception, patience: Patience) -> str:
    """A few words for a person who looks at a list of thousands."""
    if isinstance(error, MaxRetryError) and error.reason is not None:
        error = error.reason
    match error:
        case HTTPError():
            return f"HTTP {error.response.status_code}"
        case Timeout():
            return f"no answer within {patience.timeout:g} s"
        case ChunkedEncodingError():
            return "the answer broke off"
        case ConnectionError() if "timed out" in str(error):  # what `requests` makes of a body that stalls
            return f"no answer within {patience.timeout:g} s"
        case ConnectionError():
            return "no connection"
    return str(error)
