"""A small, untrained agent, for tests and for the kills of `tests.torture`."""

from pathlib import Path

import torch

from agents.policy import Policy
from renderer.io.checkpoint import Checkpoint
from renderer.strokes import BEZIER


def tiny_agent(path: Path) -> str:
    """Save the agent; always the same."""
    torch.manual_seed(0)
    settings = {"width": 16, "blocks": 1, "each": 2}
    Checkpoint("policy", settings, Policy(**settings).state_dict(), BEZIER).save(path)
    return str(path)
