"""The learned renderer, and what is optimised through one."""

from renderer.learned.load import load_renderer

__all__ = ["load_renderer"]
