"""`jaxalign train`: the main job, from data to the run's page, as a few lines of the public calls."""

import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console

from jaxalign.capture import tap
from jaxalign.cli.environment import environment
from jaxalign.cli.progress import TrainingDisplay
from jaxalign.cli.recipe import Train, as_settings, build_model, build_optimizer, describe, from_settings
from jaxalign.data import Dataset, fashion_mnist
from jaxalign.report.figures import all_figures
from jaxalign.report.page import page
from jaxalign.report.terminal import summary
from jaxalign.representation import encode_targets
from jaxalign.training import Checkpoints, History, RunWriter, classification, fit, probe
from jaxalign.training.run_folder import FIGURES, PAGE, read_config, read_history, read_result

CHECKPOINTS = "checkpoints"


def train(config: Train, console: Console) -> int:
    """Run ``config``; returns the exit status: 0, or 130 after Ctrl-C."""
    resume = config.resume is not None
    if config.resume is not None:
        if read_result(config.resume).get("status") == "finished":
            console.print(f"{config.resume} is finished: there is nothing to go on with.")
            return 0
        config = from_settings(read_config(config.resume)["train"], config.resume)
    split = fashion_mnist(config.data, None if config.classes == "all" else config.classes)
    images = split.train if config.samples is None else _balanced(split.train, config.samples, "samples")
    probed = _balanced(images, min(config.probe, len(images)), "probe")
    model = build_model(config, images)
    targets = encode_targets(probed.labels, classes=range(len(images.class_names)))
    watch = probe(tap(model, config.layers), probed.inputs, targets, thresholds=config.thresholds, measure=config.measure)
    folder = _next_free(Path("runs")) if config.out is None else config.out
    writer = RunWriter(folder, _description(config, images, probed), overwrite=config.overwrite, resume=resume)
    checkpoints = Checkpoints(folder / CHECKPOINTS, every=config.checkpoint_every)
    if config.overwrite:
        shutil.rmtree(checkpoints.folder, ignore_errors=True)

    started = time.perf_counter()
    status, seen = "finished", 0
    with _interrupt_between_chunks() as interrupted, TrainingDisplay(console, config.steps, interrupted) as display:

        def observe(part: History) -> None:
            nonlocal seen
            writer.write(part)
            display.update(part)
            seen = int(part.step[-1])
            if interrupted.is_set():
                raise KeyboardInterrupt

        try:
            state, _ = fit(
                model,
                build_optimizer(config),
                images.inputs,
                images.labels,
                steps=config.steps,
                probe=watch,
                every=config.every,
                batch_size=config.batch_size,
                seed=config.seed,
                observe=observe,
                checkpoints=checkpoints,
            )
        except KeyboardInterrupt:
            status = "interrupted"
    if status == "interrupted" and not writer.begun:
        console.print("Interrupted before the first step was done: nothing was written.")
        return 130

    result: dict[str, Any] = {
        "status": status,
        "steps_done": seen,
        "wall_seconds": round(time.perf_counter() - started, 2),
    }
    if display.steps_per_second == display.steps_per_second:
        result["steps_per_second"] = round(display.steps_per_second, 1)
    if status == "finished":
        result["steps_done"] = config.steps
        nnx.update(model, state.model)
        result |= {"train_accuracy": _accuracy(model, images), "test_accuracy": _accuracy(model, split.test)}
    writer.finish(result)
    history, described = read_history(folder), read_config(folder)
    picture = _write_report(folder, history, described, result)

    console.print()
    console.print(summary(history, described, result))
    if status == "interrupted":
        console.print(f"\nInterrupted at step {seen:,} of {config.steps:,}; the rows up to there are kept and readable.")
    console.print(f"\nPicture: {picture}\nPage:    {folder / PAGE}", highlight=False, soft_wrap=True)
    return 0 if status == "finished" else 130


def _write_report(folder: Path, history: History, described: dict[str, Any], result: dict[str, Any]) -> Path:
    """Draw a run's figures and write its page into its folder; returns the path of the first picture."""
    figures = all_figures(history)
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / FIGURES / f"{name}.png", dpi=160)
    (folder / PAGE).write_text(page(history, figures, described, result), encoding="utf-8")
    return folder / FIGURES / f"{next(iter(figures))}.png"


@contextmanager
def _interrupt_between_chunks() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that no row is cut in two; a second one stops at once. Main thread only."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
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


def _description(config: Train, images: Dataset, probed: Dataset) -> dict[str, Any]:
    """config.json: the settings, what they mean for people, and what they ran on."""
    names, recipe = images.class_names, describe(config, images)
    return {
        "title": f"{names[0]} against {names[1]}" if len(names) == 2 else f"{len(names)} classes of Fashion-MNIST",
        "subtitle": f"{recipe['network']} · {recipe['optimizer']} · {recipe['images']}",
        "command": shlex.join(["jaxalign", *(sys.argv[1:] or ["train"])]),
        "steps": config.steps,
        "recipe": recipe,
        "train": as_settings(config),
        "probe": {"size": len(probed), "sha256": probed.sha256(), "notes": _notes(names, len(probed), len(images))},
        "data": {"source": images.source, "size": len(images), "sha256": images.sha256()},
        "environment": environment(),
    }


def _notes(names: Sequence[str], probed: int, trained: int) -> list[str]:
    """What to bear in mind about this probe set, for the page."""
    some = "all" if probed == trained else f"{probed:,} of the"
    notes = [f"Measured on {some} {trained:,} training images, as in the paper; new images would give other curves."]
    if len(names) > 2:
        mean = (1 - 2 / len(names)) ** 2
        notes.append(
            f"With {len(names)} classes each target column is mostly −1, so {mean:.0%} of ‖y‖² is its mean, and every layer "
            "with a strong common direction is aligned with that much from the start. What training adds shows above it."
        )
    return notes


def _accuracy(model: nnx.Module, images: Dataset) -> float:
    _, metrics = classification(model(jnp.asarray(images.inputs)), jnp.asarray(images.labels))
    return round(float(np.asarray(metrics["accuracy"])), 4)


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
