"""The loop under all trainings: run folder, exact resumption, curves, saves, evaluations, time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch
from torch import Tensor

from experiments import runs
from experiments.cli import require
from renderer.errors import InputError
from renderer.io.checkpoint import CheckpointError
from renderer.io.from_json import from_json
from renderer.io.read import guarded
from renderer.learned.processes import ALONE, Processes

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter
    from tqdm import tqdm

STATE = "state.safetensors"  # in the run folder


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of every training."""

    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    minutes: float | None = None
    """Minutes until this session saves its state and stops; no limit by default."""
    minutes_between_saves: float = 5.0
    """Minutes between saves of the state, which is also saved after every evaluation."""
    resume: str | None = None
    """A run folder to continue; all other options but --minutes are then read from it."""
    runs: str = "runs"
    """Folder for run folders."""


Options = TypeVar("Options", bound=RunOptions)


def resumed(config: Options, script: str) -> Options:
    """`config`, or if it names a run to resume, the configuration of that run. Raises `InputError`."""
    if config.resume is not None:
        stored = runs.resume(config.resume, script, type(config))
        with guarded(config.resume, InputError, "holds options that cannot be used"):
            require(stored, minutes_between_saves=0)
        config = replace(stored, resume=config.resume, minutes=config.minutes)
    require(config, minutes_between_saves=0)
    if config.minutes is not None:
        require(config, minutes=0)
    return config


def has_state(config: RunOptions) -> bool:
    """Whether `config` resumes a run that has saved its state; a run may have stopped before."""
    return config.resume is not None and (Path(config.resume) / STATE).exists()


class DivergenceError(InputError):
    """Weights or a loss of a training are no longer finite."""


class Trainer:
    """A training in its run folder.

        with Trainer("train_agent", config, {"policy": policy, "optimizer": optimizer, "draws": generator}) as trainer:
            for step in trainer.steps(config.episodes, "episode", evaluate_every=config.evaluate_every):
                loss = ...
                trainer.log({"train/loss": loss})
                if trainer.evaluating:
                    ...

    Every step reads its randomness from a saved generator or from its own number, so that a resumed training continues
    as if it had never stopped. The state is saved after a step, never within one.

    folder: the run folder
    done: steps done, in all sessions
    notes: JSON values that are saved with the state
    evaluating: whether this step ends with an evaluation
    saving: whether the state is saved after this step
    """

    def __init__(
        self,
        script: str,
        config: RunOptions,
        objects: Mapping[str, Any],
        notes: Mapping[str, Any] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Make the run folder, or load the state of the one that `config.resume` names.

        Args:
            script: Name of the training, by which its runs are recognised.
            config: All options.
            objects: Modules, optimizers and generators by name: all that a step reads and changes.
            notes: First values of `notes`.
            processes: Those that share the training; only the first one evaluates and writes.

        Raises:
            InputError: The folder cannot be written, or its state is not one of this training.
        """
        self.config, self.objects, self.processes = config, objects, processes
        self.done, self.notes = 0, dict(notes or {})
        self.evaluating = self.saving = False
        self._logging = self._stopping = False
        self._bar: tqdm[Any] | None = None
        self._board: SummaryWriter | None = None
        if config.resume is not None:
            self.folder = Path(config.resume)
        elif processes.rank == 0:
            self.folder = runs.start(script, config, config.runs)
        else:
            self.folder = Path(config.runs)
        self._state = self.folder / STATE
        if has_state(config):
            self.done, self.notes = runs.load_state(self._state, objects)
            with guarded(self._state, CheckpointError, "is not a state of this training"):
                from_json(bool, self.notes.get("finished", False), "finished")
                from_json(float | list[float] | None, self.notes.get("best"), "best")  # type: ignore[arg-type]
                for name, value in (notes or {}).items():
                    if value is not None:
                        from_json(type(value), self.notes[name], name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for opened in (self._bar, self._board):
            if opened is not None:
                opened.close()
        if isinstance(error, InputError) and not isinstance(error, DivergenceError):
            self.require_finite()  # where a NaN was refused deeper down, the divergence is what the user must know

    def steps(self, total: int, unit: str = "step", *, evaluate_every: int = 0, log_every: int = 1) -> Iterator[int]:
        """Yield the numbers of the steps that are left, from 0, and save the state after steps with `saving`.

        Args:
            total: Number of steps of the whole training, over all sessions.
            unit: Name of a step.
            evaluate_every: Steps between evaluations; the last step ends with one, too. 0 for none.
            log_every: Steps between points of a curve.
        """
        from torch.utils.tensorboard import SummaryWriter
        from tqdm import tqdm

        if self.finished or self.done >= total:
            return
        first = self.processes.rank == 0
        self._board = SummaryWriter(self.folder) if first else None
        self._bar = tqdm(total=total, initial=self.done, unit=unit, smoothing=0.02, disable=not first)
        begun = saved = time.monotonic()
        for step in range(self.done, total):
            now, last = time.monotonic(), step == total - 1
            out_of_time = self.config.minutes is not None and now - begun >= 60 * self.config.minutes
            self._stopping = last or out_of_time
            self.evaluating = evaluate_every > 0 and (last or (step + 1) % evaluate_every == 0)
            self.saving = self._stopping or self.evaluating or now - saved >= 60 * self.config.minutes_between_saves
            self._logging = self.saving or step % log_every == 0
            self.evaluating, self.saving = first and self.evaluating, first and self.saving
            yield step
            self.done = step + 1
            (self._stopping,) = self.processes.agree(self._stopping)
            self._bar.update()
            if self.saving:
                self.save()
                saved = time.monotonic()
            if self._stopping:
                break
        self.processes.agree(False)  # none returns, and may resume, before the first one has saved
        if self.done < total and not self.finished:
            self._bar.close()
            print(f"{self.folder}: {self.done:,} of {total:,} {unit}s; continue with --resume {self.folder}.")

    @property
    def finished(self) -> bool:
        """Whether `finish` was called, in this session or in an earlier one."""
        return bool(self.notes.get("finished", False))

    def finish(self) -> None:
        """End the training after this step, before its number of steps is reached."""
        self.notes["finished"] = self.saving = self._stopping = True

    def log(self, values: Mapping[str, float | Tensor], at: int | None = None) -> None:
        """Add a point to each curve, at most every `log_every` steps and whenever the state is saved.

        Args:
            values: Numbers by the name of the curve, such as train/loss.
            at: Place on the horizontal axis; by default the number of steps done.

        Raises:
            InputError: A value, or before a save a parameter, is not finite: the training diverged. The last saved state
                and the checkpoints of that time are kept.
        """
        if not self._logging or self._board is None:
            return
        if self.saving:
            self.require_finite()
        for name, value in values.items():
            number = value.item() if isinstance(value, Tensor) else value
            if not math.isfinite(number):
                raise self._diverged(f"{name} is {number}")
            self._board.add_scalar(name, number, self.done + 1 if at is None else at)

    def show(self, **values: object) -> None:
        """Show values on the progress bar."""
        if self._bar is not None:
            self._bar.set_postfix(values, refresh=False)

    def improved(self, score: Any) -> bool:
        """Whether `score` is less than all scores before it. The least one is kept in `notes`."""
        best = self.notes.get("best")
        if best is not None and not score < best:
            return False
        self.notes["best"] = score
        return True

    def save(self) -> None:
        """Write the state. Raises `InputError` if a module is not finite, and keeps the state before."""
        self.require_finite()
        runs.save_state(self._state, self.done, self.objects, self.notes)

    def require_finite(self) -> None:
        """Raise `InputError`, which names the last good state, if a module is not finite: the training diverged."""
        for name, thing in self.objects.items():
            if isinstance(thing, torch.nn.Module):
                state = {key: tensor for key, tensor in thing.state_dict().items() if tensor.is_floating_point()}
                if torch.nn.utils.get_total_norm(state.values()).isfinite():
                    continue  # one pass over all; squares of finite weights may overflow, and then each is tested
                for key, tensor in state.items():
                    if not tensor.isfinite().all():
                        raise self._diverged(f"{key} of {name} is not finite")

    def _diverged(self, reason: str) -> DivergenceError:
        kept = f"; {self._state} keeps its last good state" if self._state.exists() else ""
        return DivergenceError(
            f"The training diverged before step {self.done + 1} ({reason}){kept}. Start again with a lower learning rate."
        )
