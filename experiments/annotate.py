"""Label faces on a page in the browser: a classifier suggests, you confirm or correct, with the keyboard alone.

python -m experiments.annotate --root data/kaokore --task status --out status.csv
python -m experiments.annotate --root data/kaokore --task gender --split dev --order wrong --out gender.csv
python -m experiments.annotate --folder photos --task gender --out photos.csv
"""

from __future__ import annotations

import getpass
import importlib.util
import socket
import sys
from dataclasses import dataclass

from experiments.cli import choose_device, require, run
from kaokore import ATTRIBUTION
from kaokore.annotate.annotations import Record
from kaokore.annotate.collection import Order, Split, believe, corrected, of_folder, of_kaokore, ordered
from kaokore.annotate.queue import Queue
from kaokore.classify import load_classifier
from kaokore.classify.classifier import Task
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint


@dataclass(frozen=True)
class Options:
    """What to label, where to put it, and where the page is."""

    task: Task
    out: str
    """A CSV in the form of KaoKore's labels.csv; OUT.journal beside it holds every answer. Both are gone on with."""
    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Of KaoKore."""
    split: Split = "unlabelled"
    """Which of KaoKore's faces; unlabelled are those that have no official label."""
    folder: str | None = None
    """A folder of other pictures of faces, instead of KaoKore."""
    labels: str | None = None
    """A table of an earlier session (gender and status) whose labels stand for the official ones."""
    checkpoint: str | None = None
    """A classifier that classify train wrote; by default the shipped one of the task."""
    order: Order = "uncertain"
    """Which come first: those the model is least sure of, those whose label it least believes, or as they come."""
    who: str | None = None
    """Your name, for the table; by default that of your account. Others join with their own on the page (n)."""
    host: str = "127.0.0.1"
    """Who may reach the page: by default this machine alone; 0.0.0.0 lets everybody in the network in."""
    port: int = 8080
    """Of the page; 0 takes any that is free."""
    open: bool = True
    """Whether to open the page in your browser."""
    batch: int = 64
    device: str = "auto"


def annotate(options: Options) -> None:
    """Serves the page until it is stopped. Raises `InputError` or `DatasetError`."""
    require(options, batch=1, port=0)
    if options.folder is not None and options.root is not None:
        raise InputError("--root and --folder exclude each other: the faces are KaoKore's or those of a folder.")
    if importlib.util.find_spec("nicegui") is None:
        raise InputError("The page needs NiceGUI: install it with `pip install -e '.[annotate]'`.")
    from kaokore.annotate.page import clean, serve  # the only part that needs it

    device, port = choose_device(options.device), _free_port(options.host, options.port)
    name = options.checkpoint or f"kaokore-{options.task}"
    classifier = load_classifier(name, device)
    if classifier.task != options.task:
        raise InputError(f"{name} tells {classifier.task}, not {options.task}; choose another --checkpoint.")
    if options.folder is not None:
        collection = of_folder(options.folder)
    else:
        collection = of_kaokore(options.root, options.version, options.split, options.task)
    if options.labels is not None:
        collection = corrected(collection, options.labels)
    record = Record(options.out, options.task, classifier.classes, collection.source, collection.known)
    try:
        faces = ordered(believe(classifier, collection, device, options.batch), options.order)
        queue = Queue(faces, record, (name, Checkpoint.load(name).hash()))
        credit = "" if options.folder is not None else ATTRIBUTION
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(
            f"Label at http://{host}:{port} (Ctrl-C ends): {len(faces):,} faces, "
            f"{queue.progress().labelled:,} of them labelled. Labels go to {options.out}.",
            flush=True,
        )
        serve(queue, clean(options.who) or clean(_account()) or "me", credit, options.host, port, options.open)
    finally:
        record.close()


def _free_port(host: str, port: int) -> int:
    """The port, or any that is free for 0. Raises `InputError` when it cannot be had."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, port))
            return int(one.getsockname()[1])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"No page can be at {host}:{port} ({reason}); choose another --port or --host.") from error


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no accounts
        return ""


if __name__ == "__main__":
    sys.argv[0] = "annotate"
    run(annotate, Options, __doc__)
