"""A step that is the same hundreds of small kernels each time: recorded once, then launched at a stroke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

WARM = 3  # calls before the recording, in which libraries choose their kernels and optimizers make their moments

Function = Callable[..., dict[str, Tensor]]


class Recorded:
    """`function(tensors by name, *how) -> tensors by name` as CUDA graphs, one for each `how`.

    To launch a small network's kernels one by one takes longer than to run them. The function must do the same for the
    same `how`: nothing random, nothing from the CPU, and it must not wait for the GPU; shapes stay as they are. Each call
    is one true call, those before the recording too.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self.calls: Counter[tuple[bool, ...]] = Counter()
        self.graphs: dict[tuple[bool, ...], tuple[torch.cuda.CUDAGraph, dict[str, Tensor], dict[str, Tensor]]] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream()

    def __call__(self, given: dict[str, Tensor], *how: bool) -> dict[str, Tensor]:
        """See the class."""
        self.calls[how] += 1
        if self.calls[how] <= WARM:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                results = self.function(given, *how)
            torch.cuda.current_stream().wait_stream(self.stream)
            return results
        if how not in self.graphs:
            inputs, graph = {name: tensor.clone() for name, tensor in given.items()}, torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                self.graphs[how] = graph, inputs, self.function(inputs, *how)
        graph, inputs, outputs = self.graphs[how]
        for name, tensor in given.items():
            inputs[name].copy_(tensor)
        graph.replay()
        return {name: tensor.clone() for name, tensor in outputs.items()}
