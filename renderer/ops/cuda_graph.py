"""Steps that are repeated many times, recorded once as a CUDA graph and then launched as a whole."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch


class RepeatedStep:
    """Call `step()` again and again; on a GPU, record it as a CUDA graph after a few calls and replay the graph.

    A gradient step launches dozens of small kernels, and launching them one by one takes longer than running them. The
    step takes and returns nothing: it reads and changes tensors in place, which must stay where they are in memory. A step
    that cannot be recorded, because it waits for the GPU or copies from the CPU, goes on being called.

    Args:
        step: Does the same work, on tensors of the same shapes, in every call. Random numbers that it draws on the CPU
            would be the same in every replay.
        record: Whether to record it; False where the tensors are not on a CUDA device.
        kind: Steps of one kind launch the same kernels. The first step of a kind is called once before it is recorded, so
            that its kernels are compiled. Without a kind, every step is called once, and may also allocate its state.
    """

    def __init__(self, step: Callable[[], object], *, record: bool, kind: str | None = None) -> None:
        self._step, self._record, self._kind = step, record, kind
        self._called = False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do one step."""
        if self._graph is None and self._record:
            recorder = _recorder(torch.cuda.current_device())
            if self._called or self._kind in recorder.kinds:
                self._graph = recorder.record(self._step)
                self._record = self._graph is not None
            if self._kind is not None:
                recorder.kinds.add(self._kind)
        if self._graph is not None:
            self._graph.replay()
        else:
            self._step()
            self._called = True


class _Recorder:
    """Records graphs that share their memory, because no two of them run at once and none keeps results in it."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()  # of steps that have been called
        self._stream = torch.cuda.Stream()
        self._pool: Any = None
        self._first = self.record(
            lambda: torch.zeros(1, device="cuda")
        )  # as long as it lives, so does the shared memory
        if self._first is not None:
            self._pool = self._first.pool()

    def record(self, step: Callable[[], object]) -> torch.cuda.CUDAGraph | None:
        """The graph of one step, which is not executed; None when it cannot be recorded."""
        # `torch.cuda.graph` would also collect garbage and empty PyTorch's cache, which takes longer than many steps.
        graph, recorded = torch.cuda.CUDAGraph(), True
        shared = {} if self._pool is None else {"pool": self._pool}
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            graph.capture_begin(**shared, capture_error_mode="thread_local")
            try:
                step()
            except RuntimeError:
                recorded = False
            try:
                graph.capture_end()
            except RuntimeError:
                recorded = False
        torch.cuda.current_stream().wait_stream(self._stream)
        return graph if recorded else None


@functools.cache
def _recorder(device: int) -> _Recorder:
    """The recorder of a CUDA device, which must be the current one."""
    return _Recorder()
