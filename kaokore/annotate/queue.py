"""The queue of faces, and the screens that show them. Independent of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kaokore.annotate.annotations import Action, Annotations, Prediction
from renderer.errors import InputError


class TakenError(InputError):
    """The face is on no screen of this person, or another person labelled it."""


@dataclass(frozen=True)
class Face:
    """A face to annotate.

    Attributes:
        name: Of the image, as in the table.
        path: Its file.
        probabilities: Of each class, in [0, 1], as the classifier predicts.
        official: The class index that it has so far, if any.
    """

    name: str
    path: Path
    probabilities: tuple[float, ...]
    official: int | None = None

    @property
    def suggested(self) -> int:
        """The index of the most probable class."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


@dataclass(eq=False)
class Screen:
    """One open page: who uses it, and the place in the queue of the face on it; None when no face is left."""

    who: str
    place: int | None = None


class Progress(NamedTuple):
    """How many faces of the queue are labelled (by anyone), how many are skipped, and how many there are."""

    labelled: int
    skipped: int
    total: int


class Queue:
    """Faces in the order in which they are annotated, by several people at once.

    A face is on one screen at most, and a label can be changed and undone only by the person who gave it. Open faces come
    first, then the skipped ones, starting with the one that was skipped first. Not thread-safe.

    Args:
        faces: In their order.
        annotations: Where labels are recorded.
        checkpoint: Name and hash of the classifier that predicted the faces' probabilities.
    """

    def __init__(self, faces: Sequence[Face], annotations: Annotations, checkpoint: tuple[str, str]) -> None:
        self.faces, self.annotations, self.checkpoint = faces, annotations, checkpoint
        self.screens: list[Screen] = []
        self._places = {face.name: place for place, face in enumerate(faces)}

    def join(self, who: str) -> Screen:
        """Add a screen, with the next face on it."""
        screen = Screen(who)
        self.screens.append(screen)
        screen.place = self._next(screen)
        return screen

    def leave(self, screen: Screen) -> None:
        """Remove a screen; its face goes to a screen without one."""
        if screen in self.screens:
            self.screens.remove(screen)
            self._show(screen, None)

    def label(self, screen: Screen, label: int) -> None:
        """Label the screen's face with a class index and show the next face.

        Raises:
            TakenError: Another person labelled the face.
            InputError: The label cannot be written; if the journal could not be, nothing has changed.
        """
        face = self._own(screen)
        chosen, suggested = self.annotations.classes[label], self.annotations.classes[face.suggested]
        prediction = Prediction(suggested, max(face.probabilities), face.probabilities[label], *self.checkpoint)
        self.annotations.label(face.name, chosen, screen.who, prediction)
        self._show(screen, self._next(screen))
        self.annotations.write()

    def confirm(self, screen: Screen) -> None:
        """Label the screen's face as the classifier suggests; as `label`."""
        self.label(screen, self._own(screen).suggested)

    def skip(self, screen: Screen) -> None:
        """Skip the screen's face, removing its label if it had one, and show the next face; as `label`."""
        self.annotations.skip(self._own(screen).name, screen.who)
        self._show(screen, self._next(screen))
        self.annotations.write()

    def undo(self, screen: Screen) -> Action | None:
        """Undo the latest action of the screen's user and show its face; None when there is nothing to undo.

        Actions on faces that are not in this queue, or on another screen, are ignored. Raises `InputError` as `label`.
        """
        action = self.annotations.latest(screen.who, lambda name: name in self._places and self._free(screen, name))
        if action is not None:
            self.annotations.undo(action, screen.who)
            self._show(screen, self._places[action.image])
            self.annotations.write()
        return action

    def move(self, screen: Screen, step: int) -> None:
        """Show the previous (step -1) or next (1) face of the queue that is on no other screen, labelled or not."""
        place = len(self.faces) if screen.place is None else screen.place
        while 0 <= (place := place + step) < len(self.faces):
            if self._free(screen, self.faces[place].name):
                self._show(screen, place)
                return

    def face(self, screen: Screen) -> Face | None:
        """Return the face on a screen."""
        return None if screen.place is None else self.faces[screen.place]

    def progress(self) -> Progress:
        """Count the labelled and skipped faces."""
        states = [self.annotations.state(face.name) for face in self.faces]
        labelled = sum(state is not None and state.label is not None for state in states)
        return Progress(labelled, sum(state is not None for state in states) - labelled, len(states))

    def _show(self, screen: Screen, place: int | None) -> None:
        """Show another face; the previous one goes to a screen without a face."""
        screen.place = place
        for other in self.screens:
            if other.place is None:
                other.place = self._next(other)

    def _own(self, screen: Screen) -> Face:
        face = self.face(screen)
        if face is None:
            raise TakenError("There is no face left here.")
        state = self.annotations.state(face.name)
        if state is not None and state.label is not None and state.who != screen.who:
            raise TakenError(f"{state.who} labelled this face, and only {state.who} can change that.")
        return face

    def _free(self, screen: Screen, name: str) -> bool:
        place = self._places[name]
        return all(other.place != place for other in self.screens if other is not screen)

    def _next(self, screen: Screen) -> int | None:
        skipped = []
        for place, face in enumerate(self.faces):
            if self._free(screen, face.name):
                state = self.annotations.state(face.name)
                if state is None:
                    return place
                if state.label is None:
                    skipped.append((state.number, place))
        return min(skipped)[1] if skipped else None
