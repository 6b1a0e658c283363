"""Statistics of a run: accuracy of the classifiers with confidence intervals, and the number of strokes needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist, mean
from typing import Any

import numpy as np

from experiments.recognizability.rows import UNPAINTED, Row
from kaokore.classify import CLASSES
from renderer.errors import InputError

Z = NormalDist().inv_cdf(0.975)  # for 95 % intervals
POINTS = 0.02  # distance to the ceiling that counts as reaching it
RESAMPLES = 4000


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % confidence interval of the proportion `right` / `n`, n > 0 (Wilson 1927; Brown, Cai and DasGupta 2001, eq. 4).

    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    share, weight = right / n, Z**2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = Z * (share * (1 - share) / n + weight / (4 * n)) ** 0.5 / (1 + weight)
    # At the ends the formula gives 0 and 1 up to rounding.
    return (0.0 if right == 0 else centre - half), (1.0 if right == n else centre + half)


def paired(one: Sequence[bool], other: Sequence[bool], seed: int = 0) -> dict[str, Any]:
    """Mean difference in accuracy between `one` and `other` on the same faces, with a 95 % bootstrap interval.

    Percentile bootstrap over faces (Efron 1979). A face's difference is -1, 0 or 1, so that a resample is a draw from a
    multinomial distribution.
    """
    values = np.array([-1, 0, 1])
    found = np.array([int(a) - int(b) for a, b in zip(one, other, strict=True)])
    shares = (found[:, None] == values).mean(0)
    draws = np.random.default_rng(seed).multinomial(len(found), shares, RESAMPLES) @ values / len(found)
    low, high = np.percentile(draws, (2.5, 97.5))
    return {"mean": float(found.mean()), "interval": [float(low), float(high)]}


def share(hits: Sequence[bool]) -> dict[str, Any]:
    """The proportion of hits, its Wilson interval and the number of cases; None where there are none."""
    if not hits:
        return {"share": None, "interval": None, "n": 0}
    return {"share": mean(map(float, hits)), "interval": list(wilson(sum(hits), len(hits))), "n": len(hits)}


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """All figures of a run, for JSON.

    Returns:
        For each task: `unpainted`, the ceiling; `floor`, the accuracy of always answering the commonest class; and by
        painter, `cells` by number of strokes (see `_cell`), and the strokes that are `sufficient` (see `sufficient`).
        The first painter of the rows is the reference: others are compared with it on the faces that both painted.

    Raises:
        InputError: when no face has been painted.
    """
    faces = {row.face: row for row in rows if row.painter == UNPAINTED}
    cells: dict[str, dict[int, dict[int, Row]]] = {}
    for row in rows:
        if row.painter != UNPAINTED and row.face in faces:
            cells.setdefault(row.painter, {}).setdefault(row.strokes, {})[row.face] = row
    if not cells:
        raise InputError("No face has been painted yet; run `paint` again to resume.")
    reference, tasks = next(iter(cells)), {}
    for task, classes in CLASSES.items():
        common, count = Counter(getattr(row, task) for row in faces.values()).most_common(1)[0]
        painters = {}
        for name, counts in cells.items():
            found = []
            for strokes, painted in sorted(counts.items()):
                baseline = cells[reference].get(strokes, {}) if name != reference else {}
                found.append({"strokes": strokes, **_cell(painted, faces, baseline, task, classes)})
            painters[name] = {"cells": found, "sufficient": sufficient(found)}
        tasks[task] = {
            "unpainted": _scores(list(faces.values()), task, classes),
            "floor": {"class": common, "share": count / len(faces)},
            "painters": painters,
        }
    return {"faces": len(faces), "reference": reference, "tasks": tasks}


def _scores(rows: Sequence[Row], task: str, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy, recall by class (see `share`), and the mean recall of the classes that occur."""
    recalls = {name: share([row.right(task) for row in rows if getattr(row, task) == name]) for name in classes}
    occurring = [recall["share"] for recall in recalls.values() if recall["n"]]
    accuracy = share([row.right(task) for row in rows])
    return {"accuracy": accuracy, "balanced_accuracy": mean(occurring), "recall": recalls}


def _cell(
    painted: dict[int, Row], faces: dict[int, Row], baseline: dict[int, Row], task: str, classes: Sequence[str]
) -> dict[str, Any]:
    """Figures of one painter and number of strokes.

    ceiling: accuracy on the same faces, unpainted; drop: the paired loss of accuracy, with `standard_error` of the ceiling;
    agreement: with the classifier's answer to the unpainted face; against: paired gain over the first painter, on `faces`
    """
    rows, originals = list(painted.values()), [faces[face] for face in painted]
    right, before = [row.right(task) for row in rows], [row.right(task) for row in originals]
    answer, ceiling = f"{task}_answer", mean(map(float, before))
    same = [getattr(row, answer) == getattr(face, answer) for row, face in zip(rows, originals, strict=True)]
    both = [face for face in painted if face in baseline]
    against = (
        paired([painted[face].right(task) for face in both], [baseline[face].right(task) for face in both])
        if both
        else {}
    )
    return {
        **_scores(rows, task, classes),
        "ceiling": ceiling,
        "standard_error": (ceiling * (1 - ceiling) / len(rows)) ** 0.5,
        "drop": paired(before, right),
        "agreement": share(same),
        "probability": mean(getattr(row, f"{task}_probability") for row in rows),
        "mse": mean(row.mse for row in rows),
        "cpu_seconds": mean(row.cpu_seconds for row in rows),
        "against": {**against, "faces": len(both)} if both else None,
    }


def sufficient(cells: Sequence[dict[str, Any]]) -> dict[str, int | None]:
    """The least number of strokes from which on accuracy stays near the ceiling.

    Within a standard error of it, and within 2 points of it; None where it does not. `cells` are in the order of strokes.
    """
    found: dict[str, int | None] = {"standard_error": None, "points": None}
    for name in found:
        for cell in reversed(cells):
            if cell["drop"]["mean"] > (cell["standard_error"] if name == "standard_error" else POINTS) + 1e-9:
                break
            found[name] = cell["strokes"]
    return found
