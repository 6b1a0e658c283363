"""Materials: what strokes are made of. An extension point: `register_material`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from renderer.errors import InputError


@dataclass(frozen=True)
class Material:
    """How the mark of a stroke becomes paint. The defaults change nothing.

    A brush says where a mark is and how much it covers (alpha); the material breaks this up so that about as much is
    covered on average: where the alpha is above a texture's threshold. The texture is a mixture of hairs (streaks along the
    stroke), grains (of the paint) and the paper. Lengths are in half widths of the stroke unless they are said to be of the
    canvas (its short side).

    Attributes:
        hairs, grains, tooth: weights of streaks along the stroke, of speckles, and of the paper's relief in the texture.
        breaks: 0, alpha stays smooth; 1, it is all or nothing, but for `softness`.
        softness: range of the texture over which a mark fades, in [0.02, 1].
        ragged: how far in from its outline a mark breaks up.
        ends: how far in from its two tips, beyond that.
        dry: how much of the paint is used up at the end of a long stroke.
        opaque: how much stronger covering the inside of a mark is: 0, as planned; 1, full wherever it covers half.
        wobble: by how much outlines waver.
        rim: how much darker, by more pigment, the rim of a mark is.
        rim_width: of the rim, a fraction of the canvas.
        granulation: how much pigment settles in the paper's valleys.
        pools: how much the amount of pigment varies from place to place in a mark.
    screen: how far greys are made of one black pigment on the paper's tooth, instead of grey paint.
    streaks: how much lightness varies between hairs.
        hues: how much colours vary between clumps of hairs.
        jitter: how much colours vary between strokes.
        saturation: of colours; 0 for black paint.
        warmth: of black paint, added to red and taken from blue.
        contrast: of lightness around mid-grey, for black paint.
        thickness: of the paint, a fraction of the half width.
        ridges: how much of the thickness hairs plough into ridges.
        bead: how much paint is pushed out to the rim.
        levels: how much a stroke levels the relief below it.
        gloss: strength of highlights.
        hair: breadth of a hair on a stroke with a half width of .02, a fraction of the canvas.
        grain: size of a grain, a fraction of the canvas.
        paper: that it is drawn on by default.
        relief: strength of light and shadow by default, in [0, 1].
    """

    hairs: float = 0.0
    grains: float = 0.0
    tooth: float = 0.0
    breaks: float = 0.0
    softness: float = 0.3
    ragged: float = 0.0
    ends: float = 0.0
    dry: float = 0.0
    opaque: float = 0.0
    wobble: float = 0.0
    rim: float = 0.0
    rim_width: float = 0.004
    granulation: float = 0.0
    pools: float = 0.0
    screen: float = 0.0
    streaks: float = 0.0
    hues: float = 0.0
    jitter: float = 0.0
    saturation: float = 1.0
    warmth: float = 0.0
    contrast: float = 1.0
    thickness: float = 0.0
    ridges: float = 0.0
    bead: float = 0.0
    levels: float = 0.0
    gloss: float = 0.0
    hair: float = 0.0026
    grain: float = 0.0016
    paper: str = "none"
    relief: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "paper" and not -10 <= value <= 10:  # false for NaN, too
                raise InputError(f"A material's {field.name} is a number between -10 and 10, not {value}.")
        if not (self.hair > 0 and self.grain > 0 and self.rim_width > 0 and 0.02 <= self.softness <= 1):
            raise InputError("A material has hair, grain and rim_width above 0, and softness between .02 and 1.")


_MATERIALS: dict[str, Material] = {
    "none": Material(),
    "oil": Material(
        hairs=1.0, grains=0.12, tooth=0.10, breaks=0.85, softness=0.4, ragged=0.35, ends=1.3, dry=0.2, opaque=0.15,
        wobble=0.05, streaks=0.028, hues=0.009, jitter=0.008, thickness=0.085, ridges=0.75, bead=0.5, levels=0.75,
        gloss=0.14, hair=0.0024, paper="canvas", relief=0.5,
    ),
    "impressionist": Material(
        hairs=1.0, grains=0.2, tooth=0.1, breaks=0.9, softness=0.3, ragged=0.4, ends=1.5, dry=0.2, opaque=0.5, wobble=0.08,
        streaks=0.035, hues=0.022, jitter=0.035, thickness=0.12, ridges=0.7, bead=0.8, levels=0.6, gloss=0.12, hair=0.0032,
        paper="canvas", relief=0.6,
    ),
    "watercolour": Material(
        grains=0.3, tooth=0.4, breaks=0.10, softness=0.6, ragged=0.06, wobble=0.14, rim=0.9, rim_width=0.0035,
        granulation=0.16, pools=0.22, hues=0.006, paper="rough", relief=0.18,
    ),
    "gouache": Material(
        hairs=0.7, grains=0.5, tooth=0.35, breaks=0.6, softness=0.3, ragged=0.14, ends=0.4, dry=0.15, opaque=0.6,
        wobble=0.05, streaks=0.012, jitter=0.008, thickness=0.012, ridges=0.5, bead=0.3, levels=0.3, hair=0.0022,
        paper="rough", relief=0.16,
    ),
    "ink": Material(
        hairs=1.0, grains=0.25, tooth=0.35, breaks=0.9, softness=0.3, ragged=0.2, ends=1.1, dry=0.6, opaque=0.0,
        wobble=0.07, rim=0.3, rim_width=0.002, granulation=0.08, pools=0.12, saturation=0.0, warmth=0.012, contrast=1.3,
        hair=0.0020, paper="washi", relief=0.16,
    ),
    "charcoal": Material(
        hairs=0.5, grains=0.8, breaks=0.6, softness=0.5, ragged=0.5, ends=0.4, wobble=0.06, screen=0.7, saturation=0.0,
        warmth=0.01, contrast=1.15, grain=0.0013, paper="laid", relief=0.12,
    ),
    "pastel": Material(
        hairs=0.35, grains=0.7, tooth=0.5, breaks=0.9, softness=0.3, ragged=0.45, ends=0.4, opaque=0.3, wobble=0.06,
        streaks=0.015, hues=0.006, jitter=0.012, thickness=0.008, grain=0.0014, paper="rough", relief=0.16,
    ),
}  # fmt: skip


def register_material(name: str, material: Material) -> None:
    """Let `--material` find a material; one registered earlier under the name is replaced."""
    _MATERIALS[name] = material


def material_names() -> list[str]:
    """The registered materials, in a fixed order."""
    return list(_MATERIALS)


def load_material(name: str) -> Material:
    """The material called `name`. Raises `InputError`."""
    if name not in _MATERIALS:
        raise InputError(f"There is no material {name!r}; choose one of {', '.join(_MATERIALS)}.")
    return _MATERIALS[name]
