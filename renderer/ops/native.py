"""Small C kernels, compiled on first use and kept; where there is no compiler, PyTorch does the same work more slowly."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent  # the kernels' sources stand beside this module

# -ffast-math lets the compiler use vector exponentials. It must not be given to the linker as well: gcc would then link
# start-up code that makes the whole process flush denormal numbers to zero.
COMPILE = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-std=c11", "-c")
LINK = ("-shared", "-lm")


def cache_folder() -> Path:
    """Where compiled kernels are kept: `$XDG_CACHE_HOME` or `~/.cache`, below `kaokore-painter`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kaokore-painter"


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """The compiled library of a C file, or None where it cannot be compiled (or KAOKORE_NATIVE=0 forbids it)."""
    if os.environ.get("KAOKORE_NATIVE") == "0":
        return None
    # Code for one processor must not be loaded on another that shares the home directory.
    name = hashlib.sha256(source.read_bytes() + repr((COMPILE, LINK, _processor())).encode()).hexdigest()[:20]
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / f"{source.stem}-{name}.so"
        if not library.exists():
            _compile(source, library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        return None


def load_for(tensor: Tensor, source: Path) -> ctypes.CDLL | None:
    """The same for work on `tensor`: kernels are written for single precision on the CPU, and None elsewhere."""
    if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        return None
    return load(source)


def _compile(source: Path, library: Path) -> None:
    compiler = os.environ.get("CC", "gcc")
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, linked = Path(folder) / "code.o", Path(folder) / "linked.so"
        for threads in (["-fopenmp"], []):  # the second try is for compilers without OpenMP
            compiled = subprocess.run([compiler, *COMPILE, *threads, source, "-o", code], capture_output=True)
            if compiled.returncode == 0:
                subprocess.run([compiler, code, *threads, *LINK, "-o", linked], capture_output=True, check=True)
                os.replace(linked, library)
                return
        raise OSError(f"{compiler} cannot compile {source.name}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


def call(library: ctypes.CDLL | None, name: str, tensors: Sequence[Tensor | None], *numbers: int | float) -> None:
    """Calls a kernel: the addresses of contiguous CPU tensors (None is a null pointer), then numbers, then the threads."""
    assert library is not None, "callers ask first whether the kernel is there"
    arguments: list[ctypes._SimpleCData | None] = []
    for tensor in tensors:
        assert tensor is None or (tensor.is_contiguous() and tensor.device.type == "cpu"), "a kernel reads plain memory"
        arguments.append(None if tensor is None else ctypes.c_void_p(tensor.data_ptr()))
    arguments += [ctypes.c_float(n) if isinstance(n, float) else ctypes.c_int64(n) for n in numbers]
    getattr(library, name)(*arguments, ctypes.c_int(torch.get_num_threads()))
