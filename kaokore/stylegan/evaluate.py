"""Measure how near dreamt faces are to real ones: one line of JSON with KID and FID."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from experiments.cli import choose_device, require
from kaokore.classify.classifier import CLASSES, load_classifier
from kaokore.classify.data import Faces, load_labelled
from kaokore.classify.evaluate import report
from kaokore.stylegan.data import load_classes
from kaokore.stylegan.features import Source, load_features
from kaokore.stylegan.generator import Dream, Dreamer, begin
from kaokore.stylegan.metrics import fid, kid

ASKED = 100  # dreams of each label


@dataclass(frozen=True)
class Evaluate(Dream):
    """Measure how near dreamt faces are to real ones; prints one line of JSON."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Of KaoKore."""
    faces: int = 2000
    """How many to dream. FID depends on it."""
    features: Source = "lite0"
    """By which network; inception's weights are downloaded."""
    truncation: float = 1.0
    """1, for all faces count."""


def evaluate(config: Evaluate) -> dict[str, Any]:
    """Prints figures against the dev faces as JSON and returns them. Raises `InputError` or `DatasetError`.

    Beside them stand those of real faces: as many of train as were dreamt (or all), against dev. Nothing can be much
    nearer, and FID of few pictures is far from 0 even then. `obeys` says how often a dream is what it was asked to be.
    """
    require(config, faces=2)
    dreamer, draws = begin(config)
    features = load_features(config.features, choose_device(config.device))
    size = dreamer.generator.config.size
    dev = load_classes(config.root, "dev", size, config.version).images
    train = load_classes(config.root, "train", size, config.version).images
    train = train[torch.randperm(len(train), generator=draws)[: config.faces]]
    dreamt = dreamer.paint(dreamer.styles(config.faces, config, draws), draws)
    theirs, real, ours = features(dev / 255), features(train / 255), features(dreamt)
    figures: dict[str, Any] = {"kid": kid(ours, theirs), "fid": fid(ours, theirs), "faces": len(ours)}
    figures |= {"kid_real": kid(real, theirs), "fid_real": fid(real, theirs), "real_faces": len(real)}
    if dreamer.generator.config.conditional:
        figures["obeys"] = {task: obedience(dreamer, task, config) for task in CLASSES}
        figures["obeys_real"] = {task: obedience_of_dev(task, size, config) for task in CLASSES}
    figures |= {"dev_faces": len(theirs), "features": config.features, "truncation": config.truncation, "size": size}
    figures |= {"seed": config.seed, "images": dreamer.about.get("images")}
    print(json.dumps(figures))
    return figures


def obedience(dreamer: Dreamer, task: str, config: Evaluate) -> float:
    """Share of dreams asked for by a label, each equally often, that the shipped classifier gives this label."""
    dreams, device = [], choose_device(config.device)
    for name in CLASSES[task]:
        asked = Dream("", truncation=config.truncation)
        asked = replace(asked, gender=name) if task == "gender" else replace(asked, status=name)
        draws = torch.Generator().manual_seed(config.seed)
        dreams.append(dreamer.paint(dreamer.styles(ASKED, asked, draws), draws))
    faces = Faces((torch.cat(dreams) * 255).round().byte(), torch.arange(len(dreams)).repeat_interleave(ASKED))
    return float(report(load_classifier(f"kaokore-{task}", device), faces, "", device)["accuracy"])


def obedience_of_dev(task: str, size: int, config: Evaluate) -> float:
    """The same of the real dev faces at `size` pixels: the classifier's balanced accuracy."""
    device = choose_device(config.device)
    faces = load_labelled(config.root, "dev", task, size, version=config.version)
    return float(report(load_classifier(f"kaokore-{task}", device), faces, "dev", device)["balanced_accuracy"])


def distance(dreamer: Dreamer, features: Callable[[Tensor], Tensor], theirs: Tensor, faces: int) -> float:
    """KID of so many faces, always the same draws, from features (N, F) of real ones: what a training is watched by."""
    draws = torch.Generator().manual_seed(0)
    w = dreamer.styles(faces, Dream("", truncation=1.0), draws)
    return kid(features(dreamer.paint(w, draws)), theirs)
