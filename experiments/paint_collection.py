"""Paint a whole collection with many workers, on this machine or on a cluster.

    python -m experiments.paint_collection photos/ list.txt --out painted
    python -m experiments.paint_collection kaokore: --split dev --out painted --strokes 100 --workers 8
    python -m experiments.paint_collection photos/ --out painted --cluster tcp://host:8786

Run the same command again to continue after it was stopped, or to paint new pictures. `painted/metrics.parquet` has a row
for each picture; `painted/paintings/` has a folder for each with painting.png, strokes.safetensors and metrics.json.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
import tyro
from tqdm import tqdm

from experiments.cli import KAOKORE, ctrl_c_waits, picture_path, require, run
from experiments.cores import available_cores
from experiments.painting_options import PaintingOptions
from experiments.painting_worker import PAINTINGS, Collection, Picture, Row, paint_task
from experiments.results import fingerprint, plain_options, sweep
from kaokore.loading import Split, list_images
from kaokore.versions import GENDERS, STATUSES
from renderer.errors import InputError
from renderer.io.append_only import AppendOnlyFile
from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.images import find_images
from renderer.io.read import guarded, parse_json, read_text

if TYPE_CHECKING:
    from distributed import Client

MANIFEST = "manifest.jsonl"
TABLE = "metrics.parquet"
COLUMNS = {
    **{"input": "string", "folder": "string", "strokes": "int64"},
    **{"mse": "float64", "psnr": "float64", "ssim": "float64", "perceptual": "float64", "seconds": "float64"},
    **{"seed": "int64", "painted_by": "string", "path": "string", "bytes": "int64", "modified": "int64"},
}
RESULT_OPTIONS = (  # that paintings depend on
    *("method", "strokes", "size", "renderer", "blend", "agent", "steps"),
    *("opaque", "min_radius", "max_radius", "palette", "background", "features", "seed"),
)
GPU_BATCH = 64
MAX_BYTES = 2**30  # of the manifest: some two million pictures


@dataclass(frozen=True)
class Config(PaintingOptions):
    """Options of painting a collection."""

    input: tyro.conf.Positional[tuple[str, ...]]
    """Folders of images, text files that list an image in each line, images, kaokore: (the data set) or kaokore:ID."""
    out: str
    """Folder for the results of these pictures and options."""
    split: Split = "all"
    """Of kaokore:, the faces of this split."""
    gender: Literal["any", "male", "female"] = "any"
    """Of kaokore:, only faces with this label."""
    status: Literal["any", "noble", "warrior", "incarnation", "commoner"] = "any"
    """Of kaokore:, only faces with this label."""
    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Version of KaoKore."""
    workers: int | None = None
    """Processes that paint; by default one for each GPU, or for each core."""
    batch: int | None = None
    """Pictures that a worker paints at once; by default 1 on a CPU and 64 on a GPU. Results of batches of more than one
    depend on which pictures are painted together."""
    cluster: str | None = None
    """Address of a Dask scheduler whose workers paint, instead of processes of this machine."""


class Manifest:
    """What is finished: a line of options, then a line of JSON for each painted picture, each on the disk when added.

    Args:
        folder: of the collection.
        record: options that results depend on.

    Raises:
        InputError: The file cannot be written, is open in another process, is damaged, or is of other options.
    """

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.rows: dict[str, Row] = {}
        self.record = record
        path = folder / MANIFEST
        self._file = AppendOnlyFile(path, "wait for the other command, or choose another --out", MAX_BYTES)
        try:
            lines = [_parsed(line, number, path) for number, line in enumerate(self._file.whole.splitlines(), 1)]
            if not lines:
                self._append({"options": record})
            elif lines[0].get("options") != record:
                raise InputError(
                    f"{folder} holds paintings with {_difference(lines[0], record)}; choose another --out."
                )
            self.rows = {row["path"]: row for row in lines[1:]}
        except BaseException:
            self.close()
            raise

    def has(self, picture: Picture, folder: Path) -> bool:
        """Whether a picture is finished: it has not changed since, and its result is still in `folder`."""
        row = self.rows.get(picture.path, {})
        same = row.get("bytes") == picture.bytes and row.get("modified") == picture.modified
        return same and (folder / row["folder"]).is_dir()

    def add(self, row: Row) -> None:
        """Add a finished picture. Raises `InputError` when the disk does not take it."""
        with ctrl_c_waits():  # else it could come between the file and the rows that become the table
            self._append(row)
            self.rows[row["path"]] = row

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()

    def _append(self, line: Row) -> None:
        self._file.append(json.dumps(line).encode() + b"\n")


def paint_collection(config: Config) -> Path:
    """Paint a collection and return the path of its table. Raises `InputError`."""
    _check(config)
    config = replace(config, size=config.working_size())  # what is recorded
    try:
        import distributed  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; run `pip install 'kaokore-painter[cluster]'`.") from error
    out = Path(os.path.abspath(config.out))
    pictures, mistakes = _stat(_find(config))
    manifest = Manifest(out, _record(config))
    try:
        for shard in (out / PAINTINGS).glob("*"):
            sweep(shard)  # what a killed worker left
        left = [picture for picture in pictures if not manifest.has(picture, out)]
        print(f"{len(pictures):,} pictures: {len(pictures) - len(left):,} finished, {len(left):,} to paint.")
        try:
            mistakes += _paint(config, out, left, manifest)
        finally:
            table = _write_table(out, pictures, manifest)
    finally:
        manifest.close()
    print(f"{table}: {_summary(pictures, manifest)}; paintings are in {out / PAINTINGS}.")
    if mistakes:
        raise InputError(f"{mistakes:,} pictures could not be painted; the others are done.")
    return table


def _check(config: Config) -> None:
    config.check()
    for name in ("workers", "batch"):
        if getattr(config, name) is not None:
            require(config, **{name: 1})
    if not config.input:
        raise InputError("Nothing to paint: give folders, lists of images, or kaokore:.")
    if KAOKORE not in config.input and (config.split, config.gender, config.status) != ("all", "any", "any"):
        raise InputError("--split, --gender and --status require the input kaokore:.")


def _find(config: Config) -> list[Path]:
    """The files of the collection, each once."""
    found: dict[Path, None] = {}
    for given in config.input:
        if given == KAOKORE:
            files = list_images(config.root, config.split, version=config.version)
            paths = [file.path for file in files if _wanted(config, *file.labels)]
            if not paths:
                raise InputError("No face of KaoKore in its folder is of that --split, --gender and --status.")
        elif given.startswith(KAOKORE):
            paths = [picture_path(given, config.root)]
        elif given.endswith(".txt"):
            paths = _listed(Path(given))
        else:
            paths = find_images([given], on_skip=lambda line: print(line, file=sys.stderr))
        found |= dict.fromkeys(Path(os.path.abspath(path)) for path in paths)
    return list(found)


def _wanted(config: Config, gender: int, status: int) -> bool:
    genders = config.gender == "any" or (gender >= 0 and GENDERS[gender] == config.gender)
    return genders and (config.status == "any" or (status >= 0 and STATUSES[status] == config.status))


def _listed(path: Path) -> list[Path]:
    with guarded(path, InputError, "cannot be read"):
        lines = read_text(path, MAX_BYTES, errors="surrogateescape").splitlines()
    return [Path(line) for line in lines if line.strip()]


def _stat(paths: Sequence[Path]) -> tuple[list[Picture], int]:
    """The pictures that are there, and the number of those that are not."""
    pictures = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            print(f"error: {path} cannot be read: {error.strerror}.", file=sys.stderr)
            continue
        pictures.append(Picture(str(path), status.st_size, status.st_mtime_ns))
    return pictures, len(paths) - len(pictures)


def _record(config: Config) -> dict[str, Any]:
    """The options that results depend on; of files, their names and a hash of what is in them."""
    options, files = plain_options(config, RESULT_OPTIONS)
    return options | ({"files": fingerprint(None, {}, *files)} if files else {})


def _options(config: Config) -> PaintingOptions:
    """How to paint, for workers, which may run in another folder."""
    options = {field.name: getattr(config, field.name) for field in fields(PaintingOptions)}
    files = {name: os.path.abspath(options[name]) for name in ("agent", "renderer") if os.path.isfile(options[name])}
    return PaintingOptions(**options | files)


def _paint(config: Config, out: Path, pictures: Sequence[Picture], manifest: Manifest) -> int:
    """Paint pictures, add them to the manifest as they are finished, and return the number of those that failed."""
    if not pictures:
        return 0
    gpus = torch.cuda.device_count() if config.device == "auto" else 0
    size = config.batch or (GPU_BATCH if gpus or config.device.startswith("cuda") else 1)
    batches = iter([pictures[first : first + size] for first in range(0, len(pictures), size)])
    collection = Collection(str(out), _options(config), tuple(_record(config).items()))
    failed = 0
    with (
        _start_workers(config, config.workers or gpus or available_cores()) as client,
        tqdm(total=len(pictures), unit="picture", smoothing=0.05, disable=None) as bar,
    ):
        from distributed import KilledWorker, as_completed

        waiting: dict[Any, Sequence[Picture]] = {}
        running = as_completed()

        def submit(count: int) -> None:
            for batch in islice(batches, count):
                future = client.submit(paint_task, collection, batch, pure=False)
                waiting[future] = batch
                running.add(future)

        submit(2 * sum(client.nthreads().values()))  # so that no worker waits for this process
        for future in running:
            batch = waiting.pop(future)
            submit(1)
            try:
                rows = future.result()
            except KilledWorker:
                rows = [{"path": picture.path, "error": f"{picture.path}: its workers died."} for picture in batch]
            for row in rows:
                if "error" in row:
                    failed += 1
                    bar.write(f"error: {row['error']}", file=sys.stderr)
                else:
                    manifest.add(row)
            bar.update(len(batch))
    return failed


@contextmanager
def _start_workers(config: Config, count: int) -> Iterator[Client]:
    """Connect to a cluster, or start processes here; they end with this process, however that ends."""
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.comm.timeouts.connect": "300s"})  # busy machines start processes slowly
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if config.cluster is not None:
        try:
            client = Client(config.cluster, timeout=20)
        except (OSError, ValueError) as error:
            raise InputError(f"There is no Dask scheduler at {config.cluster} ({error}).") from error
        with client:
            client.wait_for_workers(1)
            yield client
        return
    # A terminal sends Ctrl-C to all processes. Threads and processes inherit what is blocked, so that workers never see it,
    # nor do those that replace killed ones; this process sees it when all have started, so that they are closed in order.
    resource_tracker.ensure_running()  # started later, it would unblock the signal
    scratch = Path(config.out) / ".workers"  # of this run; after a kill, of the next one
    dask.config.set({"temporary-directory": str(scratch)})
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        with ctrl_c_waits():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                cluster = stack.enter_context(
                    LocalCluster(
                        n_workers=count,
                        threads_per_worker=1,
                        dashboard_address="127.0.0.1:0",
                        memory_limit=None,
                        silence_logs=logging.ERROR,
                    )
                )
                client = stack.enter_context(Client(cluster))
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        yield client


def _write_table(out: Path, pictures: Sequence[Picture], manifest: Manifest) -> Path:
    """Write the table: a row for each finished picture, in the order of the collection."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [manifest.rows[picture.path] for picture in pictures if picture.path in manifest.rows]
    schema = pa.schema(list(COLUMNS.items()), {"options": json.dumps(manifest.record)})
    columns = {name: [_plain(row[name]) for row in rows] for name in COLUMNS}
    with atomic(out / TABLE) as temporary:
        parquet.write_table(pa.table(columns, schema), temporary)
    return out / TABLE


def _plain(value: object) -> object:
    """Names of files need not be UTF-8, but text in a table must be."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _summary(pictures: Sequence[Picture], manifest: Manifest) -> str:
    errors = [manifest.rows[picture.path]["mse"] for picture in pictures if picture.path in manifest.rows]
    return f"{len(errors):,} pictures" + (f", mean mse {sum(errors) / len(errors):.5f}" if errors else "")


def _parsed(line: bytes, number: int, path: Path) -> dict[str, Any]:
    with guarded(f"Line {number} of {path}", InputError, "is damaged", "; remove it, then start again"):
        value = parse_json(line)
        if number == 1:
            from_json(dict[str, Any], value["options"], "options")
        else:
            require_columns(value, COLUMNS)
    return value


def require_columns(row: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """Raise `ValueError` unless a row has these columns, of these types; a measure may be infinite."""
    for name, kind in kinds.items():
        wanted: Any = {"string": str, "int64": int, "float64": (int, float)}[kind]
        if not isinstance(row[name], wanted) or isinstance(row[name], bool):
            raise ValueError(f"{name} is of another type")


def _difference(first: dict[str, Any], record: dict[str, Any]) -> str:
    old = first.get("options", {})
    changed = [f"{name} {old.get(name)}" for name in record if old.get(name) != record[name]]
    return f"other options ({', '.join(changed)})"


if __name__ == "__main__":
    run(paint_collection, Config, __doc__)
