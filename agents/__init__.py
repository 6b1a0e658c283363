"""Painting as a decision process: policy, rollout, planner, training, and gymnasium environments.

Importing this registers `KaoKorePaint-v0` with gymnasium, or prepares that if gymnasium is not yet imported.
"""

import importlib
from typing import TYPE_CHECKING

from agents.gymnasium_plugin import register_when_imported

if TYPE_CHECKING:
    from agents.environment import KaoKorePaint
    from agents.mdp import Reward, State
    from agents.vector_environment import KaoKorePaintVector

__all__ = ["KaoKorePaint", "KaoKorePaintVector", "Reward", "State"]

_MODULES = {
    "KaoKorePaint": "agents.environment",
    "KaoKorePaintVector": "agents.vector_environment",
    "Reward": "agents.mdp",
    "State": "agents.mdp",
}


def __getattr__(name: str) -> object:
    """Import public names on first use, so that importing a module of this folder does not import gymnasium."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'agents' has no attribute {name!r}")


register_when_imported()
