"""Commands share busy cores with other processes."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "100000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_waiting_threads_spin_briefly_unless_the_user_says_otherwise(given: dict[str, str], spins: str) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names} | given
    code = "import sys, experiments, os; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert printed.split() == [spins, "False"]  # torch reads the setting when it is loaded


def test_threads_are_no_more_than_the_cores_that_may_be_used() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import experiments; print(os.environ.get('OMP_NUM_THREADS'), os.cpu_count())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    for given, wanted in ({}, "1"), ({"OMP_NUM_THREADS": "5"}, "5"):
        printed = subprocess.run(
            [sys.executable, "-c", code], env=environment | given, check=True, capture_output=True, text=True
        ).stdout
        threads, cores = printed.split()
        assert threads == (wanted if given or int(cores) > 1 else "None")
