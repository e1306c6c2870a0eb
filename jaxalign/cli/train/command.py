"""`jaxalign train`: the main job, from data to the run's page, as a few lines of the public calls."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from rich.console import Console

from jaxalign._features import encode_targets
from jaxalign.capture import tap
from jaxalign.cli.train.devices import first_process, join_processes, mesh_of
from jaxalign.cli.train.progress import TrainingDisplay
from jaxalign.cli.train.recipe import WHERE, Train, build_models, optimizer_of, seeds_of
from jaxalign.cli.train.runs import CHECKPOINTS, begun, finish, open_runs
from jaxalign.data import Dataset, fashion_mnist
from jaxalign.models import MLP
from jaxalign.monitoring import Monitor, monitor
from jaxalign.runs import History
from jaxalign.runs._folder import PAGE
from jaxalign.training import Checkpoints, TrainState, classification, fit


class Task(NamedTuple):
    """What is trained, on what, and what is measured."""

    images: Dataset
    test: Dataset
    monitored: Dataset
    models: list[MLP]
    monitor: Monitor


def train(config: Train, console: Console) -> int:
    """Run ``config``; returns the exit status: 0, or 130 after Ctrl-C."""
    join_processes(config)
    resume = config.resume is not None
    if config.resume is not None:
        held, finished = begun(config.resume)
        if finished:
            console.print(f"{config.resume} is finished: there is nothing to go on with.")
            return 0
        config = replace(held, **{name: getattr(config, name) for name in WHERE})
    task, mesh, leads = _task(config), mesh_of(config), first_process()
    folder = config.out or _next_free(Path("runs"))
    runs = open_runs(config, folder, task.images, task.monitored, resume=resume) if leads else []
    console = console if leads else Console(quiet=True, force_terminal=False)

    started, seen = time.perf_counter(), 0
    with (
        _interrupt_between_chunks(leads) as interrupted,
        TrainingDisplay(console, config.steps, interrupted) as display,
    ):

        def callback(part: History) -> None:
            nonlocal seen
            for run in runs:
                run.write(part)
            display.update(part)
            seen = int(part.step[-1])
            if interrupted.is_set():
                raise KeyboardInterrupt

        try:
            state = _fit(config, task, mesh, folder, callback)
        except KeyboardInterrupt:
            state = None
        except OSError as error:
            raise OSError(
                f"{error}; the rows before are kept: mend it and go on with --resume {folder}"
            ) from None
    finished = state is not None
    accuracies = (
        {} if state is None else _accuracies(task, state, mesh)
    )  # by all processes: networks may lie apart
    if not leads:
        return 0 if finished else 130
    if not finished and not runs[0].writer.begun:
        console.print("Interrupted before the first step was done: nothing was written.")
        return 130
    result: dict[str, Any] = {
        "status": "finished" if finished else "interrupted",
        "steps_done": config.steps if finished else seen,
        "wall_seconds": round(time.perf_counter() - started, 2),
    }
    if display.steps_per_second == display.steps_per_second:
        result["steps_per_second"] = round(display.steps_per_second, 1)
    picture = finish(runs, result, accuracies, console)
    if not finished:
        console.print(
            f"\nInterrupted at step {seen:,} of {config.steps:,}; the rows up to there are kept and readable."
        )
    pages = "\nPage:    ".join(str(run.folder / PAGE) for run in runs)
    console.print(f"\nPicture: {picture}\nPage:    {pages}", highlight=False, soft_wrap=True)
    return 0 if finished else 130


def _task(config: Train) -> Task:
    split = fashion_mnist(config.data, None if config.classes == "all" else config.classes)
    images = (
        split.train if config.samples is None else _balanced(split.train, config.samples, "samples")
    )
    monitored = _balanced(images, min(config.monitor_size, len(images)), "monitor-size")
    models = build_models(config, images)
    targets = encode_targets(monitored.labels, classes=range(len(images.class_names)))
    layers = tap(models[0], config.layers)
    watch = monitor(
        layers, monitored.inputs, targets, thresholds=config.thresholds, measure=config.measure
    )
    return Task(images, split.test, monitored, models, watch)


def _fit(
    config: Train, task: Task, mesh: Mesh | None, folder: Path, callback: Callable[[History], None]
) -> TrainState:
    one = config.models == 1
    optimizer, hyperparameters = optimizer_of(config)
    state, _ = fit(
        task.models[0] if one else task.models,
        optimizer,
        task.images.inputs,
        task.images.labels,
        steps=config.steps,
        monitor=task.monitor,
        every=config.every,
        batch_size=config.batch_size,
        seed=config.seed if one else seeds_of(config),
        hyperparameters=hyperparameters,
        callback=callback,
        checkpoints=Checkpoints(folder / CHECKPOINTS, every=config.checkpoint_every),
        mesh=mesh,
    )
    return state


def _accuracies(task: Task, state: TrainState, mesh: Mesh | None) -> dict[str, np.ndarray]:
    """Of every network: "train_accuracy" and "test_accuracy", (models,)."""
    graph = nnx.graphdef(task.models[0])

    def of_one(variables: nnx.State, images: Array, labels: Array) -> Array:
        return classification(nnx.merge(graph, variables)(images), labels)[1]["accuracy"]

    each = of_one if len(task.models) == 1 else jax.vmap(of_one, in_axes=(0, None, None))
    told = jax.jit(each, out_shardings=None if mesh is None else NamedSharding(mesh, P()))
    data = {"train_accuracy": task.images, "test_accuracy": task.test}
    return {
        name: np.atleast_1d(told(state.model, held.inputs, held.labels))
        for name, held in data.items()
    }


@contextmanager
def _interrupt_between_chunks(leads: bool) -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that no row is cut in two; a second one stops at once. Main thread
    only, and only where rows are written: a process that writes none stops at once.
    """
    interrupted = threading.Event()
    if not leads or threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def handler(number: int, frame: Any) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


def _balanced(images: Dataset, count: int, option: str) -> Dataset:
    try:
        return images.first(count)
    except ValueError as error:
        raise ValueError(f"--{option}: {error}") from None


def _next_free(parent: Path) -> Path:
    number = 1
    while (parent / f"train-{number}").exists():
        number += 1
    return parent / f"train-{number}"
