"""The journal and the table: no action that was confirmed is lost."""

import errno
import json
import os
import subprocess
import sys

import pytest

from kaokore.annotate.annotations import Annotations, Prediction
from kaokore.annotate.journal import Journal
from kaokore.classify import CLASSES
from renderer.errors import InputError
from tests.kaokore.annotate.examples import queue_of


def test_an_answer_is_on_the_disk_before_the_next_face_comes(tmp_path, monkeypatch):
    queue = queue_of(tmp_path / "labels.csv")
    screen, seen = queue.join("ann"), []

    def fsync(handle):
        seen.append(((tmp_path / "labels.csv.journal").read_text().splitlines()[-1], screen.place))

    monkeypatch.setattr(os, "fsync", fsync)
    queue.label(screen, 2)
    (line, place) = seen[0]
    assert json.loads(line)["label"] == "incarnation"
    assert (place, screen.place) == (0, 1)


@pytest.mark.parametrize("fails", ["write", "fsync"])
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, fails):
    queue = queue_of(tmp_path / "labels.csv")
    screen = queue.join("ann")
    queue.label(screen, 0)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    write = os.write

    def full(handle, data=b""):
        if fails == "write":
            return write(handle, data[: len(data) // 2])  # as much as there was room for
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, full)
        with pytest.raises(InputError, match="make room"):
            queue.label(screen, 1)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert screen.place == 1
    queue.label(screen, 1)
    queue.annotations.close()
    assert [action.label for action in queue_of(tmp_path / "labels.csv").annotations.labels()] == ["noble", "warrior"]


def test_saved_labels_survive_a_kill(tmp_path):
    """A process that answers as fast as it can, and says so each time, is killed."""
    code = (
        "import sys; from tests.kaokore.annotate.examples import queue_of\n"
        f"queue = queue_of({str(tmp_path / 'labels.csv')!r}, 5000); screen = queue.join('ann')\n"
        "while True: queue.label(screen, 1); print(screen.place, flush=True)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    said = [process.stdout.readline() for _ in range(20)]
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    labels = queue_of(tmp_path / "labels.csv", 5000).annotations.labels()
    assert len(labels) - int(said[-1]) in (0, 1)
    assert {label.label for label in labels} == {"warrior"}


def test_a_journal_is_open_in_one_process_only(tmp_path):
    journal = Journal(tmp_path / "one.journal")
    with pytest.raises(InputError, match="open in another process"):
        Journal(tmp_path / "one.journal")
    journal.close()
    Journal(tmp_path / "one.journal").close()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no JSON", "Line 2"),
        ("[]", "Line 2"),
        ('{"do": "dance"}', "Line 2"),
        ('{"do": "undo", "action": 7}', "Line 2"),
        ('{"do": "label", "image": "0.png", "who": "ann", "when": "", "label": "king"}', "Line 2"),
        ('{"do": "skip", "image": "0.png"}', "Line 2"),
    ],
)
def test_damaged_journals(tmp_path, line, message):
    """Damage that is no unfinished last line is not passed over: it would be forgotten silently. The lock is let go."""
    table = tmp_path / "labels.csv"
    queue_of(table).annotations.close()
    with (tmp_path / "labels.csv.journal").open("a") as file:
        file.write(line + "\n")
    for _ in range(2):
        with pytest.raises(InputError, match=f"{message} of .*damaged"):
            queue_of(table)


def test_other_tables_are_not_overwritten(tmp_path):
    (tmp_path / "labels.csv").write_text("image,gender,status,set\n")
    with pytest.raises(InputError, match="was not written by this script"):
        queue_of(tmp_path / "labels.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["labels.csv"]
    queue_of(tmp_path / "mine.csv").annotations.close()
    for task, source in (("gender", "a test"), ("status", "another")):
        with pytest.raises(InputError, match="holds status of a test"):
            Annotations(tmp_path / "mine.csv", task, CLASSES[task], source)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another --out"):
        queue_of(tmp_path / "file" / "labels.csv")


def test_a_journal_of_version_0_1_is_read(tmp_path):
    """Journals and tables keep the keys that they had in version 0.1."""
    lines = [
        '{"task": "status", "source": "a test"}',
        '{"do": "label", "image": "0.png", "label": "noble", "who": "ann", "suggested": "warrior", "suggested_belief": 0.4, '
        '"belief": 0.3, "checkpoint": "kaokore-status", "checkpoint_hash": "01", "when": "2025-01-02T03:04:05Z"}',
        '{"do": "skip", "image": "1.png", "who": "bob", "when": "2025-01-02T03:04:06Z"}',
    ]
    (tmp_path / "labels.csv.journal").write_text("".join(f"{line}\n" for line in lines))
    annotations = queue_of(tmp_path / "labels.csv").annotations
    (action,) = annotations.labels()
    assert action.prediction == Prediction("warrior", 0.4, 0.3, "kaokore-status", "01")
    assert annotations.state("1.png").label is None
    annotations.label("2.png", "commoner", "ann", action.prediction)
    written = json.loads((tmp_path / "labels.csv.journal").read_text().splitlines()[-1])
    assert list(written) == list(json.loads(lines[1]))
