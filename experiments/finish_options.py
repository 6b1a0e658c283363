"""Options of what a painting is drawn in, which several commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from renderer.io.painting import Painting
from renderer.material.finish import LIGHT, Finish
from renderer.material.papers import embedded_paper


@dataclass(frozen=True, kw_only=True)
class FinishOptions:
    """What a painting is drawn in; strokes and metrics do not depend on it."""

    material: str | None = None
    """What strokes are made of: oil, impressionist, watercolour, gouache, ink, charcoal, pastel; none draws bare strokes."""
    paper: str | None = None
    """washi, laid, canvas, rough, none, or an image file of a paper; by default that of the material."""
    relief: float | None = None
    """Strength of light and shadow on paint and paper, from 0 to 1; by default that of the material."""
    ground: str | None = None
    """gold: leaf in place of the background."""
    light: float = LIGHT
    """Degrees from which light falls, counter-clockwise from the right; 135 is the upper left."""

    def finish(self, painting: Painting | None = None) -> Finish | None:
        """The finish of the options; None if none is given. Raises `InputError`.

        Without a material, what is not given is that of a painting.
        """
        given = {name: getattr(self, name) for name in ("material", "paper", "relief", "ground")}
        given = {name: value for name, value in given.items() if value is not None}
        if self.light != LIGHT:
            given["light"] = self.light
        if not given:
            return None
        if "paper" in given and os.path.isfile(given["paper"]):
            given["paper"] = embedded_paper(given["paper"])
        recorded = painting.finish if painting is not None and self.material is None else None
        return replace(recorded or Finish(), **given)
