"""Measure how near dreamt faces are to real ones: one line of JSON with KID and FID."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments.cli import choose_device, require
from experiments.stylegan.data import load_classes
from experiments.stylegan.dreamer import Dream, Dreamer, begin
from experiments.stylegan.features import Source, load_features
from experiments.stylegan.measure import fid, kid


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
    nearer, and FID of few pictures is far from 0 even then.
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
    figures |= {"dev_faces": len(theirs), "features": config.features, "truncation": config.truncation, "size": size}
    figures |= {"seed": config.seed, "images": dreamer.about.get("images")}
    print(json.dumps(figures))
    return figures


def distance(dreamer: Dreamer, features: Callable[[Tensor], Tensor], theirs: Tensor, faces: int) -> float:
    """KID of so many faces, always the same draws, from features (N, F) of real ones: what a training is watched by."""
    draws = torch.Generator().manual_seed(0)
    w = dreamer.styles(faces, Dream("", truncation=1.0), draws)
    return kid(features(dreamer.paint(w, draws)), theirs)
