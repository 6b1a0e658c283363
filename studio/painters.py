"""Painters for settings, loaded once and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

import torch

from agents.registry import Agent, load_agent
from painter.api import Painter, choose_device
from painter.optimize import DEFAULT_CONFIG
from renderer.brush import Brush, load_brush
from studio.presets import Settings, require_known_brush

MOST = 4  # brushes with their agents in memory, some 20 MB each


class Painters:
    """Makes painters from settings. Safe to use from several threads.

    Args:
        agent: name or file of the agent's checkpoint.
        device: `auto`, `cpu`, `cuda` ...

    Raises:
        InputError: for a device that cannot be used.
    """

    def __init__(self, agent: str = "agent", device: str = "auto") -> None:
        self.agent, self.device = agent, choose_device(device)
        self._loaded: OrderedDict[str, tuple[Brush, Agent]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, settings: Settings) -> Painter:
        """A painter with the brush, method and steps of `settings`. Raises `InputError`."""
        brush, agent = self._load(settings.brush)
        config = replace(DEFAULT_CONFIG, steps=settings.steps)
        return Painter(settings.method, brush=brush, agent=agent, device=self.device, config=config)

    def brush(self, name: str) -> Brush:
        """The brush of `Settings.brush`. Raises `InputError`."""
        return self._load(name)[0]

    def preload(self, name: str = "bezier") -> None:
        """Load a brush and the agent before they are needed, and draw once: the first strokes come sooner."""
        picture = torch.linspace(0, 1, 32).expand(3, 32, 32)
        self.get(Settings(brush=name)).paint(picture, strokes=1, size=32)

    def _load(self, name: str) -> tuple[Brush, Agent]:
        with self._lock:
            if name not in self._loaded:
                require_known_brush(name)
                brush = load_brush(name, self.device)
                self._loaded[name] = brush, load_agent(self.agent, brush, self.device)
            self._loaded.move_to_end(name)
            while len(self._loaded) > MOST:
                self._loaded.popitem(last=False)
            return self._loaded[name]
