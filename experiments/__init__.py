"""Commands, run folders, figures and benchmarks."""

import os

# OpenMP threads that wait for work spin by default: beside other busy processes on the same cores, painting then takes
# tens of times as long. Waiting asleep costs nothing measurable on a quiet machine. It must be said before torch is loaded,
# and every command imports this package first; a value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
