"""Two processes train as one does: the same curves and weights, within rounding; only the first one writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from experiments import train_classifier
from experiments.distributed import join_processes, refuse_processes
from kaokore.classify import classifier
from renderer.errors import InputError
from renderer.io.training_curves import read_curve
from renderer.learned.processes import ALONE
from tests.experiments.tiny_trainings import train_all

ROOT = Path(__file__).parents[2]
CURVES = {
    "renderer": ["train/alpha_mse", "test/alpha_mse"],
    "agent": ["train/mse", "train/loss"],  # the planner of evaluations turns rounding into other strokes
    "classifier": ["train/loss", "dev/nll"],
    "stylegan": [*(f"train/{name}" for name in ("generator", "discriminator", "path_length", "r1", "p", "r_t"))],
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, root: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Run folders of the trainings by one process and by two."""
    folder = tmp_path_factory.mktemp("runs")
    started = subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("--log-dir", folder / "logs"),
            *("-m", "tests.experiments.tiny_trainings", folder / "two", root),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with pytest.MonkeyPatch.context() as patched:
        for module in (train_classifier, classifier):
            patched.setattr(module, "build", module.build)  # restored at the end
        one = train_all(folder / "one", root)
    said, _ = started.communicate(timeout=300)
    assert started.returncode == 0, said
    two = {}
    for name in one:
        (two[name],) = (folder / "two" / name).iterdir()
    return one, two


@pytest.mark.parametrize("name", CURVES)
def test_two_processes_train_as_one(both: tuple[dict[str, Path], dict[str, Path]], name: str) -> None:
    one, two = (folders[name] for folders in both)
    for tag in CURVES[name]:
        steps, values = read_curve(one, tag)
        assert steps, tag
        assert read_curve(two, tag) == (steps, pytest.approx(values, rel=1e-5, abs=1e-7)), tag
    alone, shared = (load_file(folder / "state.safetensors") for folder in (one, two))
    assert alone.keys() == shared.keys()
    for key, value in alone.items():
        torch.testing.assert_close(shared[key], value, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_a_batch_must_be_divisible(monkeypatch: pytest.MonkeyPatch) -> None:
    with join_processes(7, torch.device("cpu")) as processes:
        assert processes == ALONE
    refuse_processes("Nothing")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(InputError, match=r"--batch must be a multiple of 8 with 2 processes, not 12"),
        join_processes(12, torch.device("cpu"), 4),
    ):
        pass
    with pytest.raises(InputError, match="start it without torchrun"):
        refuse_processes("The training of another brush than Bezier")
