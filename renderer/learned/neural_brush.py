"""The neural brush: a network that draws the strokes of one brush of MyPaint at any size (Nakano 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from renderer.brush import Bounds, Mark, Patches, Size, Window, box_of, layout
from renderer.brushes.bezier import box_around, colours, pixel_centres
from renderer.learned.curve_coordinates import Place, Sweep, sweeps
from renderer.learned.learned_brush import LearnedBrush, mix_mirrored
from renderer.learned.stochastic import GRAIN, TILE, Grain, StrokeNoise, stroke_noise
from renderer.ops.decode_texture import CAP, decode_texture, texture_nodes
from renderer.ops.patch_pixels import lookup, pixels_of
from renderer.ops.triton_strokes import StrokeCodes, corners
from renderer.strokes import MYPAINT

OUTSIDE = -12.0  # the logit on the border of every texture
MAX_REACH = 100.0  # radii
PIXELS = 1.0  # how far beyond its reach a brush may touch pixels, because of anti-aliasing
FINE, COARSE = 0.25, 32.0  # radii in pixels between which anti-aliasing matters


class NeuralBrush(LearnedBrush):
    """Maps the *shape* of a stroke to a texture in curve coordinates, which is wrapped around the stroke's path.

    A multilayer perceptron takes what remains of a stroke without its position (lengths in radii, bend, pressures; for
    some brushes also the direction and the size on the canvas) and returns logits of alpha on a grid of `along` x `across`
    nodes: along the path, with room before its start and after its end, and across it, out to the brush's reach on both
    sides. Every pixel looks up its own curve coordinates there (`renderer.learned.curve_coordinates`), so that a thin line
    is as sharp as a broad one, at any resolution. As of the reference brush, alpha is 0 beyond the reach, without pressure
    and without radius, and proportional to opacity.

    Stochastic brushes (charcoal, impressionist) have per-stroke noise of one of two kinds, both a function of the stroke,
    so that a stroke is the same whenever it is drawn: with `grain`, noise shaped by a small convolutional network, laid
    along the stroke and modulated by further textures (trained against a critic, the paper's GAN); with `latent`, numbers
    that choose among textures (the paper's VAE). The noise changes smoothly with the stroke's ends.

    Gradients are those of the mark with its noise, grain and latent numbers, held in place: they are not the derivative of
    what a stochastic brush draws, where the noise changes with the stroke. Agents, and optimisation of the squared error,
    draw `mean_brush()`, which has no grain and so an exact gradient. The gradient of a stroke shorter than a pixel is
    approximate, since its curve coordinates are (`renderer.learned.curve_coordinates`). Without pressure or radius, it is
    that of the smallest mark.

    Args:
        brush: name of the reference brush, recorded in paintings.
        reach: how far a mark reaches from its path, in radii.
        directed: whether the mark depends on the stroke's direction, or on the side it bends to.
        sized: whether the mark depends on the stroke's size on the canvas.
        hidden: width of the perceptron.
        along: nodes of a texture along the path.
        across: nodes of a texture across the path.
        latent: how many numbers choose among textures.
        grain: how many channels of noise.
        myb: the text of the reference brush's file, recorded in paintings.
    """

    space = MYPAINT

    def __init__(
        self,
        brush: str,
        reach: float,
        directed: bool = True,
        sized: bool = True,
        hidden: int = 128,
        along: int = 25,
        across: int = 17,
        latent: int = 0,
        grain: int = 0,
        myb: str = "",
    ) -> None:
        super().__init__()
        if along < 2 * CAP + 2 or across < 3 or not 0 < reach <= MAX_REACH or min(latent, grain, hidden - 1) < 0:
            raise ValueError(f"a texture of {along} x {across} nodes and a reach of {reach} radii cannot hold a stroke")
        self.brush, self.myb = brush, myb
        self.reach, self.directed, self.sized = reach, directed, sized
        self.along, self.across, self.latent = along, across, latent
        self.textures = (
            1 if grain == 0 else 2 + grain
        )  # the mean; with grain also a base and the amplitudes of the grain
        inputs = 10 + 2 * sized + 4 * directed + latent
        self.body = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, self.textures * along * (across - 2)),
        )
        self.grain = Grain(grain) if grain else None

    def forward(
        self,
        strokes: Tensor,
        size: Size,
        window: Window | None = None,
        stroke_noise: StrokeNoise | None = None,
        mean: bool = False,
    ) -> Mark:
        """See `renderer.brush.Brush`; for `stroke_noise` and `mean`, see `at`."""
        self.check(strokes, size)
        x, y = pixel_centres(size, window, strokes)
        x, y = x.expand(len(strokes), -1), y.expand(len(strokes), -1)
        left, top, right, bottom = (side[:, None] for side in self.bounds(strokes, size))
        across, down = (x > left) & (x < right), (y > top) & (y < bottom)
        owner, row, column = (down[:, :, None] & across[:, None, :]).nonzero(as_tuple=True)
        alpha = self.at(strokes, size, owner, x[owner, column], y[owner, row], stroke_noise, mean)
        canvas = strokes.new_zeros(len(strokes), 1, y.shape[1], x.shape[1])
        canvas[owner, 0, row, column] = alpha
        return Mark(canvas, colours(strokes, MYPAINT))

    def bounds(self, strokes: Tensor, size: Size) -> Bounds:
        """The box around the path, enlarged by the brush's reach."""
        start, end = (MYPAINT.get(strokes.detach(), name) * _scale(strokes, size) for name in ("start", "end"))
        return box_around(start, end, self._reach(strokes.detach(), size), size)

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`: all boxes at once, without grain by one fused operation."""
        self.check(strokes, size)
        box = box_of(self.bounds(strokes, size)) if box is None else box
        start, total = layout(box)
        if self.grain is None:
            alpha = decode_texture(*self._shapes_and_logits(strokes, size), box, start, total)
            alpha = self._without_unpressed(strokes, alpha, box)
        else:
            owner, x, y = pixels_of(box, start, total)
            alpha = self.at(strokes, size, owner, x.to(strokes), y.to(strokes))
        return Patches(alpha, self.space.get(strokes, "colour"), box, start)

    def provenance(self) -> dict[str, Any]:
        """The name and the file's text of the reference brush."""
        return {"brush": self.brush, "myb": self.myb}

    def codes(self, strokes: Tensor, size: Size) -> StrokeCodes | None:
        """See `renderer.brush.Brush`; None for a brush with grain."""
        if self.grain is not None:
            return None
        shapes, logits = self._shapes_and_logits(strokes, size)
        box, colour = corners(*self.bounds(strokes, size)), MYPAINT.get(strokes, "colour")
        return StrokeCodes(shapes, logits, shapes.new_zeros(()), box, colour)

    def _shapes_and_logits(self, strokes: Tensor, size: Size) -> tuple[Tensor, Tensor]:
        """`(N, 15)` numbers of each stroke, see `renderer.ops.decode_texture`, and its texture `(N, along, across)`."""
        sweep = sweeps(strokes, size, self._reach(strokes, size))
        logits = self._logits(strokes, size, sweep, self.stroke_noise(strokes).latent)
        shapes = torch.cat((sweep.packed(), sweep.length / sweep.reach, self._strength(strokes)), -1)
        return shapes, logits[:, 0]

    def at(
        self,
        strokes: Tensor,
        size: Size,
        owner: Tensor,
        x: Tensor,
        y: Tensor,
        stroke_noise: StrokeNoise | None = None,
        mean: bool = False,
    ) -> Tensor:
        """Compute alphas at points.

        Args:
            strokes: `(B, 14)`.
            size: height and width of the canvas.
            owner: `(T,)` the stroke of each point, in any order.
            x: `(T,)` in pixels.
            y: `(T,)` in pixels.
            stroke_noise: instead of the strokes' own.
            mean: the mean of a brush with grain, instead of one sample.

        Returns:
            Alphas `(T,)`.
        """
        stroke_noise = self.stroke_noise(strokes) if stroke_noise is None else stroke_noise
        sweep = sweeps(strokes, size, self._reach(strokes, size))
        logits = self._logits(strokes, size, sweep, stroke_noise.latent)
        place = sweep.locate(owner, x, y)
        length = (sweep.length / sweep.reach)[:, 0][owner]
        row, column = texture_nodes(place, length, self.along, self.across)
        if self.grain is None or mean:
            value = lookup(logits[:, 0], owner, row, column)
        else:
            noise = self._noise(strokes, size, sweep, owner, place, stroke_noise)
            value = lookup(logits[:, 1], owner, row, column)
            for c, grain in enumerate(noise, 2):
                value = value + grain * lookup(logits[:, c], owner, row, column)
        alpha: Tensor = torch.sigmoid(value) * self._strength(strokes)[:, 0][owner] * (place.distance < 1)
        return _hidden(alpha, ~self._pressed(strokes)[:, 0][owner]) if strokes.device.type == "cpu" else alpha

    def mean_brush(self) -> NeuralBrush:
        """The brush without its grain, which is as fast as a brush without noise; itself, if it has no grain."""
        if self.grain is None:
            return self
        sizes = {"along": self.along, "across": self.across, "latent": self.latent, "myb": self.myb}
        hidden = len(self.body[0].get_parameter("bias"))
        brush = NeuralBrush(self.brush, self.reach, self.directed, self.sized, hidden, **sizes)  # type: ignore[arg-type]
        state = {name: value for name, value in self.state_dict().items() if not name.startswith("grain.")}
        last = f"body.{len(self.body) - 1}."
        nodes = self.along * (self.across - 2)
        state = {name: value[:nodes] if name.startswith(last) else value for name, value in state.items()}
        brush.load_state_dict(state)
        return brush.to(self.body[0].get_parameter("weight")).requires_grad_(False).eval()

    def stroke_noise(self, strokes: Tensor) -> StrokeNoise:
        """The noise of strokes `(B, 14)`."""
        return stroke_noise(strokes, self.latent, self.grain)

    def _pressed(self, strokes: Tensor) -> Tensor:
        """`(B, 1)` booleans: whether strokes have pressure and radius; others leave no mark."""
        return MYPAINT.get(strokes, "pressure").amax(-1, keepdim=True) * MYPAINT.get(strokes, "radius") > 0

    def _strength(self, strokes: Tensor) -> Tensor:
        """The factor of a texture's alpha, `(B, 1)`: opacity; on a GPU 0 without pressure or radius (see `_hidden`)."""
        opacity = MYPAINT.get(strokes, "opacity")
        return opacity if strokes.device.type == "cpu" else opacity * self._pressed(strokes)

    def _without_unpressed(self, strokes: Tensor, alpha: Tensor, box: Tensor) -> Tensor:
        """The alphas `(T,)` of boxes one after another, 0 for strokes without pressure or radius."""
        if strokes.device.type != "cpu":
            return alpha
        pressed = self._pressed(strokes)[:, 0]
        if bool(pressed.all()):
            return alpha
        return _hidden(alpha, ~pressed.repeat_interleave(box[:, 2] * box[:, 3], output_size=len(alpha)))

    def _reach(self, strokes: Tensor, size: Size) -> Tensor:
        """The reach in pixels, `(B, 1)`."""
        return self.reach * min(size) * MYPAINT.get(strokes, "radius") + PIXELS

    def _logits(self, strokes: Tensor, size: Size, sweep: Sweep, latent: Tensor) -> Tensor:
        """The textures `(B, textures, along, across)`."""
        radius, reach, length = MYPAINT.get(strokes, "radius") * min(size), sweep.reach, sweep.length
        pressure = MYPAINT.get(strokes, "pressure")
        # In the frame of the chord; where the brush allows it mirrored, so that all strokes bend to one side.
        forward, sideways = sweep.bend
        mirror = torch.ones_like(sideways) if self.directed else torch.where(sideways < 0, -1.0, 1.0)
        parts = [
            length / (length + reach),
            (length / reach + 0.1).log() / 3,
            sweep.chord_length / (length + 0.1 * reach),
            2 * forward - 1,
            2 * sideways * mirror,
            2 * pressure - 1,
            (radius.clamp(FINE, COARSE)).log2() / 3 - 0.5,
            2 * PIXELS / reach - 0.5,
        ]
        if self.sized:
            parts += [(radius / min(size) + 1e-3).log() / 2 + 1.5, 2 * length / min(size) - 1]
        if self.directed:
            cos, sin = sweep.chord.unbind(-1)
            parts += [torch.stack((cos, sin, cos * cos - sin * sin, 2 * cos * sin), -1)]
        if self.latent:
            parts += [latent]
        logits = self._perceptron(torch.cat(parts, -1))
        if not self.directed:
            # A straight stroke could as well be mirrored: the textures of both are mixed, so that they are continuous in the
            # stroke. Not with grain, where amplitudes would cancel.
            if self.grain is None:

                def image(rows: Tensor | slice) -> Tensor:
                    mirrored = torch.cat([*parts[:4], -parts[4], *parts[5:]], -1)
                    return self._perceptron(mirrored[rows]).flip(-1)

                logits = mix_mirrored(logits, (sideways * length / reach)[:, 0], image)
            logits = torch.where(mirror[:, :, None, None] < 0, logits.flip(-1), logits)
        # The shorter a stroke, the more similar the rows of its body: those of a dot all lie at one point.
        body = logits[:, :, CAP:-CAP]
        middle = body.mean(2, keepdim=True)
        body = middle + (length / (length + 0.25 * reach))[:, :, None, None] * (body - middle)
        logits = torch.cat((logits[:, :, :CAP], body, logits[:, :, -CAP:]), 2)
        # The first and the last row lie on the axis: both sides meet there.
        tips = (logits[:, :, :: self.along - 1] + logits[:, :, :: self.along - 1].flip(-1)) / 2
        logits = torch.cat((tips[:, :, :1], logits[:, :, 1:-1], tips[:, :, 1:]), 2)
        # At the border the amplitudes of grain are 0, and alphas almost.
        alphas, amplitudes = pad(logits[:, :2], (1, 1), value=OUTSIDE), pad(logits[:, 2:], (1, 1))
        return torch.cat((alphas, amplitudes), 1)

    def _perceptron(self, features: Tensor) -> Tensor:
        """Textures without their border, `(B, textures, along, across - 2)`, from what the perceptron sees (B, inputs)."""
        logits: Tensor = 4 * self.body(features)
        return logits.view(-1, self.textures, self.along, self.across - 2)

    def _noise(
        self,
        strokes: Tensor,
        size: Size,
        sweep: Sweep,
        owner: Tensor,
        place: Place,
        stroke_noise: StrokeNoise,
    ) -> list[Tensor]:
        """The channels of the grain, each `(T,)`. Without a gradient through the positions: it would only follow noise."""
        assert stroke_noise.tile is not None
        with torch.no_grad():
            cell = (GRAIN * MYPAINT.get(strokes, "radius")[:, 0] * min(size) + 1e-6)[owner]
            reach = sweep.reach[:, 0][owner]
            along = (sweep.arc(owner, place.t) + reach * (place.before + place.behind)) / cell
            shift = stroke_noise.shift[owner]
            row, column = (
                (along + shift[:, 0]).remainder(TILE),
                (place.side * reach / cell + shift[:, 1]).remainder(TILE),
            )
        tile = pad(stroke_noise.tile[None], (0, 1, 0, 1), "circular")[0]  # (channels, TILE + 1, TILE + 1)
        one = torch.zeros_like(owner)
        return [lookup(channel[None], one, row, column) for channel in tile]


def _hidden(alpha: Tensor, hide: Tensor) -> Tensor:
    """Alphas `(T,)`, 0 where `hide` is True; the gradient is as without, so that a stroke can get pressure and radius."""
    return torch.where(hide, alpha - alpha.detach(), alpha)


def _scale(strokes: Tensor, size: Size) -> Tensor:
    return torch.tensor([size[1], size[0]], dtype=strokes.dtype, device=strokes.device)
