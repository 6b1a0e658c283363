"""Model cards: what a checkpoint's metadata say about it, as Markdown for people and for the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from renderer.io.checkpoint import Checkpoint

BUILD = ("python", "torch", "threads", "commit")  # entries that say what the training ran on
BRUSH_USE = (
    'from renderer import load_brush\n\nbrush = load_brush("{name}")\nmark = brush(brush.space.sample(1), (128, 128))'
)
BY_SA = "cc-by-sa-4.0"


@dataclass(frozen=True)
class Kind:
    """What is said of all networks of a kind: a title, a paragraph, how to use it, and what it is not good for."""

    title: str
    about: str
    use: str
    limits: str


_BRUSH_LIMITS = (
    "It draws single strokes as its reference brush does; the table says how nearly. Gradients flow into every value of a "
    "stroke. Strokes outside of its stroke space cannot be drawn."
)
KINDS = {
    "stroke-map": Kind(
        "Learned Bezier brush",
        "A differentiable renderer: a network that maps a stroke's shape to a map in curve coordinates, which is decoded to "
        "the mark at any size.",
        BRUSH_USE,
        _BRUSH_LIMITS,
    ),
    "neural-brush": Kind(
        "Learned brush of MyPaint",
        "A differentiable renderer of one brush of MyPaint: a network that maps a stroke's shape to a texture, which is "
        "wrapped around the stroke's path, at any size.",
        BRUSH_USE,
        _BRUSH_LIMITS + " Of a stochastic brush, the noise is of the same kind, not the same noise.",
    ),
    "strips": Kind(
        "Strips of a stochastic brush",
        "Exemplars cut from strokes of the reference brush, by pressure and seed, which break up the learned mean of the "
        "brush along each stroke.",
        'from renderer.brush import load_brush\n\nbrush = load_brush("strips:" + "{name}".removesuffix("-strips"))',
        "Broad strokes show where strips are mirrored at their ends. Agents and optimisation plan with the mean.",
    ),
    "huang2019": Kind(
        "Renderer of Huang et al. (2019)",
        "A differentiable renderer of Bezier strokes at 128 pixels, the architecture of Learning to Paint.",
        BRUSH_USE,
        "It draws at 128 pixels only; larger canvases are enlarged.",
    ),
    "policy": Kind(
        "Painting agent",
        "A fully convolutional policy that sees a picture and a canvas and proposes strokes in every cell of a grid, coarse "
        "to fine; planning chooses among them.",
        'from painter import Painter\n\npainting = Painter("agent", agent="{name}").paint("face.jpg", strokes=200)',
        "It was trained on faces of Japanese picture scrolls at 128 pixels; other pictures are painted well, too, but were "
        "not measured as thoroughly.",
    ),
    "classifier": Kind(
        "Classifier of KaoKore faces",
        "A network that names the gender or the social status of a face in a Japanese picture scroll.",
        'from kaokore.classify import load_classifier\n\nclassifier = load_classifier("{name}")',
        "Labels describe how painters of the 16th and 17th century showed people, in the words of KaoKore's annotators. It "
        "says nothing about living people or photographs, and must not be used on them.",
    ),
    "stylegan": Kind(
        "Generator of faces",
        "A StyleGAN2 that samples faces in the manner of KaoKore, by gender and social status.",
        'from kaokore.stylegan import load_generator\n\ngenerator = load_generator("{name}")',
        "At 64 pixels and after a short training on two CPU cores; rare classes look alike. Samples are derived from the "
        "data set and have its licence.",
    ),
}
# Numbers of `about` that have a name for people: title, and how they are written.
FIGURES = {
    "alpha_mse": ("Mean squared error of alpha against the reference brush", "{:.2e}"),
    "alpha_mse_of_chance": ("Of which the brush's own noise explains", "{:.2e}"),
    "kernel_distance": ("Kernel distance of marks to the reference brush's", "{:.4f}"),
    "kernel_distance_of_chance": ("Kernel distance between two sets of the reference brush", "{:.4f}"),
    "dev_mse": ("Mean squared error on dev faces", "{:.5f}"),
    "dev_perceptual": ("Perceptual distance on dev faces", "{:.3f}"),
    "kid": ("Kernel inception distance to dev faces", "{:.3f}"),
    "accuracy": ("Accuracy", "{:.3f}"),
    "balanced_accuracy": ("Balanced accuracy", "{:.3f}"),
    "ece": ("Expected calibration error", "{:.3f}"),
    "nll": ("Negative log likelihood", "{:.3f}"),
    "strokes": ("Strokes", "{:,}"),
    "faces": ("Faces measured", "{:,}"),
    "n": ("Faces measured", "{:,}"),
    "steps": ("Training steps", "{:,}"),
    "episodes": ("Training episodes", "{:,}"),
    "epochs": ("Training epochs", "{:,}"),
    "images": ("Training images shown", "{:,}"),
    "train_faces": ("Training faces", "{:,}"),
    "seed": ("Seed", "{}"),
}


def model_card(checkpoint: Checkpoint, name: str, picture: str | None = None) -> str:
    """The model card of a checkpoint, from its metadata.

    Args:
        checkpoint: of any kind; kinds that this version does not know get a plain card.
        name: by which it is loaded.
        picture: the address of a picture for it.

    Returns:
        Markdown that begins with the metadata of the Hub (YAML).
    """
    kind, licence = _kind(checkpoint), licence_of(checkpoint)
    head = [
        "---",
        f"license: {licence}",
        "library_name: kaokore-painter",
        f"tags: [{', '.join(_tags(checkpoint))}]",
        "---",
    ]
    lines = [*head, "", f"# {_plain(name)}: {kind.title[0].lower()}{kind.title[1:]}", "", kind.about, ""]
    if picture is not None:
        address = quote(picture, safe="/:?&=#%+,;@~")  # parentheses and spaces would end it
        lines += [f"![{_plain(name)}]({address})", ""]
    lines += ["## Figures", "", *_table(("", ""), figures_of(checkpoint).items()), ""]
    recall = _evaluation(checkpoint).get("recall")
    if isinstance(recall, Mapping) and recall:
        rows = [(label, f"{value:.3f}") for label, value in recall.items() if isinstance(value, (int, float))]
        lines += ["Recall of each class:", "", *_table(("class", "recall"), rows), ""]
    lines += [
        "## Use",
        "",
        "```python",
        kind.use.format(name=_plain(name)),
        "```",
        "",
        "## Limits",
        "",
        kind.limits,
        "",
    ]
    about = checkpoint.about
    lines += ["## Training", ""]
    if isinstance(about.get("command"), str):
        lines += ["```", without_paths(about["command"]), "```", ""]
    build = [f"{key} {_plain(about[key])}" for key in BUILD if key in about]
    lines += [f"With {', '.join(build)}.", ""] if build else []
    if "note" in about:
        lines += [f"{_plain(without_paths(str(about['note']))).rstrip('.')}.", ""]
    if "data" in about:
        lines += [f"Data: {_plain(about['data'])}.", ""]
    lines += [f"Licence: {licence}. Hash of kind, configuration and weights: `{checkpoint.hash()}`.", ""]
    return "\n".join(lines)


def overview(checkpoints: Mapping[str, Checkpoint], pictures: Mapping[str, str]) -> str:
    """One page of several checkpoints: a table, then a part for each, with its picture and figures.

    Args:
        checkpoints: by the name by which each is loaded.
        pictures: addresses of pictures, by the same names.
    """
    rows = [
        (f"[{name}](#{name})", _kind(each).title, f"{_weights(each):,}", licence_of(each))
        for name, each in checkpoints.items()
    ]
    lines = [
        "# Checkpoints",
        "",
        "Written by `python -m experiments.model_card --shipped` from the metadata in the files. Each is a safetensors file "
        "with weights, configuration, stroke space and figures, and no code. They are loaded by name, by path, or from the "
        "Hugging Face Hub as `hf://OWNER/REPOSITORY/FILE.safetensors`.",
        "",
        *_table(("name", "what", "weights", "licence"), rows),
        "",
    ]
    for name, each in checkpoints.items():
        kind = _kind(each)
        lines += [f"## {name}", "", f"{kind.title}. {kind.about}", ""]
        lines += [f"![{name}]({pictures[name]})", ""] if name in pictures else []
        lines += [*_table(("", ""), figures_of(each).items()), ""]
        if isinstance(each.about.get("command"), str):
            lines += [f"Trained by `{without_paths(each.about['command'])}`; hash `{each.hash()}`.", ""]
    return "\n".join(lines)


def figures_of(checkpoint: Checkpoint) -> dict[str, str]:
    """The figures of a checkpoint by their titles, as text; those that are not known are left out."""
    given = {**checkpoint.about, **_evaluation(checkpoint)}
    found = {"Weights": f"{_weights(checkpoint):,}"}
    if checkpoint.space is not None:
        found["Stroke space"] = f"{checkpoint.space.name}, {checkpoint.space.width} columns"
    for key, (title, form) in FIGURES.items():
        value = given.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if value == 0 and key.endswith("_of_chance"):  # the brush has no noise
            continue
        found[title] = form.format(int(value) if form == "{:,}" else value)
    return found


def licence_of(checkpoint: Checkpoint) -> str:
    """`cc-by-sa-4.0` of what was trained on such data, else that of the code."""
    return BY_SA if "BY-SA" in str(checkpoint.about.get("data", "")) else "apache-2.0"


def without_paths(text: str) -> str:
    """Text with only the last part of paths of folders: those of one machine say nothing.

    >>> without_paths("train --root /data/of/me/kaokore --runs ../shared/runs")
    'train --root kaokore --runs runs'
    """
    return re.sub(r"(?<![\w.])(?:\.\.)?/(?:[^\s/]+/)*([^\s/]+)", r"\1", text)


def _kind(checkpoint: Checkpoint) -> Kind:
    plain = Kind(f"Network of the kind {_plain(checkpoint.kind)}", "", "", "This version does not know its kind.")
    return KINDS.get(checkpoint.kind, plain)


def _tags(checkpoint: Checkpoint) -> list[str]:
    return ["kaokore-painter", "neural-painting", re.sub(r"[^\w-]", "-", checkpoint.kind)[:40]]


def _evaluation(checkpoint: Checkpoint) -> Mapping[str, Any]:
    found = checkpoint.about.get("evaluation")
    return found if isinstance(found, Mapping) else {}


def _weights(checkpoint: Checkpoint) -> int:
    return sum(tensor.numel() for tensor in checkpoint.tensors.values())


def _plain(text: object) -> str:
    """Text from a file, in one line, that Markdown shows as it is."""
    return re.sub(r"([<>|`*\[\]])", r"\\\1", " ".join(str(text).split()))[:500]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
