"""When the state of a run is saved, and where a run goes on."""

import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign.runs._lock import FolderLock
from jaxalign.runs._place import require_writable
from jaxalign.training._checkpoints import Checkpoints
from jaxalign.training._fingerprint import Fingerprint
from jaxalign.training._layout import Layout
from jaxalign.training._processes import Processes, gathered, in_step, listed
from jaxalign.training._reader import Position
from jaxalign.training._schedule import Schedule
from jaxalign.training._state import TrainState

PROCESSES = "processes"
"""Under this name a checkpoint holds the position of each process in its stream."""


class Saver:
    """Saves the state from time to time, if there is a folder to save it in: ``with Saver(...)``,
    which has the folder for itself.

    Args:
      checkpoints: where to, or None.
      identify: makes what the run is known by; called where there are checkpoints.
      schedule: where chunks begin.
      layout: where the state lies.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        identify: Callable[[], Fingerprint],
        schedule: Schedule,
        layout: Layout,
    ):
        self._checkpoints = checkpoints
        self._known = identify() if checkpoints is not None else None
        self._schedule = schedule
        self._layout = layout
        self._together = layout.processes.together
        self._saved = 0
        self._lock: FolderLock | None = None

    def __enter__(self) -> "Saver":
        # A folder that is not there yet is not made before there is something to save.
        if self._checkpoints is not None:
            with in_step(self._together) as notes:
                require_writable(self._checkpoints.folder)
                if self._checkpoints.folder.exists():
                    self._hold(self._checkpoints)
                notes.own = f"the checkpoints {self._checkpoints.steps()}"
            self._require_same_folder(notes.everywhere)
        return self

    def _require_same_folder(self, kept: list[str]) -> None:
        if len({*kept}) > 1:
            raise ValueError(
                f"the folder of checkpoints must be one that all processes share, found "
                f"{listed(kept)}; pass one on a file system that all hosts have mounted"
            )

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def _hold(self, checkpoints: Checkpoints) -> None:
        if self._lock is None and self._layout.is_first_process:
            checkpoints.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(checkpoints.folder)

    def resume(self, start: TrainState) -> tuple[TrainState, int]:
        """The newest saved state that this run can go on from and its step; without one, the start
        and 0.

        Raises:
          ValueError: the newest is of another run, or past the last step.
        """
        if self._checkpoints is None or self._known is None:
            return start, 0
        saved = self._checkpoints.newest(start, self._known, self._is_usable)
        if saved is None:
            return start, 0
        self._saved = int(np.max(saved.step))
        return saved, self._saved

    def _is_usable(self, step: int) -> bool:
        steps = self._schedule.steps
        if step > steps:
            raise ValueError(
                f"steps must be at least {step}, where the newest checkpoint was saved, found "
                f"{steps}; pass more, or another folder for checkpoints"
            )
        return step == steps or self._schedule.begins_chunk(step)

    @property
    def step(self) -> int:
        """The last step that was saved or resumed from."""
        return self._saved

    @property
    def position(self) -> Position | None:
        """Where the stream stood at that step, in this process."""
        if self._checkpoints is None or self._saved == 0:
            return None
        return own_position(self._checkpoints.position(self._saved), self._layout.processes)

    def copy_if_due(self, step: int, state: TrainState) -> TrainState | None:
        """The state of a step, before the next chunk takes over its arrays; None if none is due.

        One is due where the last chunk begins, too: from there the run can be extended. The last
        state itself is saved when its row is delivered, at the end.
        """
        steps = self._schedule.steps
        if self._checkpoints is None or step == steps:
            return None
        is_last = step + self._schedule.length > steps
        if step < self._saved + self._checkpoints.every and not is_last:
            return None
        return jax.tree.map(jnp.copy, state)

    def save(self, step: int, copy: TrainState | None, position: Position | None) -> None:
        """Save a copy, once the rows before it are delivered, so that none will be missing."""
        if copy is not None:
            self._save(step, copy, position)

    def save_last(self, step: int, state: TrainState, position: Position | None) -> None:
        """Save the state that the run ends with."""
        if self._checkpoints is not None:
            self._save(step, state, position)

    def _save(self, step: int, state: TrainState, position: Position | None) -> None:
        if self._checkpoints is not None and self._known is not None:
            self._hold(self._checkpoints)
            if self._together and position is not None:
                position = {PROCESSES: list(map(json.loads, gathered(json.dumps(position))))}
            self._checkpoints.save(step, state, self._known, position)
            self._saved = step


def own_position(position: Position | None, processes: Processes) -> Position | None:
    """The position of this process, of what a checkpoint holds."""
    if position is None or PROCESSES not in position:
        return position
    everywhere = position[PROCESSES]
    # Where another number of processes goes on, all of them read the same.
    number = min(processes.number, len(everywhere) - 1)
    return everywhere[number]
