"""Commands are good neighbours on a busy machine."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(given: str | None, policy: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": given} if given else {}
    code = "import sys, experiments, os; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert printed.split() == [policy, "False"]  # torch reads the policy when it is loaded
