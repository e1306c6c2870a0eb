"""Trains a task: rows go to the run folders and to the display, Ctrl-C and SIGTERM end it between
chunks.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from jaxalign.cli.interrupts import on_interrupt
from jaxalign.cli.train.options import Train
from jaxalign.cli.train.progress import TrainingDisplay
from jaxalign.cli.train.recipe import Task, optimizer_of, seeds_of
from jaxalign.cli.train.resume import where_it_goes_on
from jaxalign.cli.train.runs import CHECKPOINTS, Run
from jaxalign.runs import History
from jaxalign.training import Checkpoints, TrainState, fit


class Outcome(NamedTuple):
    """How training ended.

    Attributes:
      state: the final state; None if training was interrupted.
      last_step: the last step that was logged.
      seconds: the time it took.
      steps_per_second: its speed without the first chunk; NaN if it was too short to tell.
    """

    state: TrainState | None
    last_step: int
    seconds: float
    steps_per_second: float


def train_task(
    config: Train,
    task: Task,
    mesh: Mesh | None,
    folder: Path,
    runs: Sequence[Run],
    console: Console,
) -> Outcome:
    """Train, and write every chunk's rows into the runs; without runs nothing is written or shown.

    Raises:
      OSError: rows could not be written; says how to go on, where that is possible.
    """
    started = time.perf_counter()
    last_step = 0
    state = None
    with (
        _interrupt_between_chunks(bool(runs)) as interrupted,
        TrainingDisplay(console, config.steps, len(task.monitored), interrupted) as display,
    ):

        def write_and_show(part: History) -> bool:
            nonlocal last_step
            for run in runs:
                run.write(part)
            last_step = int(part.step[-1])
            display.update(part)
            # True ends the run after the chunk that is running, with a checkpoint.
            return interrupted.is_set()

        try:
            state = _fit(config, task, mesh, folder, write_and_show)
        except KeyboardInterrupt:
            # A second Ctrl-C, which does not wait for a checkpoint: whole chunks are written.
            pass
        except OSError as error:
            if not any(run.writer.begun for run in runs):
                raise
            raise OSError(
                f"{error}; the rows before are kept: fix it, and {where_it_goes_on(folder)}"
            ) from None
    seconds = time.perf_counter() - started
    if state is not None and int(np.max(state.step)) < config.steps:
        state = None
    # A run that was killed after its last checkpoint is resumed without a step to log.
    if state is not None:
        last_step = config.steps
    return Outcome(state, last_step, seconds, display.steps_per_second)


def _fit(
    config: Train,
    task: Task,
    mesh: Mesh | None,
    folder: Path,
    callback: Callable[[History], bool],
) -> TrainState:
    model: Any = task.models
    seed: Any = seeds_of(config)
    if config.models == 1:
        model = task.models[0]
        seed = config.seed
    optimizer, hyperparameters = optimizer_of(config)
    state, _ = fit(
        model,
        optimizer,
        task.train.inputs,
        task.train.labels,
        steps=config.steps,
        monitor=task.monitor,
        every=config.every,
        batch_size=config.batch_size,
        seed=seed,
        hyperparameters=hyperparameters,
        objective=task.objective,
        callback=callback,
        keep_history=False,
        checkpoints=Checkpoints(folder / CHECKPOINTS, every=config.checkpoint_every),
        mesh=mesh,
    )
    return state


@contextmanager
def _interrupt_between_chunks(writes: bool) -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that no row is cut in two; a second one stops at once. Only where
    rows are written: a process that writes none stops at once.
    """
    interrupted = threading.Event()
    if not writes:
        yield interrupted
        return

    def handler(number: int, frame: Any) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    with on_interrupt(handler):
        yield interrupted
