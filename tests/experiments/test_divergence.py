"""Weights that become NaN in the middle of each training: one clear line, and the last good files stay."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_post_hook

from experiments import train_agent, train_classifier, train_huang2019, train_ppo, train_renderer, train_stylegan
from renderer.errors import InputError

TRAININGS: dict[str, Any] = {
    "renderer": (train_renderer.train_renderer, dataclasses.replace(train_renderer.TINY, steps=3, evaluate_every=3)),
    "agent": (train_agent.train_agent, train_agent.TINY),
    "ppo": (train_ppo.train_ppo, train_ppo.TINY),
    "huang2019": (train_huang2019.train_huang2019, dataclasses.replace(train_huang2019.TINY, evaluate_every=9)),
    "classifier": (train_classifier.train, train_classifier.TINY),
    "stylegan": (train_stylegan.train, dataclasses.replace(train_stylegan.TINY, images=0.016)),
}


@pytest.fixture
def spoilt(tmp_path: Path) -> Iterator[list[Any]]:
    """A weight becomes NaN at the first step of an optimizer after the first save; then this list is filled."""
    seen: list[Any] = []

    def spoil(optimizer: torch.optim.Optimizer, *_: object) -> None:
        if not seen and list(tmp_path.glob("*/state.safetensors")):
            seen.append(optimizer)
            with torch.no_grad():
                optimizer.param_groups[0]["params"][0].fill_(math.nan)

    hook = register_optimizer_step_post_hook(spoil)
    yield seen
    hook.remove()


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.usefixtures("small_sheets")
def test_a_training_stops_at_nan_and_keeps_its_last_good_state(
    tmp_path: Path, root: str, spoilt: list[Any], name: str
) -> None:
    train, config = TRAININGS[name]
    config = dataclasses.replace(config, runs=str(tmp_path), minutes_between_saves=0.0)
    config = dataclasses.replace(config, root=root) if hasattr(config, "root") else config
    with pytest.raises(InputError, match=r"^The training diverged [^\n]* keeps its last good state\. [^\n]*$"):
        train(config)
    assert spoilt
    (folder,) = tmp_path.iterdir()
    files = list(folder.glob("*.safetensors"))
    assert files
    for file in files:
        assert all(tensor.isfinite().all() for tensor in load_file(file).values()), file.name
    assert train(type(config)(resume=str(folder))) == folder, "from the state that was kept"
