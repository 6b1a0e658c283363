"""Train a classifier of gender or social status of KaoKore faces.

Examples:

    python -m experiments.classify train --root data/kaokore --task status
    python -m experiments.classify train --resume runs/FOLDER
"""

from __future__ import annotations

import copy
import json
import math
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from tqdm import tqdm

from experiments.cli import choose_device, progress, require
from experiments.distributed import join_processes
from experiments.runs import describe_run
from experiments.trainer import RunOptions, Trainer, has_state, resumed
from kaokore import ATTRIBUTION
from kaokore.classify import CLASSES, Classifier, Task, load_classifier
from kaokore.classify.augment import Augmentation, augment
from kaokore.classify.classifier import normalise
from kaokore.classify.evaluate import evaluate, predict_scores
from kaokore.classify.metrics import fit_temperature, measure
from kaokore.classify.networks import MODELS, Name, build, parts, start
from kaokore.classify.train import (
    class_weights,
    epoch_order,
    freeze,
    make_optimizer,
    schedule,
    train_step,
    update_average,
)
from kaokore.loading import Images, load_images
from renderer.errors import InputError
from renderer.io.checkpoint import CheckpointError
from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.read import guarded
from renderer.learned.processes import Processes


@dataclass(frozen=True, kw_only=True)
class Train(RunOptions):
    """Train a classifier of gender or social status of KaoKore faces."""

    model: Name = "efficientnet_lite0"
    task: Task = "gender"
    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Version of KaoKore."""
    labels: str | None = None
    """A table like KaoKore's labels.csv whose labels replace those of train faces; annotate writes such tables."""
    folder: str | None = None
    """A folder of more train faces, whose labels are in --labels."""
    weights: Literal["auto", "imagenet", "scratch"] = "auto"
    """Initial weights; auto is imagenet if these are available."""
    size: int = 112
    """Side of a face in pixels."""
    epochs: int = 12
    """Passes over the train faces."""
    batch: int = 32
    """Faces in a step."""
    learning_rate: float | None = None
    """Highest rate of AdamW; by default 1e-3 with ImageNet's weights, and a rate of the network's own from scratch."""
    warmup: float = 1.0
    """Epochs in which the learning rate increases; then it decreases to zero by a cosine."""
    weight_decay: float = 0.05
    smoothing: float = 0.1
    """Label smoothing: the share of a label that is spread over all classes."""
    balance: float = 0.5
    """Class weights in the loss: 0 is none, 1 gives all classes the same total weight."""
    freeze: float = 0.0
    """Share of the network's parts, from the first, that keep their ImageNet weights."""
    augment: float = 1.0
    """Strength of the augmentation."""
    ema: float = 0.99
    """Decay of the moving average of the weights, which is evaluated and saved."""
    evaluate_every: int = 1
    """Epochs between evaluations on the dev faces."""
    patience: int = 6
    """Epochs without an increase of the dev accuracy after which the training ends."""
    flip: bool = True
    """Whether the classifier averages its outputs for a face and for the mirrored face."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions; bfloat16 takes half the time on processors that have it (AVX-512 BF16, GPUs)."""


TINY = Train(weights="scratch", size=32, epochs=2, batch=8)


def train(config: Train) -> Path:
    """Train and return the run folder: `best.safetensors` (see `load_classifier`) and `evaluation.json` (dev).

    Raises `InputError`.
    """
    config = resumed(config, "classify")
    _check(config)
    device = choose_device(config.device)
    with join_processes(config.batch, device) as processes:
        return _train(config, device, processes)


def _train(config: Train, device: torch.device, processes: Processes) -> Path:
    classes = CLASSES[config.task]
    load = partial(load_images, config.root, size=config.size, task=config.task, version=config.version)
    faces = load("train", labels=config.labels, folder=config.folder, track=progress("train images"))
    dev = load("dev", track=progress("dev images"))
    count = len(faces.labels)
    batch = min(config.batch, count)
    batch -= batch % processes.count
    if batch < 2:
        raise InputError("Training requires at least two labelled faces, and one for each process.")

    torch.manual_seed(config.seed)  # the initial weights, and dropout
    network = build(config.model, len(classes))
    origin = None if has_state(config) else _initialise(network, config)
    if processes.count > 1 and device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    network.to(device).to(memory_format=torch.channels_last)
    frozen = freeze(parts(network), config.freeze)
    average = copy.deepcopy(network).eval()
    optimizer = make_optimizer(network, 1.0, config.weight_decay)
    draws = torch.Generator().manual_seed(config.seed)
    objects = {"network": network, "average": average, "optimizer": optimizer, "draws": draws}
    objects["dropout"] = torch.default_generator

    epoch_steps = count // batch
    total = epoch_steps * config.epochs
    weights = class_weights(faces.labels, len(classes), config.balance).to(device)
    precision: torch.dtype = getattr(torch, config.precision)
    with Trainer("classify", config, objects, {"epoch": 0, "pretrained": origin}, processes) as trainer:
        pretrained = str(trainer.notes.get("pretrained"))
        highest = config.learning_rate or (1e-3 if pretrained == "imagenet" else MODELS[config.model].rate)
        about = {"pretrained": pretrained, "train_faces": count, "seed": config.seed, "data": ATTRIBUTION}
        about |= {"kaokore": config.version, **describe_run()}
        classifier = Classifier(config.model, config.task, config.size, average, config.flip, about=about)
        for step in trainer.steps(total, evaluate_every=epoch_steps * config.evaluate_every, log_every=10):
            epoch, place = divmod(step, epoch_steps)
            chosen = epoch_order(count, config.seed, epoch)[place * batch : (place + 1) * batch]
            images = augment(faces.images[chosen].to(device), config.augment, draws, Augmentation())
            images = normalise(processes.part(images), config.model).contiguous(memory_format=torch.channels_last)
            rate = highest * schedule(step, total, round(config.warmup * epoch_steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = train_step(
                network,
                optimizer,
                images,
                processes.part(faces.labels[chosen]).to(device),
                weights=weights,
                smoothing=config.smoothing,
                frozen=frozen,
                precision=precision,
                processes=processes,
            )
            update_average(average, network, step, config.ema)
            trainer.log({"train/loss": loss, "train/learning_rate": rate})
            if trainer.evaluating:
                metrics = measure(predict_scores(classifier, dev.images, device=device), dev.labels, classes)
                accuracy, nll, balanced = (metrics[key] for key in ("accuracy", "nll", "balanced_accuracy"))
                trainer.log({"dev/accuracy": accuracy, "dev/balanced_accuracy": balanced, "dev/nll": nll})
                line = f"loss {loss:.3f}, dev accuracy {accuracy:.4f}, balanced {balanced:.4f}, nll {nll:.3f}"
                tqdm.write(f"epoch {epoch + 1}: {line}", file=sys.stderr)
                if trainer.improved([-accuracy, nll]):
                    trainer.notes["epoch"] = epoch
                    about["epochs"] = epoch + 1
                    classifier.save(trainer.folder / "best.safetensors")
                if step + 1 == total or epoch - trainer.notes["epoch"] >= config.patience:
                    _calibrate(trainer.folder, dev, device)
                    trainer.finish()
    if trainer.finished:
        best = trainer.folder / "best.safetensors"
        with guarded(best, CheckpointError, "holds no evaluation"):
            metrics = load_classifier(best).about["evaluation"]
            from_json(tuple[float, ...], [metrics[name] for name in ("accuracy", "balanced_accuracy", "n")])
        print(
            f"{best}: dev accuracy {metrics['accuracy']:.4f} (balanced {metrics['balanced_accuracy']:.4f}) on "
            f"{metrics['n']} faces; see evaluation.json there."
        )
    return trainer.folder


def _check(config: Train) -> None:
    require(
        config, size=MODELS[config.model].min_size, epochs=1, batch=2, warmup=0, weight_decay=0, balance=0, augment=0
    )
    require(config, patience=1, smoothing=0, freeze=0, ema=0, evaluate_every=1)
    for name in ("smoothing", "freeze", "ema"):
        if getattr(config, name) > 1:
            raise InputError(f"--{name} must be at most 1, not {getattr(config, name)}.")
    if config.learning_rate is not None and not 0 < config.learning_rate < math.inf:
        raise InputError(f"--learning-rate must be a positive number, not {config.learning_rate}.")


def _initialise(network: nn.Module, config: Train) -> str:
    """Set the initial weights, print their origin in one line, and return it: "imagenet" or "scratch"."""
    title = MODELS[config.model].title
    origin, reason = start(network, config.model, config.weights)
    if origin == "scratch" and config.freeze > 0:
        raise InputError(f"--freeze requires ImageNet weights, but {title} would start from scratch ({reason}).")
    print(f"{title} starts from {'ImageNet weights' if origin == 'imagenet' else 'scratch'} ({reason}).")
    return origin


def _calibrate(folder: Path, dev: Images, device: torch.device) -> None:
    """Fit the temperature of the best classifier, and write its metrics into its file and into evaluation.json."""
    best = load_classifier(folder / "best.safetensors", device)
    best.temperature = fit_temperature(predict_scores(best, dev.images, device=device), dev.labels)
    evaluation: dict[str, Any] = evaluate(best, dev.images, dev.labels, split="dev", device=device)
    best.about["evaluation"] = evaluation
    best.save(folder / "best.safetensors")
    with atomic(folder / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(evaluation) + "\n")
