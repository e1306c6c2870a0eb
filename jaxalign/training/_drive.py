"""The loop on the host: it starts chunks, and fetches and hands on what they logged."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxalign.runs import History
from jaxalign.runs._history import concatenate
from jaxalign.training._check import ONE
from jaxalign.training._layout import Layout
from jaxalign.training._processes import in_step
from jaxalign.training._program import Program
from jaxalign.training._saver import Saver
from jaxalign.training._schedule import Schedule
from jaxalign.training._source import Block
from jaxalign.training._state import Monitors, Rows, TrainState

Callback = Callable[[History], Any]
STOP = "stop"
"""What the first process tells the others where its callback ends the run."""


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


def _is_true(answer: Any) -> bool:
    """Whether a callback returned True: a comparison of what was logged gives that of numpy or of
    jax, by itself or as an array of no axes.
    """
    if not isinstance(answer, bool | np.bool_ | np.ndarray | jax.Array):
        return False
    value = np.asarray(answer)
    return value.ndim == 0 and value.dtype.kind == "b" and bool(value)


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
        self._together = layout.processes.together
        self._keep_history = keep_history
        self._parts: list[History] = []

    def __call__(self, logged: tuple) -> bool:
        """Deliver a chunk; whether the callback asks to stop."""
        part = self._fetch(*logged)
        if self._keep_history:
            self._parts.append(part)
        if self._callback is None and not self._together:
            return False
        # All processes have to leave the loop at the same chunk.
        with in_step(self._together) as notes:
            if self._callback is not None and self._layout.is_first_process:
                with self._layout.outside():
                    answer = self._callback(part)
                if _is_true(answer):
                    notes.own = STOP
        return STOP in notes.everywhere

    def history(self) -> History:
        """All that was delivered and kept; without rows if nothing was."""
        if not self._parts:
            none = np.empty(0, np.float32)
            return History(none, none, none, {}, OrderedDict(), {}, {})
        return concatenate(self._parts)


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
