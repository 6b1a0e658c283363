"""Run folders: they are never overwritten, and an interrupted run resumes exactly."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from experiments import runs
from renderer.errors import InputError
from renderer.io.checkpoint import CheckpointError


@dataclass(frozen=True)
class Config:
    """Options of a training."""

    steps: int = 4
    rate: float = 0.1
    seed: int = 7


class Training:
    """A module, its optimizer and the generator of its data."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))
        groups = [{"params": self.network[0].parameters(), "lr": 0.05}, {"params": self.network[3].parameters()}]
        self.optimizer = torch.optim.Adam(groups, lr=0.01, betas=(0.8, 0.9))
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def objects(self) -> dict[str, object]:
        return {"network": self.network, "optimizer": self.optimizer, "generator": self.generator}

    def step(self, n: int) -> None:
        for _ in range(n):
            x = torch.randn(6, 3, generator=self.generator)
            loss = (self.network(x) - x[:, :2]).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.optimizer.param_groups[0]["lr"] *= 0.9

    def everything(self) -> list[Tensor]:
        moments = [value for state in self.optimizer.state.values() for _, value in sorted(state.items())]
        return [*self.network.state_dict().values(), *moments, self.generator.get_state()]


def test_resuming_is_bit_identical(tmp_path: Path) -> None:
    whole = Training(0)
    whole.step(9)

    first = Training(0)
    first.step(4)
    runs.save_state(tmp_path / "state.safetensors", 4, first.objects, {"best": 0.25, "at": [1, 2]})
    first.step(2)  # steps after the last save are lost

    second = Training(99)
    second.step(1)  # loading overwrites everything
    assert runs.load_state(tmp_path / "state.safetensors", second.objects) == (4, {"best": 0.25, "at": [1, 2]})
    assert second.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 0.9**4)
    assert list(second.optimizer.param_groups[0]["betas"]) == [0.8, 0.9]
    second.step(5)
    pairs = list(zip(second.everything(), whole.everything(), strict=True))
    assert len(pairs) > 15
    assert all(torch.equal(ours, wanted) for ours, wanted in pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_saving_before_the_first_step(tmp_path: Path) -> None:
    fresh, whole = Training(1), Training(1)
    runs.save_state(tmp_path / "state.safetensors", 0, fresh.objects)
    other = Training(2)
    assert runs.load_state(tmp_path / "state.safetensors", other.objects) == (0, {})
    other.step(2)
    whole.step(2)
    assert all(torch.equal(ours, wanted) for ours, wanted in zip(other.everything(), whole.everything(), strict=True))


@pytest.mark.parametrize("foreign", [{}, {"network": nn.Linear(3, 5)}, {"network": nn.Linear(2, 2), "generator": 0}])
def test_a_state_of_another_training(tmp_path: Path, foreign: dict[str, nn.Module | int]) -> None:
    """A state of other code, of another network, or no state at all."""
    path = tmp_path / "state.safetensors"
    if foreign:
        runs.save_state(path, 1, {name: thing or torch.Generator() for name, thing in foreign.items()})
    else:
        save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not one of this training") as error:
        runs.load_state(path, Training(0).objects)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [None, 0, 100])
def test_a_state_that_cannot_be_read(tmp_path: Path, length: int | None) -> None:
    path, training = tmp_path / "state.safetensors", Training(0)
    if length is not None:
        runs.save_state(path, 1, training.objects)
        path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="cannot be read"):
        runs.load_state(path, training.objects)


def test_a_run_resumes_with_its_own_configuration(tmp_path: Path) -> None:
    folder = runs.start("train_some", Config(steps=11, seed=3), tmp_path)
    assert folder.parent == tmp_path
    assert folder.name.endswith("_train_some_seed3")
    assert runs.resume(folder, "train_some", Config) == Config(steps=11, seed=3)
    record = json.loads((folder / "config.json").read_text())
    assert record["script"] == "train_some"
    assert record["torch"] == torch.__version__
    assert {"command", "commit", "python", "threads"} <= record.keys()
    assert str(Path.cwd()) not in record["command"]


def test_a_run_never_overwrites_another(tmp_path: Path) -> None:
    folders = {runs.start("train_some", Config(), tmp_path) for _ in range(3)}
    assert len(folders) == 3
    assert all((folder / "config.json").is_file() for folder in folders)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "3",
        "{}",
        '{"script": "train_some"}',
        '{"script": "train_some", "arguments": {"stepz": 3}}',
        '{"script": "train_some", "arguments": [1]}',
        '{"script": "other", "arguments": {}}',
    ],
)
def test_resuming_a_foreign_folder(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as error:
        runs.resume(tmp_path, "train_some", Config)
    assert str(error.value).startswith(str(tmp_path))
    assert str(error.value).endswith(".")


def test_resuming_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run of train_some"):
        runs.resume(tmp_path / "nowhere", "train_some", Config)


def test_a_binary_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a run of train_some"):
        runs.resume(tmp_path, "train_some", Config)


def test_what_a_killed_start_left_is_removed(tmp_path: Path) -> None:
    dead, mine = tmp_path / "20260101-000000_example_seed0", tmp_path / "20260101-000001_example_seed0"
    for folder in (dead, mine):
        folder.mkdir()
    code = "import sys; from renderer.io.files import *; print(temporary_path(Path(sys.argv[1])))"
    command, root = [sys.executable, "-c", code, str(dead / "config.json")], Path(__file__).parents[2]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    Path(process.stdout.strip()).touch()
    begun = runs.start("example", Config(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, begun.name}
