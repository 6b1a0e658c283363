"""Teach a network to tell gender or social status of KaoKore faces.

python -m experiments.classify train --root ../shared/kaokore --task status
python -m experiments.classify train --resume runs/FOLDER
"""

from __future__ import annotations

import copy
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from experiments import runs
from experiments.cli import choose_device, progress, require
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
from renderer.io.files import atomic


@dataclass(frozen=True)
class Train:
    """Teach a network to tell gender or social status of KaoKore faces."""

    model: Name = "efficientnet_lite0"
    task: Task = "gender"
    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Of KaoKore."""
    labels: str | None = None
    """A CSV like KaoKore's labels.csv whose labels replace those of training faces; annotate writes such files."""
    folder: str | None = None
    """A folder whose pictures --labels names instead of KaoKore's; they are trained on too."""
    weights: Literal["auto", "imagenet", "scratch"] = "auto"
    """What to start from; auto is imagenet where these weights can be had."""
    size: int = 112
    """Pixels of a face's side."""
    epochs: int = 12
    batch: int = 32
    learning_rate: float | None = None
    """Of AdamW, at its highest; by default 1e-3 from ImageNet's weights, and from scratch what the network bears."""
    warmup: float = 1.0
    """Epochs in which the learning rate rises; then it falls to zero by a cosine."""
    weight_decay: float = 0.05
    smoothing: float = 0.1
    """Share of a label that is spread over all classes."""
    balance: float = 0.5
    """How much rarer classes count more: 0 not at all, 1 until all classes count the same."""
    freeze: float = 0.0
    """Share of the network's parts, from the first on, that keep their ImageNet weights."""
    augment: float = 1.0
    """Strength of random changes of faces."""
    ema: float = 0.99
    """Decay of the moving average of weights, which is what is evaluated and saved."""
    patience: int = 6
    """Epochs without a better dev accuracy after which training stops."""
    flip: bool = True
    """Whether the classifier averages a face and its mirror image."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of a step's convolutions; bfloat16 halves a training's time where the processor knows it (AVX-512 BF16, a GPU)."""
    minutes_between_saves: float = 3.0
    seed: int = 0
    device: str = "auto"
    resume: str | None = None
    """A run folder to go on with; all other options are then read from it."""
    runs: str = "runs"
    """Where run folders are made."""


TINY = Train(weights="scratch", size=32, epochs=2, batch=8)


def train(config: Train) -> Path:
    """Trains, and returns the run folder: `best.safetensors` (see `load_classifier`) and `evaluation.json` (dev).

    Raises `InputError`.
    """
    folder, begun, resuming = Path(config.resume or ""), False, config.resume is not None
    if resuming:
        config = runs.resume(folder, "classify", Train)
        begun = (folder / "state.safetensors").exists()
    _check(config)
    device, classes = choose_device(config.device), CLASSES[config.task]
    faces = load_images(
        config.root,
        "train",
        config.size,
        task=config.task,
        version=config.version,
        labels=config.labels,
        folder=config.folder,
        track=progress("train images"),
    )
    dev = load_images(
        config.root, "dev", config.size, task=config.task, version=config.version, track=progress("dev images")
    )
    batch = min(config.batch, len(faces.labels))
    if batch < 2:
        raise InputError("Training needs two labelled faces at least.")

    torch.manual_seed(config.seed)  # the initial weights, and dropout
    network = build(config.model, len(classes))
    notes: dict[str, Any] = {"best": None, "epoch": 0, "over": False}
    if not begun:
        notes["pretrained"] = _start(network, config)
    network.to(device).to(memory_format=torch.channels_last)
    frozen = freeze(parts(network), config.freeze)
    average = copy.deepcopy(network).eval()
    optimizer = make_optimizer(network, 1.0, config.weight_decay)
    draws = torch.Generator().manual_seed(config.seed)
    objects = {"network": network, "average": average, "optimizer": optimizer, "draws": draws}
    objects["dropout"] = torch.default_generator
    if not resuming:
        folder = runs.start("classify", config, config.runs)
    done = 0
    if begun:
        done, notes = runs.load_state(folder / "state.safetensors", objects)

    an_epoch = len(faces.labels) // batch
    steps = an_epoch * config.epochs
    weights = class_weights(faces.labels, len(classes), config.balance).to(device)
    highest = config.learning_rate or (1e-3 if notes["pretrained"] == "imagenet" else MODELS[config.model].rate)
    about = {
        "pretrained": notes["pretrained"],
        "train_faces": len(faces.labels),
        "seed": config.seed,
        "data": ATTRIBUTION,
    }
    about |= {"kaokore": config.version, **runs.describe_run()}
    precision: torch.dtype = getattr(torch, config.precision)
    answers = Classifier(config.model, config.task, config.size, average, config.flip, about=about)
    saved = time.monotonic()
    with SummaryWriter(folder) as board, tqdm(total=steps, initial=done, unit="step") as bar:
        for step in range(done, 0 if notes["over"] else steps):
            epoch, place = divmod(step, an_epoch)
            chosen = epoch_order(len(faces.labels), config.seed, epoch)[place * batch : (place + 1) * batch]
            images = augment(faces.images[chosen].to(device), config.augment, draws, Augmentation())
            images = normalise(images, config.model).contiguous(memory_format=torch.channels_last)
            rate = highest * schedule(step, steps, round(config.warmup * an_epoch))
            for group in optimizer.param_groups:
                group["lr"] = rate
            labels = faces.labels[chosen].to(device)
            loss = train_step(
                network,
                optimizer,
                images,
                labels,
                weights=weights,
                smoothing=config.smoothing,
                frozen=frozen,
                precision=precision,
            )
            update_average(average, network, step, config.ema)
            bar.update()
            if step % 10 == 0:
                board.add_scalar("train/loss", loss, step)
                board.add_scalar("train/learning_rate", rate, step)
            if place == an_epoch - 1:
                figures = measure(predict_scores(answers, dev.images, device=device), dev.labels, classes)
                for key in ("accuracy", "balanced_accuracy", "nll"):
                    board.add_scalar(f"dev/{key}", figures[key], step)
                now = [figures["accuracy"], -figures["nll"]]
                bar.write(
                    f"epoch {epoch + 1}: loss {loss:.3f}, dev accuracy {now[0]:.4f}, "
                    f"balanced {figures['balanced_accuracy']:.4f}, nll {figures['nll']:.3f}",
                    file=sys.stderr,
                )
                if notes["best"] is None or now > notes["best"]:
                    notes |= {"best": now, "epoch": epoch}
                    about["epochs"] = epoch + 1
                    answers.save(folder / "best.safetensors")
                notes["over"] = step == steps - 1 or epoch - notes["epoch"] >= config.patience
            if notes["over"]:
                _finish(folder, dev, device)
            if notes["over"] or time.monotonic() - saved > config.minutes_between_saves * 60:
                runs.save_state(folder / "state.safetensors", step + 1, objects, notes)
                saved = time.monotonic()
            if notes["over"]:
                break
    figures = load_classifier(folder / "best.safetensors").about["evaluation"]
    print(
        f"{folder}/best.safetensors: dev accuracy {figures['accuracy']:.4f} (balanced "
        f"{figures['balanced_accuracy']:.4f}) on {figures['n']} faces; see evaluation.json there."
    )
    return folder


def _check(config: Train) -> None:
    require(config, size=MODELS[config.model].least, epochs=1, batch=2, warmup=0, weight_decay=0, balance=0, augment=0)
    require(config, patience=1, minutes_between_saves=0, smoothing=0, freeze=0, ema=0)
    for name in ("smoothing", "freeze", "ema"):
        if getattr(config, name) > 1:
            raise InputError(f"--{name} must be at most 1, not {getattr(config, name)}.")
    if config.learning_rate is not None and not 0 < config.learning_rate < math.inf:
        raise InputError(f"--learning-rate must be a positive number, not {config.learning_rate}.")


def _start(network: nn.Module, config: Train) -> str:
    """Starts the network, says how in one line, and returns "imagenet" or "scratch"."""
    title = MODELS[config.model].title
    origin, reason = start(network, config.model, config.weights)
    if origin == "scratch" and config.freeze > 0:
        raise InputError(f"--freeze needs ImageNet's weights, but {title} would start from scratch ({reason}).")
    print(f"{title} starts from {'ImageNet weights' if origin == 'imagenet' else 'scratch'} ({reason}).")
    return origin


def _finish(folder: Path, dev: Images, device: torch.device) -> None:
    """Calibrates the best classifier and writes its figures, into its file and beside it."""
    best = load_classifier(folder / "best.safetensors", device)
    best.temperature = fit_temperature(predict_scores(best, dev.images, device=device), dev.labels)
    evaluation: dict[str, Any] = evaluate(best, dev.images, dev.labels, split="dev", device=device)
    best.about["evaluation"] = evaluation
    best.save(folder / "best.safetensors")
    with atomic(folder / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(evaluation) + "\n")
