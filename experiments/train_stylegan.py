"""Train a StyleGAN that generates faces like those of KaoKore.

Examples:

    python -m experiments.stylegan train --root data/kaokore --minutes 60      # an hour, then save and stop
    python -m experiments.stylegan train --resume runs/FOLDER --minutes 60          # another hour
    python -m experiments.stylegan train paper --root data/kaokore                  # 256 pixels, for a GPU
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn

from experiments.cli import choose_device, progress, require
from experiments.distributed import join_processes
from experiments.runs import describe_run
from experiments.trainer import RunOptions, Trainer, resumed
from kaokore import ATTRIBUTION
from kaokore.loading import load_images
from kaokore.stylegan import FaceGenerator, load_generator
from kaokore.stylegan.cuda_graph import Recorded
from kaokore.stylegan.data import Faces, joint_class
from kaokore.stylegan.discriminator import GROUP
from kaokore.stylegan.evaluate import sample_kid
from kaokore.stylegan.features import load_features
from kaokore.stylegan.generator import image_grid
from kaokore.stylegan.networks import CLASSES, NetworkConfig
from kaokore.stylegan.train import Networks, State, TrainConfig, Update, make_optimizers, train_step, update_networks
from renderer.errors import InputError
from renderer.io.from_json import from_json
from renderer.io.images import write_png
from renderer.io.read import guarded
from renderer.learned.processes import Processes

ROWS = 6  # of samples.png, which has a column for each class


@dataclass(frozen=True, kw_only=True)
class Train(RunOptions):
    """Train a StyleGAN that generates faces like those of KaoKore."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Version of KaoKore."""
    networks: tyro.conf.OmitArgPrefixes[NetworkConfig] = field(default_factory=NetworkConfig)
    training: tyro.conf.OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)
    start: str | None = None
    """A trained generator to go on from, a file or the name of a shipped one; its sizes replace those above."""
    images: float = 2000.0
    """Thousands of faces to show to the discriminator, over all sessions."""
    evaluate_every: float = 50.0
    """Thousands of faces between evaluations of KID, by which the best generator is selected; 0 for none."""
    evaluate_faces: int = 1000
    """Faces to generate in an evaluation."""


CPU = Train(networks=NetworkConfig(noise=False), training=TrainConfig(projected=1.0, projected_from=80.0))
"""64 pixels, 16 channels there and up to 256 at 4 pixels; batches of 16; no noise, which a small generator misuses."""
REFINE = Train(
    training=TrainConfig(
        batch=32,
        learning_rate=0.001,
        balance=0.5,
        own=0.0,
        projected=1.0,
        classify=0.5,
        view=96,
        alone=3.0,
        path=0.0,
        mixing=0.5,
        ema=4.0,
    ),
    start="stylegan",
    images=200.0,
    evaluate_every=8.0,
)
"""Goes on from a trained generator, with the projected discriminator alone, which sees finer detail."""
GPU = Train(
    networks=NetworkConfig(channels=4096, latent=256, noise=False),
    training=TrainConfig(
        batch=32,
        precision="bfloat16",
        balance=0.5,
        projected=1.0,
        projected_from=80.0,
        view=128,
        r1=0.1,
        ema=20.0,
        ada_speed=300.0,
    ),
    evaluate_every=100.0,
)
"""64 pixels, four times the channels at the high resolutions: minutes on a GPU, days on one core."""
PAPER = Train(
    networks=NetworkConfig(size=256, channels=16384, most_channels=512, latent=512, mapping=8),
    training=TrainConfig(batch=32, r1=1.0, path_every=4, ada_speed=500.0, projected=1.0, projected_from=200.0),
    images=25000.0,
    evaluate_every=200.0,
)
"""256 pixels, after configuration E of Karras et al. (2020b): half the channels at the high resolutions."""
TINY = Train(
    networks=NetworkConfig(size=8, channels=64, most_channels=8, latent=8, mapping=2),
    training=TrainConfig(batch=4, r1_every=2, path_every=2, ada_speed=0.1),
    images=0.04,
    evaluate_every=0.0,
    evaluate_faces=8,
)
PRESETS = {
    "cpu": ("64 pixels, a small network", CPU),
    "refine": ("go on from the shipped generator, or from --start FILE", REFINE),
    "gpu": ("64 pixels, a larger network", GPU),
    "paper": ("256 pixels, after Karras et al. (2020b)", PAPER),
}


def train(config: Train) -> Path:
    """Train and return the run folder: `latest.safetensors`, `best.safetensors` (least KID), samples.png.

    Raises `InputError`.
    """
    config = resumed(config, "stylegan")
    start = load_generator(config.start) if config.start is not None and config.resume is None else None
    if start is not None:
        config = replace(config, networks=start.network.config)
    _check(config)
    device = choose_device(config.device)
    with join_processes(config.training.batch, device, GROUP) as processes:
        return _train(config, start, device, processes)


def _train(config: Train, start: FaceGenerator | None, device: torch.device, processes: Processes) -> Path:
    size, training = config.networks.size, config.training
    images, labels, _ = load_images(config.root, "train", size, version=config.version, track=progress("train images"))
    faces = Faces(images.to(device), joint_class(*labels.unbind(1)))
    if config.evaluate_every > 0:
        features = load_features("lite0", device)
        dev = features(load_images(config.root, "dev", size, version=config.version).images / 255)

    torch.manual_seed(config.seed)  # the initial weights
    networks = Networks(config.networks, training)
    if start is not None:
        for network in (networks.generator, networks.average):
            network.load_state_dict(start.network.state_dict())
    if processes.count > 1 and device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(networks)
    networks.to(device)
    optimizers = make_optimizers(networks, training)
    update: Update = partial(update_networks, networks, optimizers, training, processes=processes)
    if device.type == "cuda" and processes.count == 1:
        update = Recorded(update)
    draws = torch.Generator().manual_seed(config.seed)
    objects: dict[str, Any] = {"players": networks, **optimizers, "draws": draws}

    counts = torch.bincount(faces.classes, minlength=CLASSES).tolist()
    about = {"train_faces": len(faces.classes), "seed": config.seed, "data": ATTRIBUTION, "kaokore": config.version}
    generator = FaceGenerator(networks.average, counts, about | describe_run())
    notes = {} if start is None else {"start": start.about}
    total = math.ceil(1000 * config.images / training.batch)
    every = max(1, round(1000 * config.evaluate_every / training.batch)) if config.evaluate_every > 0 else 0
    with Trainer("stylegan", config, objects, notes, processes) as trainer:
        generator.about.update({"start": trainer.notes["start"]} if "start" in trainer.notes else {})
        with guarded(trainer.folder, InputError, "has a damaged state"):
            before = trainer.notes.get("start", {}).get("images", 0)
            state = from_json(State, trainer.notes.get("state", {"before": before}))
            if min(state.shown, state.before) < 0 or not 0 <= state.p <= 1:
                raise ValueError("its numbers are out of range")
        for number in trainer.steps(total, evaluate_every=every, log_every=20):
            losses = train_step(
                update, networks, faces, training, number=number, state=state, draws=draws, processes=processes
            )
            curves = {f"train/{name}": value for name, value in (losses | {"p": state.p, "r_t": state.r_t}).items()}
            trainer.log(curves, at=state.shown)
            trainer.show(faces=f"{state.shown / 1000:.0f}k", p=f"{state.p:.2f}", kid=trainer.notes.get("kid"))
            generator.about.update(images=state.before + state.shown)
            if trainer.evaluating:
                trainer.notes["kid"] = kid = sample_kid(generator, features, dev, config.evaluate_faces)
                trainer.log({"dev/kid": kid}, at=state.shown)
                generator.about.update(kid=kid, kid_faces=[config.evaluate_faces, len(dev)])
                if trainer.improved(kid):
                    generator.save(trainer.folder / "best.safetensors")
            if trainer.saving:
                _save(trainer.folder, generator)
                trainer.notes["state"] = asdict(state)
    shown = f"{state.shown / 1000:,.1f} of {config.images:,.1f} thousand faces"
    print(f"{trainer.folder}/latest.safetensors: trained on {shown}; see samples.png there.")
    return trainer.folder


def _save(folder: Path, generator: FaceGenerator) -> None:
    """Write the generator and a grid of samples: always of the same seed, a column for each class."""
    generator.save(folder / "latest.safetensors")
    draws = torch.Generator().manual_seed(0)
    network = generator.network
    with torch.no_grad():
        z = network.draw_latent(ROWS * CLASSES, draws)
        w = network.mapping(z, torch.arange(CLASSES).repeat(ROWS).to(z.device))
    write_png(image_grid(generator.synthesise(w, draws), CLASSES), folder / "samples.png")


def _check(config: Train) -> None:
    sizes, training = config.networks, config.training
    if sizes.size < 8 or sizes.size & (sizes.size - 1):
        raise InputError(f"--size must be a power of two and at least 8, not {sizes.size}.")
    require(config, images=0.001, evaluate_every=0, evaluate_faces=2)
    require(sizes, channels=1, most_channels=1, latent=1, mapping=1)
    require(training, batch=2, balance=0, own=0, projected=0, projected_from=0, view=32, alone=0)
    require(training, classify=0, r1=0, r1_every=1, path=0, path_every=1, mixing=0, ema=0, ada=-1, ada_speed=0.001)
    if not (training.own or training.projected):
        raise InputError("--own and --projected must not both be 0: there would be no discriminator.")
    for name in ("learning_rate", "projected_rate"):
        if not 0 < getattr(training, name) < math.inf:
            raise InputError(f"--{name.replace('_', '-')} must be a positive number, not {getattr(training, name)}.")
    for name in ("mixing", "ada"):
        if getattr(training, name) > 1:
            raise InputError(f"--{name} must be at most 1, not {getattr(training, name)}.")
