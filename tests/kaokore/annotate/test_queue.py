"""The queue: faces come in order, and each is on one screen."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kaokore.annotate.queue import TakenError
from tests.kaokore.annotate.examples import STATUSES, faces_of, queue_of, rows_of


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
        self.screens = {who: self.queue.join(who) for who in ("ann", "bob")}
        self.expected = {"ann": None, "bob": None}
        for who in self.expected:
            self.expected[who] = self.next(who)

    def size(self):
        return (self.folder / "labels.csv.journal").stat().st_size

    def teardown(self):
        if hasattr(self, "queue"):
            self.queue.annotations.close()
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
                do(self.screens[who])
            return
        do(self.screens[who])
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
        self.act(who, label, lambda screen: self.queue.label(screen, label))

    @rule(who=people)
    def confirm(self, who):
        place = self.expected[who]
        suggested = faces_of(self.n)[place].suggested if place is not None else 0
        self.act(who, suggested, self.queue.confirm)

    @rule(who=people)
    def skip(self, who):
        self.act(who, None, self.queue.skip)

    @rule(who=people)
    def undo(self, who):
        mine = [e for e in self.done if e[0] == who and e[3] and e[1] not in self.elsewhere(who)]
        undone = self.queue.undo(self.screens[who])
        assert (undone is None) == (not mine)
        if mine:
            mine[-1][3] = False
            self.done.append([who, None, mine[-1][4], False, len(self.done)])
            self.sizes.append(self.size())
            self.turn(who, mine[-1][1])

    @rule(who=people, step=st.sampled_from([-1, 1]))
    def move(self, who, step):
        self.queue.move(self.screens[who], step)
        now = self.n if self.expected[who] is None else self.expected[who]
        free = [p for p in range(self.n) if p not in self.elsewhere(who) and (p - now) * step > 0]
        if free:
            self.turn(who, min(free, key=lambda p: abs(p - now)))

    @rule()
    def restart(self):
        self.queue.annotations.close()
        self.open()

    @precondition(lambda self: self.sizes)
    @rule(data=st.data())
    def crash(self, data):
        """The journal ends anywhere: what was whole by then holds, undoing included."""
        self.queue.annotations.close()
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
        assert {who: screen.place for who, screen in self.screens.items()} == self.expected
        states = [self.state(place) for place in range(self.n)]
        for place, state in enumerate(states):
            real = self.queue.annotations.state(f"{place}.png")
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
            assert self.queue.annotations.agreement(who) == (agreed, len(mine))


class TestAnnotating(Annotating.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

    @pytest.fixture(autouse=True)
    def _no_waiting_for_the_disk(self, monkeypatch):
        monkeypatch.setattr(os, "fsync", lambda _: None)


def test_a_face_is_on_one_screen(tmp_path):
    queue = queue_of(tmp_path / "labels.csv", 2)
    ann, bob, eve = queue.join("ann"), queue.join("bob"), queue.join("eve")
    assert [screen.place for screen in (ann, bob, eve)] == [0, 1, None]
    queue.move(ann, 1)  # bob's
    assert ann.place == 0
    queue.leave(bob)
    queue.leave(bob)
    assert eve.place == 1
    queue.label(ann, 0)
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
