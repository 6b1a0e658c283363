"""Whose turn which face is. Knows nothing of pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kaokore.annotate.annotations import Action, Belief, Record
from renderer.errors import InputError


class TakenError(InputError):
    """The face is somebody else's."""


@dataclass(frozen=True)
class Face:
    """A face to be labelled.

    name: the image's, as in the table; path: its file
    belief: the model's probability of each class, in [0, 1]
    official: the class that it has so far, if any
    """

    name: str
    path: Path
    belief: tuple[float, ...]
    official: int | None = None

    @property
    def suggested(self) -> int:
        """The likeliest class."""
        return max(range(len(self.belief)), key=self.belief.__getitem__)


@dataclass(eq=False)
class Seat:
    """One screen: who sits there, and the place in the queue of the face on it; None when there is none left."""

    who: str
    place: int | None = None


class Progress(NamedTuple):
    """How many faces of the queue are labelled (by anyone) and skipped, and how many there are."""

    labelled: int
    skipped: int
    total: int


class Queue:
    """Faces in the order in which they are to be labelled, by several people at once.

    A face is on one screen at most, and a label can be changed and undone only by who gave it, so nobody overwrites
    another's. Open faces come first, then the skipped ones, those first that were skipped longest ago. Methods are to
    be called one after another, not from several threads.

    model: name and hash of the checkpoint that the faces' beliefs are from
    """

    def __init__(self, faces: Sequence[Face], record: Record, model: tuple[str, str]) -> None:
        self.faces, self.record, self.model = faces, record, model
        self.seats: list[Seat] = []
        self._places = {face.name: place for place, face in enumerate(faces)}

    def sit(self, who: str) -> Seat:
        """A new screen, with a face on it."""
        seat = Seat(who)
        self.seats.append(seat)
        seat.place = self._next(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """The screen is gone, and its face free for those who have none."""
        if seat in self.seats:
            self.seats.remove(seat)
            self._turn(seat, None)

    def answer(self, seat: Seat, label: int) -> None:
        """Labels the seat's face with a class and turns to the next.

        Raises `TakenError` when another labelled it, and `InputError` when it cannot be written; if that was the
        journal, nothing has changed.
        """
        face = self._mine(seat)
        chosen, suggested = self.record.classes[label], self.record.classes[face.suggested]
        belief = Belief(suggested, max(face.belief), face.belief[label], *self.model)
        self.record.label(face.name, chosen, seat.who, belief)
        self._turn(seat, self._next(seat))
        self.record.write()

    def confirm(self, seat: Seat) -> None:
        """Labels the seat's face as the model suggests; as `answer`."""
        self.answer(seat, self._mine(seat).suggested)

    def skip(self, seat: Seat) -> None:
        """Leaves the seat's face for later, its label too if it had one, and turns to the next; as `answer`."""
        self.record.skip(self._mine(seat).name, seat.who)
        self._turn(seat, self._next(seat))
        self.record.write()

    def undo(self, seat: Seat) -> Action | None:
        """Takes back the latest action of who sits here, and shows its face; None when there is nothing to undo.

        What was done to faces that are not in this queue, or on another screen, is passed over. Raises `InputError`
        as `answer` does.
        """
        action = self.record.latest(seat.who, lambda name: name in self._places and self._free(seat, name))
        if action is not None:
            self.record.undo(action, seat.who)
            self._turn(seat, self._places[action.image])
            self.record.write()
        return action

    def move(self, seat: Seat, step: int) -> None:
        """To the face before (-1) or after (1) in the queue that is on no other screen, labelled or not, if any."""
        place = len(self.faces) if seat.place is None else seat.place
        while 0 <= (place := place + step) < len(self.faces):
            if self._free(seat, self.faces[place].name):
                self._turn(seat, place)
                return

    def face(self, seat: Seat) -> Face | None:
        """What is on the screen."""
        return None if seat.place is None else self.faces[seat.place]

    def progress(self) -> Progress:
        """See `Progress`."""
        states = [self.record.state(face.name) for face in self.faces]
        labelled = sum(state is not None and state.label is not None for state in states)
        return Progress(labelled, sum(state is not None for state in states) - labelled, len(states))

    def _turn(self, seat: Seat, place: int | None) -> None:
        """To another face; the one left is free for those who have none."""
        seat.place = place
        for other in self.seats:
            if other.place is None:
                other.place = self._next(other)

    def _mine(self, seat: Seat) -> Face:
        face = self.face(seat)
        if face is None:
            raise TakenError("There is no face left here.")
        state = self.record.state(face.name)
        if state is not None and state.label is not None and state.who != seat.who:
            raise TakenError(f"{state.who} labelled this face, and only {state.who} can change that.")
        return face

    def _free(self, seat: Seat, name: str) -> bool:
        place = self._places[name]
        return all(other.place != place for other in self.seats if other is not seat)

    def _next(self, seat: Seat) -> int | None:
        skipped = []
        for place, face in enumerate(self.faces):
            if self._free(seat, face.name):
                state = self.record.state(face.name)
                if state is None:
                    return place
                if state.label is None:
                    skipped.append((state.number, place))
        return min(skipped)[1] if skipped else None
