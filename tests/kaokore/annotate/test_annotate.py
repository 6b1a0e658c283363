"""Annotation without its page: nothing is lost, and nobody overwrites another."""

import csv
import errno
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kaokore.annotate.annotations import Record
from kaokore.annotate.journal import Journal
from kaokore.annotate.queue import Face, Queue, TakenError
from kaokore.classify import CLASSES
from renderer.errors import InputError

STATUSES = CLASSES["status"]
MODEL = ("some-model", "0123")


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def faces_of(n):
    """Faces with beliefs in all of which another class is the likeliest."""
    draws = random.Random(0)
    beliefs = [draws.sample((0.1, 0.2, 0.3, 0.4), 4) for _ in range(n)]
    return [Face(f"{place}.png", Path(f"{place}.png"), tuple(belief)) for place, belief in enumerate(beliefs)]


def queue_of(table, n=4, clock=lambda: "2026-01-02T03:04:05Z"):
    return Queue(faces_of(n), Record(table, "status", STATUSES, "a test", clock=clock), MODEL)


# Any course of events


class Annotating(RuleBasedStateMachine):
    """Two people, restarts, and crashes that cut the journal anywhere, against a list of what was done.

    An entry of the list is who, place (None: an undo), label (None: a skip; of an undo, the entry undone), whether it
    still holds, and its number, so that no two are equal.
    """

    @initialize(n=st.integers(1, 5))
    def begin(self, n):
        self.folder = Path(tempfile.mkdtemp())
        self.n, self.done, self.sizes = n, [], []
        self.open()
        self.first = self.size()

    def open(self):
        self.queue = queue_of(self.folder / "labels.csv", self.n)
        self.seats = {who: self.queue.sit(who) for who in ("ann", "bob")}
        self.expected = {"ann": None, "bob": None}
        for who in self.expected:
            self.expected[who] = self.next(who)

    def size(self):
        return (self.folder / "labels.csv.journal").stat().st_size

    def teardown(self):
        if hasattr(self, "queue"):
            self.queue.record.close()
            shutil.rmtree(self.folder)

    # The model

    def state(self, place):
        holding = [entry for entry in self.done if entry[1] == place and entry[3]]
        return holding[-1] if holding else None

    def elsewhere(self, who):
        return {place for other, place in self.expected.items() if other != who}

    def next(self, who):
        free = [place for place in range(self.n) if place not in self.elsewhere(who)]
        for place in free:
            if self.state(place) is None:
                return place
        skipped = [place for place in free if self.state(place)[2] is None]
        return min(skipped, key=lambda place: self.state(place)[4], default=None)

    def may(self, who):
        place = self.expected[who]
        state = None if place is None else self.state(place)
        return place is not None and (state is None or state[2] is None or state[0] == who)

    def act(self, who, label, do):
        if not self.may(who):
            with pytest.raises(TakenError):
                do(self.seats[who])
            return
        do(self.seats[who])
        self.done.append([who, self.expected[who], label, True, len(self.done)])
        self.sizes.append(self.size())
        self.turn(who, self.next(who))

    def turn(self, who, place):
        """A face that somebody leaves is for who has none."""
        self.expected[who] = place
        for other in self.expected:
            if self.expected[other] is None:
                self.expected[other] = self.next(other)

    # What happens

    people = st.sampled_from(["ann", "bob"])

    @rule(who=people, label=st.integers(0, 3))
    def answer(self, who, label):
        self.act(who, label, lambda seat: self.queue.answer(seat, label))

    @rule(who=people)
    def confirm(self, who):
        place = self.expected[who]
        belief = faces_of(self.n)[place].belief if place is not None else (0,)
        self.act(who, belief.index(max(belief)), self.queue.confirm)

    @rule(who=people)
    def skip(self, who):
        self.act(who, None, self.queue.skip)

    @rule(who=people)
    def undo(self, who):
        mine = [e for e in self.done if e[0] == who and e[3] and e[1] not in self.elsewhere(who)]
        undone = self.queue.undo(self.seats[who])
        assert (undone is None) == (not mine)
        if mine:
            mine[-1][3] = False
            self.done.append([who, None, mine[-1][4], False, len(self.done)])
            self.sizes.append(self.size())
            self.turn(who, mine[-1][1])

    @rule(who=people, step=st.sampled_from([-1, 1]))
    def move(self, who, step):
        self.queue.move(self.seats[who], step)
        now = self.n if self.expected[who] is None else self.expected[who]
        free = [p for p in range(self.n) if p not in self.elsewhere(who) and (p - now) * step > 0]
        if free:
            self.turn(who, min(free, key=lambda p: abs(p - now)))

    @rule()
    def restart(self):
        self.queue.record.close()
        self.open()

    @precondition(lambda self: self.sizes)
    @rule(data=st.data())
    def crash(self, data):
        """The journal ends anywhere: what was whole by then holds, undoing included."""
        self.queue.record.close()
        cut = data.draw(st.integers(0, self.sizes[-1]), label="bytes left")
        os.truncate(self.folder / "labels.csv.journal", cut)
        whole = sum(size <= cut for size in self.sizes)
        for entry in self.done[whole:]:
            if entry[1] is None:
                self.done[entry[2]][3] = True  # this undo never was
        del self.done[whole:], self.sizes[whole:]
        self.open()
        assert self.size() == (self.sizes[-1] if self.sizes else self.first)

    # What must be

    @invariant()
    def all_is_as_in_the_model(self):
        if not hasattr(self, "queue"):
            return
        assert {who: seat.place for who, seat in self.seats.items()} == self.expected
        states = [self.state(place) for place in range(self.n)]
        for place, state in enumerate(states):
            real = self.queue.record.state(f"{place}.png")
            assert (real and (real.who, real.label)) == (
                state and (state[0], None if state[2] is None else STATUSES[state[2]])
            )
        labelled = [(place, state) for place, state in enumerate(states) if state and state[2] is not None]
        labelled.sort(key=lambda pair: pair[1][4])
        assert [(row["image"], row["who"], row["status"]) for row in rows_of(self.folder / "labels.csv")] == [
            (f"{place}.png", state[0], str(state[2])) for place, state in labelled
        ]
        assert tuple(self.queue.progress()) == (len(labelled), sum(map(bool, states)) - len(labelled), self.n)
        for who in ("ann", "bob"):
            mine = [(place, state) for place, state in labelled if state[0] == who]
            agreed = sum(faces_of(self.n)[place].suggested == state[2] for place, state in mine)
            assert self.queue.record.agreement(who) == (agreed, len(mine))


class TestAnnotating(Annotating.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

    @pytest.fixture(autouse=True)
    def _no_waiting_for_the_disk(self, monkeypatch):
        monkeypatch.setattr(os, "fsync", lambda _: None)


# Nothing is lost


def test_an_answer_is_on_the_disk_before_the_next_face_comes(tmp_path, monkeypatch):
    queue = queue_of(tmp_path / "labels.csv")
    seat, seen = queue.sit("ann"), []

    def fsync(handle):
        seen.append(((tmp_path / "labels.csv.journal").read_text().splitlines()[-1], seat.place))

    monkeypatch.setattr(os, "fsync", fsync)
    queue.answer(seat, 2)
    (line, place) = seen[0]
    assert json.loads(line)["label"] == "incarnation"
    assert (place, seat.place) == (0, 1)


@pytest.mark.parametrize("fails", ["write", "fsync"])
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, fails):
    queue = queue_of(tmp_path / "labels.csv")
    seat = queue.sit("ann")
    queue.answer(seat, 0)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    write = os.write

    def full(handle, data=b""):
        if fails == "write":
            return write(handle, data[: len(data) // 2])  # as much as there was room for
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, full)
        with pytest.raises(InputError, match="make room"):
            queue.answer(seat, 1)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert seat.place == 1
    queue.answer(seat, 1)
    queue.record.close()
    assert [action.label for action in queue_of(tmp_path / "labels.csv").record.labels()] == ["noble", "warrior"]


def test_what_was_said_to_be_saved_outlives_a_kill(tmp_path):
    """A process that answers as fast as it can, and says so each time, is killed."""
    code = (
        "import sys; from tests.kaokore.annotate.test_annotate import queue_of\n"
        f"queue = queue_of({str(tmp_path / 'labels.csv')!r}, 5000); seat = queue.sit('ann')\n"
        "while True: queue.answer(seat, 1); print(seat.place, flush=True)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    said = [process.stdout.readline() for _ in range(20)]
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    labels = queue_of(tmp_path / "labels.csv", 5000).record.labels()
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
    queue_of(table).record.close()
    with (tmp_path / "labels.csv.journal").open("a") as file:
        file.write(line + "\n")
    for _ in range(2):
        with pytest.raises(InputError, match=f"{message} of .*damaged"):
            queue_of(table)


def test_tables_of_others_are_left_alone(tmp_path):
    (tmp_path / "labels.csv").write_text("image,gender,status,set\n")
    with pytest.raises(InputError, match="was not written by this script"):
        queue_of(tmp_path / "labels.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["labels.csv"]
    queue_of(tmp_path / "mine.csv").record.close()
    for task, source in (("gender", "a test"), ("status", "another")):
        with pytest.raises(InputError, match="holds status of a test"):
            Record(tmp_path / "mine.csv", task, CLASSES[task], source)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another --out"):
        queue_of(tmp_path / "file" / "labels.csv")


# Two people


def test_a_face_is_on_one_screen(tmp_path):
    queue = queue_of(tmp_path / "labels.csv", 2)
    ann, bob, eve = queue.sit("ann"), queue.sit("bob"), queue.sit("eve")
    assert [seat.place for seat in (ann, bob, eve)] == [0, 1, None]
    queue.move(ann, 1)  # bob's
    assert ann.place == 0
    queue.leave(bob)
    queue.leave(bob)
    assert eve.place == 1
    queue.answer(ann, 0)
    assert ann.place is None
    with pytest.raises(TakenError, match="no face left"):
        queue.confirm(ann)
    queue.move(eve, -1)
    assert ann.place == 1  # which eve has left
    for change in (queue.confirm, queue.skip):
        with pytest.raises(TakenError, match="only ann can change that"):
            change(eve)
    assert queue.undo(eve) is None
    assert queue.undo(ann) is None  # while eve looks at it
    queue.leave(eve)
    assert queue.undo(ann).label == "noble"
    assert ann.place == 0
