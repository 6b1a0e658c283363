"""The learned renderer, and what is optimised through one."""

from renderer.learned.load import load_brush

__all__ = ["load_brush"]
