"""Train a generator of faces like those of KaoKore.

python -m experiments.stylegan train --root ../shared/kaokore --minutes 60      # an hour, then saves and stops
python -m experiments.stylegan train --resume runs/FOLDER --minutes 60          # another hour
python -m experiments.stylegan train paper --root data/kaokore         # 256 px, for a GPU
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from experiments import runs
from experiments.cli import choose_device, progress, require
from kaokore import ATTRIBUTION
from kaokore.loading import load_images
from kaokore.stylegan import FaceGenerator
from kaokore.stylegan.cuda_graph import Recorded
from kaokore.stylegan.data import Faces, joint_class
from kaokore.stylegan.evaluate import sample_kid
from kaokore.stylegan.features import load_features
from kaokore.stylegan.generator import image_grid
from kaokore.stylegan.networks import CLASSES, NetworkConfig
from kaokore.stylegan.train import Networks, State, TrainConfig, Update, make_optimizers, train_step, update_networks
from renderer.errors import InputError
from renderer.io.images import write_png

ROWS = 6  # of samples.png, which has a column for each class


@dataclass(frozen=True)
class Train:
    """Train a generator of faces like those of KaoKore."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Of KaoKore."""
    networks: tyro.conf.OmitArgPrefixes[NetworkConfig] = field(default_factory=NetworkConfig)
    learn: tyro.conf.OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)
    images: float = 2000.0
    """Thousands of faces to show the discriminator in all, over all sessions."""
    minutes: float | None = None
    """Time of this session, after which it saves and stops; no limit by default."""
    minutes_between_saves: float = 5.0
    evaluate_every: float = 50.0
    """Thousands of faces between measurements of KID, by which the best generator is kept; 0 never measures."""
    evaluate_faces: int = 1000
    """Images to generate for a measurement."""
    seed: int = 0
    device: str = "auto"
    resume: str | None = None
    """A run folder to go on with; all other options but --minutes are then read from it."""
    runs: str = "runs"
    """Where run folders are made."""


CPU = Train(networks=NetworkConfig(noise=False), learn=TrainConfig(projected=1.0, projected_from=80.0))
"""64 px, 16 channels there and up to 256 at 4 px; batches of 16; no noise, which so small a generator hides behind."""
GPU = Train(
    networks=NetworkConfig(channels=4096, latent=256, noise=False),
    learn=TrainConfig(batch=32, projected=1.0, projected_from=80.0, r1=0.1, ema=20.0, ada_speed=300.0),
    evaluate_every=100.0,
)
"""64 px likewise, four times the channels at the large resolutions: minutes on a GPU, days on a core."""
PAPER = Train(
    networks=NetworkConfig(size=256, channels=16384, most_channels=512, latent=512, mapping=8),
    learn=TrainConfig(batch=32, r1=1.0, path_every=4, ada_speed=500.0, projected=1.0, projected_from=200.0),
    images=25000.0,
    evaluate_every=200.0,
)
"""256 px, after configuration E of Karras et al. (2020b): half the channels at the large resolutions."""
TINY = Train(
    networks=NetworkConfig(size=8, channels=64, most_channels=8, latent=8, mapping=2),
    learn=TrainConfig(batch=4, r1_every=2, path_every=2, ada_speed=0.1),
    images=0.04,
    evaluate_every=0.0,
    evaluate_faces=8,
)
PRESETS = {
    "cpu": ("64 pixels, a small network", CPU),
    "gpu": ("64 pixels, a larger network", GPU),
    "paper": ("256 pixels, after Karras et al. (2020b)", PAPER),
}


def train(config: Train) -> Path:
    """Trains, and returns the run folder: `latest.safetensors`, `best.safetensors` (least KID), samples.png.

    Raises `InputError`.
    """
    folder, resuming = Path(config.resume or ""), config.resume is not None
    minutes = config.minutes
    if resuming:
        config = runs.resume(folder, "stylegan", Train)
    _check(config, minutes)
    device = choose_device(config.device)
    size = config.networks.size
    images, labels, _ = load_images(config.root, "train", size, version=config.version, track=progress("train images"))
    faces = Faces(images.to(device), joint_class(*labels.unbind(1)))
    watched = config.evaluate_every > 0
    if watched:
        features = load_features("lite0", device)
        theirs = features(load_images(config.root, "dev", size, version=config.version).images / 255)

    torch.manual_seed(config.seed)  # the initial weights
    networks = Networks(config.networks, config.learn)
    networks.to(device)
    optimizers = make_optimizers(networks, config.learn)
    update: Update = partial(update_networks, networks, optimizers, config.learn)
    if device.type == "cuda":
        update = Recorded(update)
    draws = torch.Generator().manual_seed(config.seed)
    objects: dict[str, Any] = {"players": networks, **optimizers, "draws": draws}
    done, state = 0, State()
    figures: dict[str, float | None] = {"kid": None, "best_kid": None}
    if not resuming:
        folder = runs.start("stylegan", config, config.runs)
    elif (folder / "state.safetensors").exists():
        done, notes = runs.load_state(folder / "state.safetensors", objects)
        state, figures = State(**notes["state"]), notes["figures"]

    counts = torch.bincount(faces.classes, minlength=CLASSES).tolist()
    about = {"train_faces": len(faces.classes), "seed": config.seed, "data": ATTRIBUTION, "kaokore": config.version}
    generator = FaceGenerator(networks.average, counts, about | runs.describe_run())
    steps = math.ceil(1000 * config.images / config.learn.batch)
    every = max(1, round(1000 * config.evaluate_every / config.learn.batch))
    begun = saved = time.monotonic()
    with SummaryWriter(folder) as board, tqdm(total=steps, initial=done, unit="step", smoothing=0.02) as bar:
        for number in range(done, steps):
            losses = train_step(update, networks, faces, config.learn, number=number, state=state, draws=draws)
            bar.update()
            now = time.monotonic()
            over = number == steps - 1 or (minutes is not None and now - begun > 60 * minutes)
            saving = over or now - saved > 60 * config.minutes_between_saves
            measuring = watched and ((number + 1) % every == 0 or number == steps - 1)
            if number % 20 == 0 or saving or measuring:
                values = {name: loss.item() for name, loss in losses.items()}
                if not all(map(math.isfinite, values.values())):
                    raise InputError(
                        f"The training diverged before step {number}; resume it, or lower --learning-rate."
                    )
                for name, value in (values | {"p": state.p, "r_t": state.r_t}).items():
                    board.add_scalar(f"train/{name}", value, state.shown)
                bar.set_postfix(faces=f"{state.shown / 1000:.0f}k", p=f"{state.p:.2f}", kid=figures["kid"])
            generator.about.update(images=state.shown)
            if measuring:
                figures["kid"] = kid = sample_kid(generator, features, theirs, config.evaluate_faces)
                generator.about.update(kid=kid, kid_faces=[config.evaluate_faces, len(theirs)])
                board.add_scalar("dev/kid", kid, state.shown)
                if figures["best_kid"] is None or kid < figures["best_kid"]:
                    figures["best_kid"] = kid
                    generator.save(folder / "best.safetensors")
            if saving:
                _save(folder, generator)
                notes = {"state": dataclasses.asdict(state), "figures": figures}
                runs.save_state(folder / "state.safetensors", number + 1, objects, notes)
                saved = now
            if over:
                break
    shown = f"{state.shown / 1000:,.1f} of {config.images:,.1f} thousand faces shown"
    print(f"{folder}/latest.safetensors: {shown}; see samples.png there. --resume {folder} goes on.")
    return folder


def _save(folder: Path, generator: FaceGenerator) -> None:
    """Write the generator and a grid of samples: always of the same seed, a column for each class."""
    generator.save(folder / "latest.safetensors")
    draws = torch.Generator().manual_seed(0)
    network = generator.network
    with torch.no_grad():
        z = network.draw_latent(ROWS * CLASSES, draws)
        w = network.mapping(z, torch.arange(CLASSES).repeat(ROWS).to(z.device))
    write_png(image_grid(generator.synthesise(w, draws), CLASSES), folder / "samples.png")


def _check(config: Train, minutes: float | None) -> None:
    sizes, learn = config.networks, config.learn
    if sizes.size < 8 or sizes.size & (sizes.size - 1):
        raise InputError(f"--size must be a power of two, 8 at least, not {sizes.size}.")
    require(config, images=0.001, minutes_between_saves=0, evaluate_every=0, evaluate_faces=2)
    require(sizes, channels=1, most_channels=1, latent=1, mapping=1)
    require(learn, batch=2, projected=0, projected_from=0, r1=0, r1_every=1, path=0, path_every=1, mixing=0)
    require(learn, ema=0, ada=-1, ada_speed=0.001)
    for name, rate in (("learning-rate", learn.learning_rate), ("projected-rate", learn.projected_rate)):
        if not 0 < rate < math.inf:
            raise InputError(f"--{name} must be a positive number, not {rate}.")
    for name, value in (("mixing", learn.mixing), ("ada", learn.ada)):
        if value > 1:
            raise InputError(f"--{name} must be at most 1, not {value}.")
    if minutes is not None and not 0 <= minutes < math.inf:
        raise InputError(f"--minutes must be at least 0, not {minutes}.")
