"""The stages of ``on_device.py`` that train: what ``fit`` costs with and without measuring."""

import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optax
from flax import nnx

import jaxalign as ja
from jaxalign.data import fashion_mnist, read_npz
from jaxalign.models import CNN, resnet18
from jaxalign.monitoring import alignment_measures

if TYPE_CHECKING:
    from on_device import Results

STEP_RATIO = 1.1  # goal: a step that measures every layer, over one that measures none
RECOMMENDED = "deferred"  # the way to measure that has to reach this goal
COMPLETE = 60_000  # training images of Fashion-MNIST; the package holds 5000 of them
ROUNDS = 8
ARRIVALS = 6  # chunks in one turn
WARM_UP = 2  # of them


class Setting(NamedTuple):
    """A model for images of ten classes, and the sizes of its training."""

    name: str
    build: Callable[[], nnx.Module]
    batch: int
    chunk: int  # steps between two visits to the host


def small_network() -> nnx.Module:
    return CNN((28, 28, 1), (4, 4), 8, 10, rngs=nnx.Rngs(0))


def large_network() -> nnx.Module:
    return resnet18(10, channels=1, stem="cifar", rngs=nnx.Rngs(0))


def setting(tiny: bool) -> Setting:
    if tiny:
        return Setting("CNN", small_network, batch=8, chunk=2)
    return Setting("ResNet-18", large_network, batch=128, chunk=32)


WAYS: dict[str, dict[str, Any]] = {
    "deferred": {"defer": True},
    "deferred, without the null": {
        "defer": True,
        "measures": alignment_measures(128, null=False),
    },
    "quadrature": {"method": "quadrature"},
    "exact": {},
}


def ten_classes(labels):
    return ja.encode_targets(labels, classes=range(10))


def fit(
    images: np.ndarray,
    labels: np.ndarray,
    training: Setting,
    measure: str | None,
    callback: Callable[[Any], bool],
    steps: int = 10**6,
) -> None:
    """Train by ``ja.fit`` until the callback returns True, and measure all layers on every batch,
    or nothing for None.

    Every use of the training interface of jaxalign is in this function.
    """
    model = training.build()
    monitor = None
    if measure is not None:
        tap = ja.tap(model, model.post_activations)
        monitor = ja.batch_monitor(tap, ten_classes, training.batch, **WAYS[measure])
    ja.fit(
        model,
        optax.adam(1e-3),
        (images, labels),
        steps=steps,
        batch_size=training.batch,
        chunk=training.chunk,
        monitor=monitor,
        callback=callback,
        keep_history=False,
    )


class Turns:
    """A run of ``fit`` that advances in turns, so that several runs can be timed alternately.

    ``fit`` compiles its program at every call, so a run is not started again for each round: it
    waits in its callback, in a thread of its own, until it has the next turn.
    """

    def __init__(self, run: Callable[[Callable[[Any], bool]], None]):
        self.arrivals: list[float] = []
        self.error: BaseException | None = None
        self.stopping = False
        self.go = threading.Semaphore(0)
        self.done = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._train, args=(run,))

    def turn(self) -> float:
        """Seconds that a chunk takes.

        ``fit`` starts a chunk before it hands out the one before. So when a turn begins, the device
        still has a chunk of the other run to finish, and one of this run is finished already: the
        first arrivals say nothing.
        """
        self.arrivals = []
        if self.thread.ident is None:
            self.thread.start()
        else:
            self.go.release()
        self.done.acquire()
        if self.error is not None:
            raise self.error
        return (self.arrivals[-1] - self.arrivals[WARM_UP - 1]) / (ARRIVALS - WARM_UP)

    def stop(self) -> None:
        """End the run and wait for it."""
        self.stopping = True
        self.go.release()
        if self.thread.ident is not None:
            self.thread.join()

    def _train(self, run: Callable[[Callable[[Any], bool]], None]) -> None:
        try:
            run(self._arrived)
        except BaseException as error:  # raised again in the thread that waits
            self.error = error
        self.done.release()

    def _arrived(self, part: Any) -> bool:
        """Called with each chunk; whether to end the run."""
        self.arrivals.append(time.perf_counter())
        if len(self.arrivals) == ARRIVALS and not self.stopping:
            self.done.release()
            self.go.acquire()
        return self.stopping


def step(results: "Results") -> None:
    """A step of ``fit`` with each way to measure, over one without."""
    training = setting(results.tiny)
    random = np.random.default_rng(0)
    count = 64 if results.tiny else 4096
    images = random.standard_normal((count, 28, 28, 1), np.float32)
    labels = random.integers(0, 10, count)
    train_with = partial(fit, images, labels, training)
    plain = Turns(partial(train_with, None))
    try:
        plain.turn()  # compiles
        for measure in [RECOMMENDED] if results.tiny else WAYS:
            if results.left() > 25:
                compare(results, training, plain, Turns(partial(train_with, measure)), measure)
    finally:
        plain.stop()


def compare(
    results: "Results", training: Setting, plain: Turns, measured: Turns, measure: str
) -> None:
    """Time two runs alternately, and take the ratio within each round."""
    try:
        measured.turn()  # compiles
        rounds = []
        end = time.monotonic() + min(10.0, results.left() / 3)
        while len(rounds) < 3 or (len(rounds) < ROUNDS and time.monotonic() < end):
            rounds.append(one_round(plain, measured, reverse=len(rounds) % 2 == 1))
    finally:
        measured.stop()
    without, with_measure = np.median(rounds, axis=0) / training.chunk * 1e3
    ratios = [b / a for a, b in rounds]
    ratio = statistics.median(ratios)
    values = {
        "model": training.name,
        "plain_ms": round(float(without), 4),
        "ms": round(float(with_measure), 4),
        "ratio": round(ratio, 4),
        "quartiles": np.quantile(ratios, (0.25, 0.75)).round(4).tolist(),
        "rounds": len(rounds),
    }
    what = f"step of fit, {measure}"
    if measure == RECOMMENDED:
        results.goal(what, ratio <= STEP_RATIO, **values)
    else:
        results.add(what, **values)


def one_round(plain: Turns, measured: Turns, reverse: bool) -> tuple[float, float]:
    """Seconds of a chunk of each; every second round goes backwards."""
    if reverse:
        with_measure = measured.turn()
        return plain.turn(), with_measure
    without = plain.turn()
    return without, measured.turn()


class Row(NamedTuple):
    """The last step of a chunk."""

    time: float
    step: int
    loss: float
    accuracy: float  # mean over the chunk
    area: float  # of the last layer, over ‖y‖²


def train(results: "Results") -> None:
    """Fashion-MNIST, with all layers measured at every step."""
    training = setting(results.tiny)
    images, labels = clothes(results.images)
    rows: list[Row] = []

    def record(part) -> bool:
        *_, last = part.layers.values()
        accuracy = float(part.metrics["accuracy"].mean())
        area = float(last["area"][-1] / next(reversed(part.totals.values())))
        rows.append(
            Row(time.perf_counter(), int(part.step[-1]), float(part.loss[-1]), accuracy, area)
        )
        return results.left() < 8

    steps = 9 if results.tiny else 3000
    fit(images, labels, training, RECOMMENDED, record, steps)
    report(results, training, rows, len(images))


def clothes(path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The training images of Fashion-MNIST, (n, 28, 28, 1) in [−1, 1], and their labels."""
    if path is None or path.is_dir():
        split = fashion_mnist(path)
        return split.train.inputs[..., None], split.train.labels
    arrays = read_npz(path)
    pixels = np.asarray(arrays.inputs, np.float32).reshape(-1, 28, 28, 1)
    return (pixels / 255 - 0.5) / 0.5, np.asarray(arrays.labels, np.int32)


def report(results: "Results", training: Setting, rows: list[Row], images: int) -> None:
    times = np.diff([row.time for row in rows[WARM_UP:]])
    if len(times) == 0:
        results.check("there is time for a few chunks", False, chunks=len(rows))
        return
    values = {
        "model": training.name,
        "images": images,
        "complete": images == COMPLETE,
        "steps": rows[-1].step,
        "ms": round(1e3 * float(np.median(times)) / training.chunk, 4),
        "loss": [rows[0].loss, rows[-1].loss],
        "accuracy": [rows[0].accuracy, rows[-1].accuracy],
        "area": [rows[0].area, rows[-1].area],
    }
    results.goal("learns Fashion-MNIST", rows[-1].accuracy > 0.8, **values)
    results.check("losses and records are finite", np.isfinite(rows).all())
