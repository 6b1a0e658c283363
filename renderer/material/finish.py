"""What drawing adds to the strokes of a painting: a material, a paper, a ground and light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from renderer.errors import InputError
from renderer.io.from_json import from_json
from renderer.material.grounds import check_ground
from renderer.material.materials import load_material
from renderer.material.papers import check_paper

LIGHT = 135.0  # degrees: from the upper left


@dataclass(frozen=True)
class Finish:
    """How a painting is drawn; nothing of it concerns its strokes.

    Attributes:
        material: a registered material, see `renderer.material.materials`.
        paper: a registered paper, or the text of `renderer.material.papers.embedded_paper`; that of the material for None.
        ground: `gold`, in place of the background; None for the painting's own.
        relief: strength of light and shadow on paint and paper, in [0, 1]; that of the material for None.
        light: degrees from which light falls, counter-clockwise from the right.
        seed: of the noise of paint and paper.

    Raises:
        InputError: for names that are not known, and numbers out of range.
    """

    material: str = "none"
    paper: str | None = None
    ground: str | None = None
    relief: float | None = None
    light: float = LIGHT
    seed: int = 0

    def __post_init__(self) -> None:
        load_material(self.material)
        if self.paper is not None:
            check_paper(self.paper)
        if self.ground is not None:
            check_ground(self.ground)
        if self.relief is not None and not 0 <= self.relief <= 1:
            raise InputError(f"Relief is a number from 0 to 1, not {self.relief}.")
        if not -360 <= self.light <= 360:
            raise InputError(f"Light falls from an angle between -360 and 360 degrees, not {self.light}.")

    @property
    def plain(self) -> bool:
        """Whether it adds nothing."""
        return self.material == "none" and self.paper in (None, "none") and self.ground is None

    def record(self) -> dict[str, Any]:
        """What a painting's provenance holds of it."""
        return asdict(self)

    @classmethod
    def recorded(cls, provenance: Mapping[str, Any]) -> Finish | None:
        """The finish that a painting's provenance holds; None if it holds none. Raises `InputError` for another."""
        if provenance.get("finish") is None:
            return None
        try:
            return from_json(cls, provenance["finish"], "finish")
        except ValueError as error:
            raise InputError(f"The painting records a finish that cannot be drawn: {error}") from error
