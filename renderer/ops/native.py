"""C kernels, compiled on first use and cached. Without a compiler, PyTorch computes the same values more slowly."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from renderer.errors import InputError

FOLDER = Path(__file__).parent  # the kernels' sources stand beside this module
HEADERS = sorted(FOLDER.glob("*.h"))  # which they include

# -ffast-math allows vectorised exponentials. It must not be passed to the linker: gcc would link start-up code that makes
# the whole process flush denormal numbers to zero.
COMPILE = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-std=c11", "-c", f"-I{FOLDER}")
LINK = ("-shared", "-lm")
NO_MEMORY = -2  # what kernels return instead of 0 when they find no memory


def cache_folder() -> Path:
    """The folder of compiled kernels: `kaokore-painter` in `$XDG_CACHE_HOME` or `~/.cache`. Raises `OSError` without one."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kaokore-painter"
    except RuntimeError as error:  # neither HOME nor an entry in the password file
        raise OSError("there is no home folder") from error


def available() -> bool:
    """Whether kernels can be loaded: none is forbidden, and a compiler is installed or the cache is filled.

    Compiles nothing, so that it may be asked for a help text.
    """
    if not _wanted():
        return False
    if shutil.which(_compiler()) is not None:
        return True
    try:
        folder = cache_folder()
        return _is_private(folder) and all(_is_sound(_library(folder, source)) for source in FOLDER.glob("*.c"))
    except OSError:
        return False


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """The compiled library of a C file; None where KAOKORE_NATIVE=0 forbids it, or, with a warning, where it fails.

    Only a library that this user has compiled is loaded: the folder is private to the user (mode 0700), and a hash of the
    library's content stands beside it. Without such a folder, kernels are compiled anew for this process.
    """
    if not _wanted():
        return None
    try:
        folder = _private_folder()
        library = _library(folder, source)
        if not _is_sound(library):
            _compile(source, library)
        loaded = ctypes.CDLL(str(library))
        for name in functions(source):
            getattr(loaded, name)
        return loaded
    except (OSError, AttributeError, subprocess.SubprocessError):
        _warn()
        return None


def load_for(source: Path, *tensors: Tensor | None) -> ctypes.CDLL | None:
    """`load` for work on `tensors`: kernels compute in single precision on the CPU; None if any is something else."""
    for tensor in tensors:
        if tensor is not None and (tensor.device.type != "cpu" or tensor.dtype != torch.float32):
            return None
    return load(source)


def _wanted() -> bool:
    return os.environ.get("KAOKORE_NATIVE") != "0"


def _compiler() -> str:
    return os.environ.get("CC", "gcc")


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A private folder, removed at the end of the process."""
    return tempfile.TemporaryDirectory(prefix="kaokore-painter-")


def _private_folder() -> Path:
    """The cache if nobody else can write there, else a temporary folder. Raises `OSError` if there is neither."""
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(folder):
            folder.chmod(0o700)
            return folder
        why = f"{folder} belongs to another user, is no folder, or can be written by others"
    except OSError as error:
        why = f"the cache cannot be written ({error})"
    _warn_of_cache(why)
    return Path(_temporary_folder().name)


def _is_private(folder: Path) -> bool:
    """Whether a folder belongs to this user, who alone can write there."""
    if not hasattr(os, "getuid"):  # elsewhere, home folders are private
        return folder.is_dir()
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _record(library: Path) -> Path:
    """Where the hash of a library's content stands."""
    return library.with_suffix(".sha256")


def _is_sound(library: Path) -> bool:
    """Whether a library is there, whole, and as it was compiled."""
    try:
        return _record(library).read_text() == hashlib.sha256(library.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False


def functions(source: Path) -> list[str]:
    """The names of the functions that a C file gives to others."""
    return re.findall(r"^(?:int64_t|int) (\w+)\(", source.read_text(), re.MULTILINE)


def _library(folder: Path, source: Path) -> Path:
    # Code for one processor must not be loaded on another that shares the home directory.
    name = hashlib.sha256(
        source.read_bytes()
        + b"".join(header.read_bytes() for header in HEADERS)
        + repr((COMPILE, LINK, _processor())).encode()
    ).hexdigest()[:20]
    return folder / f"{source.stem}-{name}.so"


@functools.cache
def _warn() -> None:
    """Warn at the first kernel that cannot be built; the cache keeps the others silent."""
    warnings.warn(
        "The compiled kernels cannot be built; painting is then many times slower. Install gcc or set CC to a C compiler; "
        "KAOKORE_NATIVE=0 chooses to paint without kernels.",
        RuntimeWarning,
        stacklevel=4,
    )


@functools.cache
def _warn_of_cache(why: str) -> None:
    """Warn once that kernels cannot be kept."""
    warnings.warn(
        f"Compiled kernels are not kept: {why}. They are compiled anew for each process; remove the folder, or set "
        "XDG_CACHE_HOME to one of your own.",
        RuntimeWarning,
        stacklevel=5,
    )


def _compile(source: Path, library: Path) -> None:
    compiler = _compiler()
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, linked = Path(folder) / "code.o", Path(folder) / "linked.so"
        for threads in (["-fopenmp"], []):  # the second attempt is for compilers without OpenMP
            compiled = subprocess.run([compiler, *COMPILE, *threads, source, "-o", code], capture_output=True)
            if compiled.returncode == 0:
                subprocess.run([compiler, code, *threads, *LINK, "-o", linked], capture_output=True, check=True)
                # Several processes may compile at once: each writes the hash and then the library, of the same content.
                hashed = Path(folder) / "hash"
                hashed.write_text(hashlib.sha256(linked.read_bytes()).hexdigest())
                os.replace(hashed, _record(library))
                os.replace(linked, library)
                return
        raise OSError(f"{compiler} cannot compile {source.name}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


class Operand(NamedTuple):
    """A tensor that a kernel reads or writes, and what it must be: contiguous on the CPU.

    Only an `optional` one may be None, which is a null pointer.
    """

    tensor: Tensor | None
    dtype: torch.dtype
    shape: tuple[int, ...]
    optional: bool = False


def floats(tensor: Tensor, *shape: int) -> Operand:
    """An operand of single precision."""
    return Operand(tensor, torch.float32, shape)


def optional_floats(tensor: Tensor | None, *shape: int) -> Operand:
    """An operand of single precision that the kernel can do without."""
    return Operand(tensor, torch.float32, shape, optional=True)


def integers(tensor: Tensor, *shape: int) -> Operand:
    """An operand of 64-bit integers."""
    return Operand(tensor, torch.int64, shape)


def call(source: Path, name: str, operands: Sequence[Operand], *numbers: int | float) -> None:
    """Call a kernel of a C file: addresses of the operands, then numbers, then the threads.

    Raises:
        InputError: An operand is not what the kernel reads, or the kernel finds a stroke that it cannot draw.
    """
    library = load(source)
    if library is None:
        raise RuntimeError(f"the kernels of {source.name} are not loaded; ask load_for first")
    arguments: list[ctypes._SimpleCData | None] = []
    for tensor, dtype, shape, optional in operands:
        if tensor is None and optional:
            arguments.append(None)
            continue
        if not isinstance(tensor, Tensor):
            raise InputError(f"{name} needs a tensor of {dtype} {shape}, not {type(tensor).__name__}.")
        if tensor.dtype != dtype or tensor.shape != shape or tensor.device.type != "cpu" or not tensor.is_contiguous():
            raise InputError(
                f"{name} needs contiguous {dtype} {shape} on the CPU, not {tensor.dtype} {tuple(tensor.shape)} with strides "
                f"{tensor.stride()} on {tensor.device}."
            )
        arguments.append(ctypes.c_void_p(tensor.data_ptr()))
    arguments += [ctypes.c_float(n) if isinstance(n, float) else ctypes.c_int64(n) for n in numbers]
    kernel = getattr(library, name)
    kernel.restype = ctypes.c_int64
    bad = kernel(*arguments, ctypes.c_int(torch.get_num_threads()))
    if bad == NO_MEMORY:
        raise MemoryError(f"{name} needs more memory than there is")
    if bad < 0:
        raise InputError(f"{name} needs boxes that fill their memory without gaps.")
    if bad > 0:
        raise InputError(f"{name} cannot draw stroke {bad - 1}: its numbers are not finite, or its box is outside.")
