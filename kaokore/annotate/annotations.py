"""The annotations of all faces: a journal of actions, and the state that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kaokore.annotate.journal import Journal
from kaokore.annotate.label_table import Known, write_table
from renderer.errors import InputError
from renderer.io.from_json import from_json
from renderer.io.read import guarded, one_line


@dataclass(frozen=True)
class Prediction:
    """The classifier's prediction for a face at the time when it was labelled.

    Attributes:
        suggested: The most probable label.
        suggested_probability: Of that label, in [0, 1].
        probability: Of the label that was chosen.
        checkpoint: Name of the classifier.
        checkpoint_hash: Hash of its weights.
    """

    suggested: str
    suggested_probability: float
    probability: float
    checkpoint: str
    checkpoint_hash: str

    def record(self) -> dict[str, Any]:
        """Return the values under their names in the journal and the table."""
        return {key: getattr(self, name) for name, key in KEYS.items()}


# Attributes of a prediction -> their names in journals and tables, which are those of version 0.1.
KEYS = {
    "suggested": "suggested",
    "suggested_probability": "suggested_belief",
    "probability": "belief",
    "checkpoint": "checkpoint",
    "checkpoint_hash": "checkpoint_hash",
}


@dataclass(frozen=True)
class Action:
    """A face that was labelled or, with label and prediction None, skipped.

    `number` is its line in the journal, `when` is in UTC.
    """

    number: int
    image: str
    who: str
    when: str
    label: str | None = None
    prediction: Prediction | None = None


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Annotations:
    """All actions on faces, kept in the journal `TABLE.journal`, and the table of labels that follows from them.

    An action is valid until it is undone, and the latest valid one is a face's state. So an undo cancels only its own
    action, no matter what others did in between.

    Args:
        table: The CSV file to write.
        task: "gender" or "status".
        classes: Names of its labels.
        source: The data set or folder that image names belong to; a journal of another task or source is refused.
        known: Known labels by image name, for the table.
        clock: Returns the time of an action.

    Raises:
        InputError: The table was not written by this class, or as `Journal`.
    """

    def __init__(
        self,
        table: str | Path,
        task: str,
        classes: Sequence[str],
        source: str,
        *,
        known: Mapping[str, Known] | None = None,
        clock: Callable[[], str] = now,
    ) -> None:
        self.table, self.task, self.classes, self.known, self.clock = Path(table), task, classes, known or {}, clock
        path = self.table.with_name(self.table.name + ".journal")
        if self.table.exists() and not path.exists():
            raise InputError(f"{table} is there and was not written by this script; choose another --out.")
        self.journal = Journal(path)
        self._valid: dict[int, Action] = {}
        self._states: dict[str, list[Action]] = {}  # valid actions by image
        try:
            head = {"task": task, "source": source}
            if not self.journal.lines:
                self.journal.append(head)
            elif self.journal.lines[0] != head:
                other = " of ".join(one_line(self.journal.lines[0].get(key)) for key in head)
                raise InputError(f"{table} holds {other}, and this is {task} of {source}; choose another --out.")
            for number, line in enumerate(self.journal.lines[1:], 1):
                self._replay(number, line)
            self.write()
        except BaseException:
            self.close()
            raise

    def label(self, image: str, label: str, who: str, prediction: Prediction) -> None:
        """Label an image; the label is on the disk when this returns.

        Args:
            image: The image's name.
            label: A name of `classes`.
            who: The person.
            prediction: The classifier's prediction for the image.

        Raises:
            InputError: The journal cannot be written; then nothing has changed.
        """
        self._append({"do": "label", "image": image, "label": label, "who": who, **prediction.record()})

    def skip(self, image: str, who: str) -> None:
        """Skip an image; as `label`."""
        self._append({"do": "skip", "image": image, "who": who})

    def undo(self, action: Action, who: str) -> None:
        """Cancel a valid action; as `label`."""
        self._append({"do": "undo", "action": action.number, "who": who})

    def state(self, image: str) -> Action | None:
        """Return the latest valid action on an image."""
        actions = self._states.get(image)
        return actions[-1] if actions else None

    def latest(self, who: str, among: Callable[[str], bool]) -> Action | None:
        """Return this person's latest valid action on an image for which `among` is true: the one to undo."""
        return next((a for a in reversed(self._valid.values()) if a.who == who and among(a.image)), None)

    def labels(self) -> list[Action]:
        """Return the valid labels, in the order in which they were given."""
        states = [actions[-1] for actions in self._states.values() if actions and actions[-1].label is not None]
        return sorted(states, key=lambda action: action.number)

    def agreement(self, who: str) -> tuple[int, int]:
        """Count this person's labels that agree with the classifier, and all of this person's labels."""
        own = [action for action in self.labels() if action.who == who]
        return sum(a.prediction is not None and a.label == a.prediction.suggested for a in own), len(own)

    def write(self) -> None:
        """Write the table, whole or not at all. Raises `InputError`; the journal is complete even then."""
        rows = [
            {"image": a.image, "label": a.label, "who": a.who, "when": a.when}
            | (a.prediction.record() if a.prediction else {})
            for a in self.labels()
        ]
        write_table(self.table, rows, task=self.task, classes=self.classes, known=self.known)

    def close(self) -> None:
        """Release the journal for other processes."""
        self.journal.close()

    def _append(self, line: dict[str, Any]) -> None:
        self.journal.append(line | {"when": self.clock()})
        self._replay(len(self.journal.lines) - 1, self.journal.lines[-1])

    def _replay(self, number: int, line: dict[str, Any]) -> None:
        line_name = f"Line {number + 1} of {self.journal.path}"
        with guarded(line_name, InputError, "is damaged", "; mend or remove it, then start again"):
            if line["do"] == "undo":
                undone = self._valid.pop(from_json(int, line["action"], "the action"))
                self._states[undone.image].remove(undone)
                return
            record: dict[str, Any] = {"number": number, **{key: line[key] for key in ("image", "who", "when")}}
            if line["do"] == "label":
                given = {name: line[key] for name, key in KEYS.items()}
                if not {line["label"], given["suggested"]} <= {*self.classes}:
                    raise ValueError("there is no such label")
                record |= {"label": line["label"], "prediction": given}
            elif line["do"] != "skip":
                raise ValueError("there is no such action")
            action = from_json(Action, record)
            self._valid[number] = action
            self._states.setdefault(action.image, []).append(action)
