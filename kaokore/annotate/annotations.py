"""What people said of each face, and what of it still holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kaokore.annotate.journal import Journal
from kaokore.annotate.label_table import Known, write_table
from renderer.errors import InputError


@dataclass(frozen=True)
class Belief:
    """What the model thought of a face when it was labelled.

    suggested: its likeliest label; suggested_belief and belief: its probabilities, in [0, 1], of that label and of the
    one chosen; checkpoint, checkpoint_hash: which model
    """

    suggested: str
    suggested_belief: float
    belief: float
    checkpoint: str
    checkpoint_hash: str


@dataclass(frozen=True)
class Action:
    """A face labelled or, with None as label and belief, skipped. `number` is its line in the journal; when is UTC."""

    number: int
    image: str
    who: str
    when: str
    label: str | None = None
    belief: Belief | None = None


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Record:
    """All actions on faces, in the journal `TABLE.journal`, and the table of labels that follows from them.

    An action holds until it is undone, and the latest that holds is a face's state. So an undo takes back nothing but
    its own action, whoever did what in between.

    task: "gender" or "status"; classes: its labels
    source: whose names the images' are; a journal of another task or source is refused
    known: what is known of images beside the label, for the table

    Raises `InputError` for a table that is not this script's, and as `Journal` does.
    """

    def __init__(
        self,
        table: str | Path,
        task: str,
        classes: Sequence[str],
        source: str,
        known: Mapping[str, Known] | None = None,
        clock: Callable[[], str] = now,
    ) -> None:
        self.table, self.task, self.classes, self.known, self.clock = Path(table), task, classes, known or {}, clock
        path = self.table.with_name(self.table.name + ".journal")
        if self.table.exists() and not path.exists():
            raise InputError(f"{table} is there and was not written by this script; choose another --out.")
        self.journal = Journal(path)
        self._holding: dict[int, Action] = {}
        self._states: dict[str, list[Action]] = {}  # by image, those that hold
        try:
            head = {"task": task, "source": source}
            if not self.journal.lines:
                self.journal.append(head)
            elif self.journal.lines[0] != head:
                theirs = " of ".join(str(self.journal.lines[0].get(key)) for key in head)
                raise InputError(f"{table} holds {theirs}, and this is {task} of {source}; choose another --out.")
            for number, line in enumerate(self.journal.lines[1:], 1):
                self._replay(number, line)
            self.write()
        except BaseException:
            self.close()
            raise

    def label(self, image: str, label: str, who: str, belief: Belief) -> None:
        """Labels an image; on the disk when this returns, or it raises `InputError` and nothing has changed."""
        self._append({"do": "label", "image": image, "label": label, "who": who, **vars(belief)})

    def skip(self, image: str, who: str) -> None:
        """Leaves an image for later; as `label`."""
        self._append({"do": "skip", "image": image, "who": who})

    def undo(self, action: Action, who: str) -> None:
        """Takes back an action that holds; as `label`."""
        self._append({"do": "undo", "action": action.number, "who": who})

    def state(self, image: str) -> Action | None:
        """The latest action on an image that holds."""
        actions = self._states.get(image)
        return actions[-1] if actions else None

    def latest(self, who: str, among: Callable[[str], bool]) -> Action | None:
        """This person's latest action that holds on an image that `among` takes: what an undo should take back."""
        return next((a for a in reversed(self._holding.values()) if a.who == who and among(a.image)), None)

    def labels(self) -> list[Action]:
        """The labels that hold, in the order in which they were given."""
        states = [actions[-1] for actions in self._states.values() if actions and actions[-1].label is not None]
        return sorted(states, key=lambda action: action.number)

    def agreement(self, who: str) -> tuple[int, int]:
        """How many of this person's labels are the model's, and how many there are."""
        mine = [action for action in self.labels() if action.who == who]
        return sum(a.belief is not None and a.label == a.belief.suggested for a in mine), len(mine)

    def write(self) -> None:
        """Writes the table anew, whole or not at all. Raises `InputError`; the journal has all answers even then."""
        rows = [
            {"image": a.image, "label": a.label, "who": a.who, "when": a.when, **(vars(a.belief) if a.belief else {})}
            for a in self.labels()
        ]
        write_table(self.table, self.task, self.classes, rows, self.known)

    def close(self) -> None:
        """Lets another process have the journal."""
        self.journal.close()

    def _append(self, line: dict[str, Any]) -> None:
        self.journal.append(line | {"when": self.clock()})
        self._replay(len(self.journal.lines) - 1, self.journal.lines[-1])

    def _replay(self, number: int, line: dict[str, Any]) -> None:
        try:
            if line["do"] == "undo":
                undone = self._holding.pop(line["action"])
                self._states[undone.image].remove(undone)
                return
            belief = None
            if line["do"] == "label":
                if line["label"] not in self.classes:
                    raise ValueError
                belief = Belief(**{key: line[key] for key in Belief.__dataclass_fields__})
            elif line["do"] != "skip":
                raise ValueError
            action = Action(number, line["image"], line["who"], line["when"], line.get("label"), belief)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"Line {number + 1} of {self.journal.path} is damaged; mend or remove it.") from error
        self._holding[number] = action
        self._states.setdefault(action.image, []).append(action)
