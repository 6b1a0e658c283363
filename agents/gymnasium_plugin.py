"""Registration of `KaoKorePaint-v0` with gymnasium, without importing gymnasium.

gymnasium 1.x loads no plugins, so that `import agents` adds a hook to Python's import system: it registers the environment
after gymnasium is imported. `gymnasium.make("agents:KaoKorePaint-v0")` needs no `import agents`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

GYMNASIUM = "gymnasium"


def register() -> None:
    """Register the environment and its vector form, once."""
    from gymnasium.envs import registration

    if "KaoKorePaint-v0" not in registration.registry:
        registration.register(
            "KaoKorePaint-v0",
            entry_point="agents.environment:KaoKorePaint",
            vector_entry_point="agents.vector_environment:KaoKorePaintVector",
        )


def register_when_imported() -> None:
    """Register now if gymnasium is imported, else as soon as it is."""
    if f"{GYMNASIUM}.envs" in sys.modules:
        register()
    elif not any(isinstance(finder, _GymnasiumFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _GymnasiumFinder())


class _GymnasiumFinder(MetaPathFinder):
    """Find gymnasium with the other finders, and call `register` after its import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of gymnasium, and None for all other modules."""
        if fullname != GYMNASIUM:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(GYMNASIUM)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                register()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
