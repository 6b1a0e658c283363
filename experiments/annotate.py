"""Label faces in the browser: a classifier suggests labels, you confirm or correct them with the keyboard.

Examples:

    python -m experiments.annotate --root data/kaokore --task status --out status.csv
    python -m experiments.annotate --root data/kaokore --task gender --split dev --order wrong --out gender.csv
    python -m experiments.annotate --folder photos --task gender --out photos.csv
"""

from __future__ import annotations

import getpass
import importlib.util
import sys
from dataclasses import dataclass

import torch
from tqdm import tqdm

from experiments.cli import choose_device, require, run
from kaokore import ATTRIBUTION
from kaokore.annotate.annotations import Annotations
from kaokore.annotate.collection import (
    Collection,
    Order,
    apply_corrections,
    collect_folder,
    collect_kaokore,
    predict_faces,
    sort_faces,
)
from kaokore.annotate.queue import Face, Queue
from kaokore.classify import Classifier, Task, load_classifier
from kaokore.loading import Split
from kaokore.page_security import free_port
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint


@dataclass(frozen=True)
class Options:
    """Options of the annotation page."""

    task: Task
    out: str
    """A CSV file in the form of KaoKore's labels.csv; OUT.journal beside it records every action. Both are continued."""
    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Of KaoKore."""
    split: Split = "unlabelled"
    """Which of KaoKore's faces; unlabelled are those without an official label."""
    folder: str | None = None
    """A folder of other images of faces, instead of KaoKore."""
    labels: str | None = None
    """A table of an earlier session (gender and status) whose labels replace the official ones."""
    checkpoint: str | None = None
    """A classifier that `classify train` wrote; by default the shipped one of the task."""
    order: Order = "uncertain"
    """First the most uncertain predictions, those whose label is the least probable (wrong), or as given."""
    who: str | None = None
    """Your name, for the table; by default that of your account. Others choose theirs on the page (key n)."""
    host: str = "127.0.0.1"
    """Address of the page. It has no password, so only addresses of this machine are accepted."""
    port: int = 8080
    """Of the page; 0 takes any free one."""
    open: bool = True
    """Open the page in your browser."""
    batch: int = 64
    device: str = "auto"


def annotate(options: Options) -> None:
    """Serve the page until it is stopped. Raises `InputError`."""
    require(options, batch=1, port=0)
    if options.folder is not None and options.root is not None:
        raise InputError("--root and --folder exclude each other: the faces are KaoKore's or those of a folder.")
    if importlib.util.find_spec("nicegui") is None:
        raise InputError("The page needs NiceGUI: install it with `pip install -e '.[annotate]'`.")
    from kaokore.annotate.page import clean, serve  # the only part that needs it

    device, port = choose_device(options.device), free_port(options.host, options.port)
    name = options.checkpoint or f"kaokore-{options.task}"
    classifier = load_classifier(name, device)
    if classifier.task != options.task:
        raise InputError(f"{name} predicts {classifier.task}, not {options.task}; choose another --checkpoint.")
    if options.folder is not None:
        collection = collect_folder(options.folder)
    else:
        collection = collect_kaokore(options.root, options.version, options.split)
    if options.labels is not None:
        collection = apply_corrections(collection, options.labels)
    annotations = Annotations(options.out, options.task, classifier.classes, collection.source, known=collection.known)
    try:
        faces = sort_faces(_predict(classifier, collection, device, options.batch), options.order)
        queue = Queue(faces, annotations, (name, Checkpoint.load(name).hash()))
        credit = "" if options.folder is not None else ATTRIBUTION
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(
            f"Label at http://{host}:{port} (Ctrl-C ends): {len(faces):,} faces, "
            f"{queue.progress().labelled:,} of them labelled. Labels go to {options.out}.",
            flush=True,
        )
        who = clean(options.who) or clean(_account()) or "me"
        serve(queue, who=who, credit=credit, host=options.host, port=port, show=options.open)
    finally:
        annotations.close()


def _predict(classifier: Classifier, collection: Collection, device: torch.device, batch: int) -> list[Face]:
    """The faces with their predictions; unreadable images are reported on stderr."""

    def report(reason: str) -> None:
        tqdm.write(f"left out: {reason}", file=sys.stderr)

    predictions = predict_faces(classifier, collection, device=device, batch=batch, skipped=report)
    faces = list(tqdm(predictions, "predictions", len(collection.images), unit="face", leave=False, disable=None))
    if not faces:
        raise InputError(f"There are no faces to label in {collection.source}; choose another --split or --folder.")
    return faces


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no accounts
        return ""


if __name__ == "__main__":
    sys.argv[0] = "annotate"
    run(annotate, Options, __doc__)
