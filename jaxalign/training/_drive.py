"""The loop on the host: it starts chunks, fetches what they logged, and saves checkpoints."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxalign.runs import History
from jaxalign.runs._history import concatenate
from jaxalign.runs._lock import FolderLock
from jaxalign.runs._place import require_writable
from jaxalign.training._check import ONE
from jaxalign.training._checkpoints import Checkpoints
from jaxalign.training._fingerprint import Fingerprint
from jaxalign.training._layout import Layout
from jaxalign.training._program import Program
from jaxalign.training._reader import Position
from jaxalign.training._schedule import Schedule
from jaxalign.training._source import Block
from jaxalign.training._state import Monitors, Rows, TrainState

Callback = Callable[[History], Any]


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
        self._saved = 0
        self._lock: FolderLock | None = None

    def __enter__(self) -> "Saver":
        # A folder that is not there yet is not made before there is something to save.
        if self._checkpoints is not None:
            require_writable(self._checkpoints.folder)
            if self._checkpoints.folder.exists():
                self._hold(self._checkpoints)
        return self

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
        """Where the stream stood at that step."""
        if self._checkpoints is None or self._saved == 0:
            return None
        return self._checkpoints.position(self._saved)

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
            self._checkpoints.save(step, state, self._known, position)
            self._saved = step


def drive(
    program: Program,
    state: TrainState,
    blocks: Iterator[Block],
    plan: Schedule,
    saver: Saver,
    deliver: "Delivery",
) -> TrainState:
    """Run all chunks from the saver's step on, and deliver what they log: the state they end
    with.

    Raises:
      Exception: a block cannot be had; what ran until then is delivered and saved.
    """
    step = saver.step
    block = next(blocks)
    state, running = program(step, state, block)
    try:
        # A block is read, and the next chunk started, while the device works.
        following = _next(blocks)
        while isinstance(following, Block):
            finished = running
            position = block.position
            block = following
            step += plan.length
            copy = saver.copy_if_due(step, state)
            state, running = program(step, state, block)
            stop = deliver(finished)
            saver.save(step, copy, position)
            if stop:
                break
            following = _next(blocks)
    except KeyboardInterrupt:
        deliver(running)
        raise
    deliver(running)
    saver.save_last(min(step + plan.length, plan.steps), state, block.position)
    if isinstance(following, Exception):
        raise following
    return state


def _next(blocks: Iterator[Block]) -> Block | Exception | None:
    """The next block, None after the last one, or why it cannot be had."""
    try:
        return next(blocks, None)
    # A user's loader may raise anything.
    except Exception as error:
        return error


class Delivery:
    """Hands on what the chunks logged: to the callback, and to a History in memory.

    Args:
      fetch: makes a History of what a chunk logged.
      callback: gets each chunk's History, on process 0; or None.
      layout: says which process this is.
      keep_history: whether there is a History in memory.
    """

    def __init__(
        self, fetch: "Fetch", callback: Callback | None, layout: Layout, *, keep_history: bool
    ):
        self._fetch = fetch
        self._callback = callback
        self._layout = layout
        self._keep_history = keep_history
        self._parts: list[History] = []

    def __call__(self, logged: tuple) -> bool:
        """Deliver a chunk; whether the callback asks to stop."""
        part = self._fetch(*logged)
        if self._keep_history:
            self._parts.append(part)
        if self._callback is None:
            return False
        stop = False
        if self._layout.is_first_process:
            with self._layout.outside():
                answer = self._callback(part)
            # A comparison of what was logged gives numpy's True.
            stop = isinstance(answer, bool | np.bool_) and bool(answer)
        # All processes have to leave the loop at the same chunk.
        return _agreed(stop) if self._layout.spans_processes else stop

    def history(self) -> History:
        """All that was delivered and kept; without rows if nothing was."""
        if not self._parts:
            none = np.empty(0, np.float32)
            return History(none, none, none, {}, OrderedDict(), {}, {})
        return concatenate(self._parts)


def _agreed(stop: bool) -> bool:
    return bool(multihost_utils.broadcast_one_to_all(np.int32(stop)))


class Fetch:
    """From what a chunk logged on the device to a History."""

    def __init__(self, monitors: Monitors, schedule: Schedule):
        # Read before the monitors are placed, and before the loop: an operation asked for later
        # would wait behind the running chunk.
        self._totals = {name: monitor.total for name, monitor in monitors.items()}
        self._coordinates = {name: monitor.coordinates for name, monitor in monitors.items()}
        self._schedule = schedule

    def __call__(self, rows: Rows, logged: dict[str, Any]) -> History:
        """The rows up to the last step, fetched."""
        rows, logged = jax.device_get((rows, logged))
        # Of several models all are at the same step.
        all_steps = rows.step if rows.step.ndim == 1 else rows.step[:, 0]
        count = min(len(all_steps), self._schedule.steps + 1 - int(all_steps[0]))
        step = np.asarray(all_steps[:count])
        measured = step[step % self._schedule.every == 0] if logged else step[:0]

        def first(tree: Any, length: int) -> Any:
            return jax.tree.map(lambda x: x[:length], tree)

        layers: OrderedDict[str, Any] = OrderedDict()
        coordinates: dict[str, Any] = {}
        totals: dict[str, float] = {}
        for monitor in self._totals:  # in the order of the user's dict, which jit does not keep
            for layer, values in first(logged[monitor], len(measured)).items():
                name = layer if monitor == ONE else f"{monitor}/{layer}"
                layers[name] = values
                totals[name] = self._totals[monitor]
                axes = {m: a for m, a in self._coordinates[monitor].items() if m in values}
                if axes:
                    coordinates[name] = axes
        return History(
            step=step,
            measured=measured,
            loss=first(rows.loss, count),
            metrics=first(rows.metrics, count),
            layers=layers,
            coordinates=coordinates,
            totals=totals,
        )
