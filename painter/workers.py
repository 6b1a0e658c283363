"""Processes that work for this one: they decode images and write results while this one paints."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import ParamSpec, TypeVar

import cv2
import torch

from renderer.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")
Warnings = list[Warning | str]


class Workers:
    """A context with `count` processes, which start with the first work; with 0, the calls run in this process.

    A process that dies (killed for memory, or by a decoder's fault) costs at most the call that it ran: the calls that were
    lost with it run again, one in a process. Processes ignore Ctrl-C, and end with this one, however that ends.

    Args:
        count: How many.
        preload: Modules that are imported once for all processes, because they take long.
    """

    def __init__(self, count: int, preload: Sequence[str] = ()) -> None:
        self.count, self.preload = count, list(preload)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Drop what has not begun and wait for the rest."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Start a call.

        Args:
            function: A function of a module.
            args: Its arguments; arrays instead of tensors, as its result. PyTorch would pass tensors in shared memory, of
                which containers have little.
            kwargs: Further arguments.

        Returns:
            A function that waits for the result and returns it, or raises what `function` raised. It raises `InputError`
            where the process died twice.
        """
        call = functools.partial(function, *args, **kwargs)
        if self.count == 0:
            return call
        future = self._submit(call)

        def result() -> T:
            try:
                value, caught = future.result()
            except BrokenProcessPool:
                value, caught = _alone(call, self.preload)
            for warning in caught:
                warnings.warn(warning, stacklevel=2)
            return value

        return result

    def _submit(self, call: Callable[[], T]) -> Future[tuple[T, Warnings]]:
        if self._pool is None:
            self._pool = _pool(self.count, self.preload)
        try:
            return self._pool.submit(_run, call)
        except BrokenProcessPool:
            self._pool = _pool(self.count, self.preload)
            return self._pool.submit(_run, call)


def _pool(count: int, preload: list[str]) -> ProcessPoolExecutor:
    # A plain fork would copy locks that threads of PyTorch hold. The server imports what takes long once for all processes.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload)
    return ProcessPoolExecutor(count, context, _prepare)


def _alone(call: Callable[[], T], preload: list[str]) -> tuple[T, Warnings]:
    """Run a call in a process of its own."""
    with _pool(1, preload) as pool:
        try:
            return pool.submit(_run, call).result()
        except BrokenProcessPool:
            raise InputError("The process that worked on it was killed; is memory short?") from None


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what is finished
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _run(call: Callable[[], T]) -> tuple[T, Warnings]:
    """Run a call; returns its result and the warnings, which the parent shows."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        value = call()
    return value, [warning.message for warning in caught]
