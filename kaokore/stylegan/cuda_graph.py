"""CUDA graphs of a training step: hundreds of small kernels, recorded once and then launched together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # calls before the recording, in which libraries choose their kernels and optimisers allocate their state

Function = Callable[..., dict[str, Tensor]]


class Recorded:
    """Wrap `function(tensors by name, *flags) -> tensors by name` in CUDA graphs, one for each combination of flags.

    Launching a small network's kernels one by one takes longer than running them. The function must do the same for the
    same flags: use no randomness and nothing from the CPU, not wait for the GPU, and keep all shapes. Every call executes
    the function once, including the calls before the recording.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self.calls: Counter[tuple[bool, ...]] = Counter()
        self.graphs: dict[tuple[bool, ...], tuple[torch.cuda.CUDAGraph, dict[str, Tensor], dict[str, Tensor]]] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream()

    def __call__(self, given: dict[str, Tensor], *flags: bool) -> dict[str, Tensor]:
        """See the class."""
        self.calls[flags] += 1
        if self.calls[flags] <= WARM_UP:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                results = self.function(given, *flags)
            torch.cuda.current_stream().wait_stream(self.stream)
            return results
        if flags not in self.graphs:
            inputs, graph = {name: tensor.clone() for name, tensor in given.items()}, torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                self.graphs[flags] = graph, inputs, self.function(inputs, *flags)
        graph, inputs, outputs = self.graphs[flags]
        for name, tensor in given.items():
            inputs[name].copy_(tensor)
        graph.replay()
        return {name: tensor.clone() for name, tensor in outputs.items()}
