"""Learn brushes and painters, and repaint faces stroke by stroke.

Each command answers --help and is the same as `python -m experiments.NAME`.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping

from experiments.cli import choose

# Modules by command, which are imported only when they are run, and a line of help.
COMMANDS: dict[str, tuple[str, str]] = {
    "paint": ("experiments.repaint", "Repaint pictures stroke by stroke."),
    "studio": ("experiments.studio", "Paint on a web page: watch, draw, edit, compare, export."),
    "clip": ("experiments.clip", "Repaint a video with strokes that persist from frame to frame."),
    "paint-collection": ("experiments.paint_collection", "Paint a whole collection with many workers, resumably."),
    "replay": ("experiments.replay", "Render a saved painting at any size, as an image, a video or vectors."),
    "edit": ("experiments.edit", "Recolour, remove, keep or reorder the strokes of a saved painting."),
    "export": ("experiments.export", "Write a painting for other programs, for a hand with a brush, for a plotter."),
    "stylize": ("experiments.stylize", "Paint the content of a picture in the style of a brush or of another picture."),
    "visualize": ("experiments.visualize", "Paint what activates a class or a feature of a network."),
    "evaluate": ("experiments.evaluate", "Measure the error of the painting methods on KaoKore faces."),
    "benchmark-pictures": ("experiments.benchmark_pictures", "Measure paintings of your pictures in a table."),
    "train": ("", "Train a renderer, an agent, a classifier or a StyleGAN."),
    "classify": ("experiments.classify", "Train and evaluate classifiers of gender and social status."),
    "cut-strips": ("experiments.cut_strips", "Cut the strips of a stochastic brush from its reference brush."),
    "scan-brush": ("experiments.scan_brush", "Make a brush of a photographed sheet of strokes."),
    "stylegan": ("experiments.stylegan", "Train a StyleGAN, sample from it, and project faces into it."),
    "annotate": ("experiments.annotate", "Label faces on a web page."),
    "bench": ("experiments.bench", "Measure speed and fidelity against named baselines."),
    "recognizability": (
        "experiments.recognizability",
        "Measure after how many strokes a classifier recognizes a face.",
    ),
    "model-card": ("experiments.model_card", "Write the model card of a checkpoint from its metadata."),
    "gpu-check": ("experiments.gpu_check", "Check and measure painting on a GPU."),
    "figures": ("", "Make a figure or a page of the documentation."),
    "data": ("kaokore", "Download KaoKore and count its images."),
}
TRAININGS: dict[str, tuple[str, str]] = {
    "renderer": ("experiments.train_renderer", "Train a neural renderer on strokes of a reference brush."),
    "agent": ("experiments.train_agent", "Train the painting agent on KaoKore faces."),
    "huang2019": ("experiments.train_huang2019", "Train the agent of Huang et al. (2019), a baseline."),
    "ppo": ("experiments.train_ppo", "Train an agent by PPO, a model-free baseline."),
    "classifier": ("experiments.classify train", "Train a classifier of gender or social status."),
    "stylegan": ("experiments.stylegan train", "Train a StyleGAN on KaoKore faces."),
}
FIGURES: dict[str, tuple[str, str]] = {
    "after-painting": ("experiments.figures.after_painting", "Layers of a file, and loads of a paint plan."),
    "beyond": ("experiments.figures.beyond", "Paintings of pictures other than faces."),
    "brush-sheet": ("experiments.figures.brush_sheet", "A sheet of MyPaint's brushes."),
    "clip-sheet": ("experiments.figures.clip_sheet", "A painted clip, compared with its frames painted alone."),
    "curves": ("experiments.figures.curves", "Curves of trainings."),
    "draw-face": ("experiments.figures.draw_face", "The face that `make paint` paints."),
    "fidelity-sheet": ("experiments.figures.fidelity_sheet", "Reference and learned strokes side by side."),
    "gallery": ("experiments.figures.gallery", "The gallery of all shipped brushes."),
    "made-up-sheet": ("experiments.figures.made_up_sheet", "A made-up photograph of strokes, to try scan-brush."),
    "material-gallery": ("experiments.figures.material_gallery", "The gallery of all materials."),
    "scanned-brush": ("experiments.figures.scanned_brush", "How a sheet of strokes becomes a brush."),
    "style-pairs": (
        "experiments.figures.style_pairs",
        "Images in the strokes of others, and who is recognised in them.",
    ),
    "strip": ("experiments.figures.strip", "Stages of a painting by the number of strokes."),
}
GROUPS = {"train": TRAININGS, "figures": FIGURES}


def main() -> None:
    """Run the command that the arguments name."""
    prog = "kaokore-painter"
    name = _choose(sys.argv[1:], COMMANDS, __doc__, prog)
    module, rest = COMMANDS[name][0], sys.argv[2:]
    if name in GROUPS:
        inner = _choose(rest, GROUPS[name], COMMANDS[name][1], f"{prog} {name}")
        module, rest = GROUPS[name][inner][0], rest[1:]
    module, *subcommand = module.split()
    sys.argv[1:] = [*subcommand, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _choose(arguments: list[str], commands: Mapping[str, tuple[str, str]], description: str | None, prog: str) -> str:
    return choose(arguments, {name: about for name, (_, about) in commands.items()}, description, prog)


if __name__ == "__main__":
    main()
