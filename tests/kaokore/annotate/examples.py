"""Images, a classifier and queues for the tests of annotation."""

import csv
import random
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from kaokore.annotate.annotations import Annotations
from kaokore.annotate.queue import Face, Queue
from kaokore.classify import CLASSES, Classifier

CHECKPOINT = ("some-model", "0123")
STATUSES = CLASSES["status"]


class Brightness(nn.Module):
    """Predicts that bright faces are of the first class."""

    def forward(self, images):
        bright = 6 * images.mean((1, 2, 3))
        return torch.stack([bright, -bright], 1)


def brightness(task="gender"):
    return Classifier("inception_v3", task, 16, Brightness())


def write_images(folder, **greys):
    folder.mkdir(exist_ok=True)
    for name, grey in greys.items():
        Image.new("RGB", (24, 40), (grey, grey, grey)).save(folder / f"{name}.png")


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def faces_of(n):
    """Faces whose most probable class varies."""
    draws = random.Random(0)
    rows = [draws.sample((0.1, 0.2, 0.3, 0.4), 4) for _ in range(n)]
    return [Face(f"{place}.png", Path(f"{place}.png"), tuple(row)) for place, row in enumerate(rows)]


def queue_of(table, n=4, clock=lambda: "2026-01-02T03:04:05Z"):
    return Queue(faces_of(n), Annotations(table, "status", STATUSES, "a test", clock=clock), CHECKPOINT)
