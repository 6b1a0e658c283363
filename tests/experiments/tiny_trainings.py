"""Four trainings of a few steps, for `test_distributed`: `torchrun -m tests.experiments.tiny_trainings FOLDER KAOKORE`."""

import dataclasses
import sys
from pathlib import Path

import torch
from torch import nn

from experiments import train_agent, train_classifier, train_renderer, train_stylegan
from experiments.distributed import join_processes
from kaokore.classify import classifier as classifiers


class Plain(nn.Module):
    """A classifier without batch statistics and dropout, which see one process's part of a batch."""

    def __init__(self, _: str, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(32, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def train_all(folder: Path, root: str) -> dict[str, Path]:
    """Run folders by name."""
    torch.set_num_threads(1)
    saves = {"minutes_between_saves": 0.0, "device": "cpu"}  # a point of the curve for each step

    def tiny(config, name, **options):
        return dataclasses.replace(config, runs=str(folder / name), **saves, **options)

    train_classifier.build = classifiers.build = Plain  # type: ignore[assignment]
    rounds = dataclasses.replace(train_agent.TINY.training, round_strokes=(4, 8))
    faces = dataclasses.replace(train_stylegan.TINY.training, batch=8)
    with join_processes(8, torch.device("cpu")):  # once for all
        renderer = train_renderer.train_renderer(tiny(train_renderer.TINY, "renderer", steps=4))
        # Stopped after its first episode, and resumed.
        train_agent.train_agent(tiny(train_agent.TINY, "agent", root=root, batch=4, training=rounds, minutes=0.0))
        (stopped,) = (folder / "agent").iterdir()
        agent = train_agent.train_agent(train_agent.Config(resume=str(stopped)))
        classifier = train_classifier.train(tiny(train_classifier.TINY, "classifier", root=root, epochs=2))
        stylegan = train_stylegan.train(tiny(train_stylegan.TINY, "stylegan", root=root, training=faces))
    return {"renderer": renderer, "agent": agent, "classifier": classifier, "stylegan": stylegan}


if __name__ == "__main__":
    train_all(Path(sys.argv[1]), sys.argv[2])
