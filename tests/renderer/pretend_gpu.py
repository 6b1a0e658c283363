"""A pretended second device: CPU tensors that report another device and raise an error together with CPU tensors.

PyTorch's own fake tensors know shapes and devices but no values, so that code which asks for a value (`.item()`), and
every backward pass, cannot run on them. These compute.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# A device that PyTorch knows, on which autograd runs in this thread, and for which this project has no kernels.
GPU = torch.device("meta:0")

aten = torch.ops.aten
READS_CPU_INDICES = {aten.index.Tensor, aten.index_put_.default}
COPIES = {aten._to_copy.default, aten.copy_.default}


class OnGPU(Tensor):
    """A CPU tensor, `inner`, that reports the pretended GPU as its device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnGPU":
        made: OnGPU = Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=GPU
        )
        made.inner = inner
        return made

    def __repr__(self, **_: object) -> str:
        return f"OnGPU({self.inner})"

    def tolist(self) -> Any:
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return _run(function, args, kwargs or {})


def _run(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    here = any(isinstance(tensor, OnGPU) for tensor in tensors)
    if "device" in kwargs and kwargs["device"] is not None:
        result_here = torch.device(kwargs["device"]).type == GPU.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif function is aten.copy_.default or function in READS_CPU_INDICES:
        result_here = isinstance(args[0], OnGPU)
    else:
        result_here = here
    if here and function not in COPIES:
        # Indices and 0-dimensional tensors may be on the CPU.
        may_be_read = set(map(id, tree_leaves(args[1]))) if function in READS_CPU_INDICES and result_here else set()
        for tensor in tensors:
            if not isinstance(tensor, OnGPU) and tensor.dim() > 0 and id(tensor) not in may_be_read:
                raise RuntimeError(f"{function}: expected all tensors to be on the same device")
    result = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if function._schema.name.endswith("_"):
        return args[0] if function._schema.returns else None  # changed in place
    if not result_here:
        return result
    return tree_map(lambda value: OnGPU(value) if isinstance(value, Tensor) else value, result)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnGPU) else value


class _Operations(TorchDispatchMode):
    """Intercepts functions that create tensors."""

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None) -> Any:
        return _run(func, args, kwargs or {})


class Recording(TorchDispatchMode):
    """Raises an error for operations that a CUDA graph cannot record: waiting for the GPU, and copies to or from the CPU."""

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        places = {isinstance(value, OnGPU) for value in tree_leaves((args, result)) if isinstance(value, Tensor)}
        if func is aten._local_scalar_dense.default or (func in COPIES and len(places) > 1):
            raise RuntimeError(f"{func} cannot be recorded")
        return result


class _Literals(TorchFunctionMode):
    """Tensors from Python numbers, which PyTorch would not copy to this device."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor:
            device = kwargs.pop("device", None) or "cpu"
            return torch.tensor(*args, **kwargs).to(device)
        if func is Tensor.new_tensor:
            device = kwargs.pop("device", None) or args[0].device
            return torch.tensor(args[1], dtype=args[0].dtype).to(device)
        return func(*args, **kwargs)


@contextmanager
def pretend_gpu() -> Iterator[torch.device]:
    """Yield a device on which tensors can be created, and to which they can be moved."""
    with _Operations(), _Literals():
        yield GPU
