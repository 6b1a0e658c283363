"""Commands, run folders, figures and benchmarks."""

import os
import sys
from pathlib import Path
from types import TracebackType

from experiments.cores import available_cores

# OpenMP threads that wait for work spin, and beside other busy processes on the same cores they then hold up the thread that
# works: painting takes tens of times as long. A shorter spin avoids that; sleeping at once (OMP_WAIT_POLICY=PASSIVE) would
# make painting on quiet cores 1.7 times slower. It must be set before torch is loaded, and every command imports this
# package first. A value that the user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")

# PyTorch takes a thread for each core that the system shows, also where a container may use fewer: they would wait for one
# another most of the time.
if available_cores() < (os.cpu_count() or 1):
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))


def _stopped(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# Ctrl-C while a command's modules are loaded, for some seconds, comes before the command can catch it. While a command
# starts, `-m` stands where its path will stand.
if sys.argv and Path(sys.argv[0]).name in ("-m", "kaokore-painter"):
    sys.excepthook = _stopped
