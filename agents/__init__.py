"""Painting as a decision process. Importing this registers `KaoKorePaint-v0` with gymnasium, and does nothing else."""

import gymnasium

from agents.environment import KaoKorePaint
from agents.mdp import Reward, State
from agents.vector_environment import KaoKorePaintVector

__all__ = ["KaoKorePaint", "KaoKorePaintVector", "Reward", "State"]

gymnasium.register(
    "KaoKorePaint-v0",
    entry_point="agents.environment:KaoKorePaint",
    vector_entry_point="agents.vector_environment:KaoKorePaintVector",
)
