"""C kernels, compiled on first use and cached. Without a compiler, PyTorch computes the same values more slowly."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent  # the kernels' sources stand beside this module

# -ffast-math allows vectorised exponentials. It must not be passed to the linker: gcc would link start-up code that makes
# the whole process flush denormal numbers to zero.
COMPILE = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-std=c11", "-c")
LINK = ("-shared", "-lm")


def cache_folder() -> Path:
    """The folder of compiled kernels: `kaokore-painter` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kaokore-painter"


def available() -> bool:
    """Whether kernels can be loaded: none is forbidden, and a compiler is installed or the cache is filled.

    Compiles nothing, so that it may be asked for a help text.
    """
    if not _wanted():
        return False
    return shutil.which(_compiler()) is not None or all(_library(source).exists() for source in FOLDER.glob("*.c"))


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """The compiled library of a C file; None where KAOKORE_NATIVE=0 forbids it, or, with a warning, where it fails."""
    if not _wanted():
        return None
    library = _library(source)
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        if not library.exists():
            _compile(source, library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        _warn()
        return None


def load_for(tensor: Tensor, source: Path) -> ctypes.CDLL | None:
    """`load` for work on `tensor`: kernels compute in single precision on the CPU; None for other tensors."""
    if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        return None
    return load(source)


def _wanted() -> bool:
    return os.environ.get("KAOKORE_NATIVE") != "0"


def _compiler() -> str:
    return os.environ.get("CC", "gcc")


def _library(source: Path) -> Path:
    # Code for one processor must not be loaded on another that shares the home directory.
    name = hashlib.sha256(source.read_bytes() + repr((COMPILE, LINK, _processor())).encode()).hexdigest()[:20]
    return cache_folder() / f"{source.stem}-{name}.so"


@functools.cache
def _warn() -> None:
    """Warn at the first kernel that cannot be built; the cache keeps the others silent."""
    warnings.warn(
        "The compiled kernels cannot be built; painting is then many times slower. Install gcc or set CC to a C compiler; "
        "KAOKORE_NATIVE=0 chooses to paint without kernels.",
        RuntimeWarning,
        stacklevel=4,
    )


def _compile(source: Path, library: Path) -> None:
    compiler = _compiler()
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, linked = Path(folder) / "code.o", Path(folder) / "linked.so"
        for threads in (["-fopenmp"], []):  # the second attempt is for compilers without OpenMP
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


def call(source: Path, name: str, tensors: Sequence[Tensor | None], *numbers: int | float) -> None:
    """Call a kernel of a C file: addresses of contiguous CPU tensors (None is null), then numbers, then the threads."""
    library = load(source)
    assert library is not None, "callers ask first whether the kernel is there"
    arguments: list[ctypes._SimpleCData | None] = []
    for tensor in tensors:
        assert tensor is None or (tensor.is_contiguous() and tensor.device.type == "cpu"), "a kernel reads plain memory"
        arguments.append(None if tensor is None else ctypes.c_void_p(tensor.data_ptr()))
    arguments += [ctypes.c_float(n) if isinstance(n, float) else ctypes.c_int64(n) for n in numbers]
    getattr(library, name)(*arguments, ctypes.c_int(torch.get_num_threads()))
