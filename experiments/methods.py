"""The three ways to paint: the agent alone, the optimiser alone, and the agent's strokes refined by the optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from agents.policy import Policy
from agents.rounds import paint_picture
from painter.transfer import TransferConfig, transfer
from renderer.canvas import blank
from renderer.checkpoint import Checkpoint, CheckpointError
from renderer.protocol import Renderer

Method = Literal["agent", "optimize", "hybrid"]
METHODS = get_args(Method)


@dataclass(frozen=True)
class Progress:
    """How far a painting is: the part of the work that is done, and the strokes so far `(n, P)`."""

    spent: float
    strokes: Tensor


def load_policy(name: str, device: torch.device | str = "cpu") -> Policy:
    """An agent's checkpoint, by name or file, ready to paint. Raises `CheckpointError`."""
    checkpoint = Checkpoint.load(name, "policy")
    try:
        policy = Policy(**checkpoint.config)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"This version cannot build the agent {name}: {error}.") from error
    policy.space.require(checkpoint.space or policy.space)
    checkpoint.fill(policy)
    return policy.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)


def paint_with(
    method: Method,
    target: Tensor,
    count: int,
    renderer: Renderer,
    policy: Policy | None,
    config: TransferConfig,
    generator: torch.Generator,
) -> Iterator[Progress]:
    """Yields as `target` (3, H, W) is painted on white with exactly `count` strokes; the last `strokes` are the painting."""
    ground = blank((target.shape[-2], target.shape[-1]), device=target.device)
    strokes = target.new_zeros(0, renderer.space.width)
    if method != "optimize":
        assert policy is not None, "agent and hybrid need a policy"
        for _, fresh in paint_picture(policy, renderer, ground, target, count):
            strokes = torch.cat((strokes, fresh))
            share = 1.0 if method == "agent" else 0.1
            yield Progress(share * len(strokes) / count, strokes)
    if method != "agent":
        start = strokes if method == "hybrid" else None
        for step in transfer(target, renderer, count, ground, config, start=start, generator=generator):
            yield Progress(step.spent, step.strokes)
