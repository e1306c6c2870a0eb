"""Racing: all solvers in turn, round after round, in one process for each number of cores and BLAS
threads.
"""

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign.benchmark.problem import Errors, Shape, errors, exact, example
from jaxalign.benchmark.solvers import PRODUCTS, Data, solvers

ROUNDS = 3, 100
ENOUGH = 0.05  # seconds that the clock and the system's noise are small against
PATIENCE = 1800  # seconds for one call


@dataclass(frozen=True)
class Lane:
    """What a process may use: some of the cores, and as many BLAS threads; no ``cores`` for an
    accelerator's process.
    """

    cores: int | None
    blas: int

    def __str__(self) -> str:
        if self.cores is None:
            return "device"
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        return cores if self.blas == self.cores else f"{cores}, BLAS on {self.blas}"


@dataclass
class Times:
    """Of one solver: seconds a call, by lane and round; how right it was; or why it did not run."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: Errors | None = None
    failure: str | None = None


class Device(NamedTuple):
    """What is raced on; memory in bytes."""

    platform: str
    kind: str
    memory: int


def device_here() -> Device:
    """The device jax computes on by default."""
    device = jax.devices()[0]
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device(
        device.platform, device.device_kind, (device.memory_stats() or {}).get("bytes_limit", host)
    )


def race(
    shape: Shape,
    lanes: Sequence[Lane],
    seconds: float,
    callback: Callable[[str], None] = lambda what: None,
) -> dict[str, Times]:
    """The times of all solvers on matrices of one shape; rounds go on for about ``seconds``, three
    at least.
    """
    callback(f"{shape}: reference")
    features, targets = example(shape)
    answer = exact(features, targets)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = [Path(folder) / "features.npy", Path(folder) / "targets.npy"]
        for file, content in zip(files, (features, targets), strict=True):
            np.save(file, content)
        del features
        runners = {str(lane): stack.enter_context(_Runner(lane, shape, files)) for lane in lanes}
        found = {name: Times() for name in next(iter(runners.values())).ask("names")}
        for name, times in found.items():
            for label, runner in runners.items():
                callback(f"{shape}: first call of {name}, {label}")
                with _failing(times, label):
                    first = runner.ask("answer", name)
                    times.seconds[label] = []
                    if times.errors is None and name.split(",")[0] not in PRODUCTS:
                        times.errors = errors(first, answer, targets)
        begin, rounds = time.perf_counter(), 0
        while rounds < ROUNDS[0] or (time.perf_counter() - begin < seconds and rounds < ROUNDS[1]):
            rounds += 1
            for name, times in found.items():
                for label in list(times.seconds):
                    callback(f"{shape}: round {rounds}, {name}, {label}")
                    with _failing(times, label):
                        times.seconds[label].append(runners[label].ask("time", name))
    return found


@contextmanager
def _failing(times: Times, label: str) -> Iterator[None]:
    """A solver that fails in a lane has no times there; its first failure is told."""
    try:
        yield
    except RuntimeError as error:
        times.seconds.pop(label, None)
        times.failure = times.failure or str(error)


class _Runner:
    """A process that makes the calls of a lane; one that ends or hangs fails its call and is
    replaced.
    """

    def __init__(self, lane: Lane, shape: Shape, files: Sequence[Path]):
        self._lane, self._shape, self._files = lane, shape, files

    def __enter__(self) -> "_Runner":
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(there, self._lane.cores, self._shape, self._files), daemon=True
        )
        threads = str(self._lane.blas)
        with _environment(
            {
                name: threads
                for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
            }
        ):
            self._process.start()
        there.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()
        self._connection.close()

    def ask(self, what: str, name: str = "") -> Any:
        """The answer to a request; RuntimeError if there is none."""
        try:
            self._connection.send((what, name))
            if not self._connection.poll(PATIENCE):
                raise TimeoutError
            failed, content = self._connection.recv()
        except (EOFError, OSError) as error:
            self.__exit__()
            self.__enter__()
            reason = (
                f"took over {PATIENCE} s"
                if isinstance(error, TimeoutError)
                else "ended its process; was memory short?"
            )
            raise RuntimeError(reason) from None
        if failed:
            raise RuntimeError(content)
        return content


def _serve(connection: Connection, cores: int | None, shape: Shape, files: Sequence[Path]) -> None:
    """In the process: answer requests until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    if cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # before jax counts them
    data = Data(*(np.load(file, mmap_mode="r") for file in files))
    known = solvers(shape, jax.default_backend())
    calls: dict[str, Callable] = {}

    def respond(what: str, name: str) -> Any:
        if what == "names":
            return list(known)
        if name not in calls:
            calls[name] = known[name](data)
            first = calls[name]()
            if what == "answer":
                return (
                    None
                    if name.split(",")[0] in PRODUCTS
                    else tuple(np.asarray(x) for x in first[:2])
                )
        return _seconds_a_call(calls[name])

    while True:
        request = connection.recv()
        try:
            connection.send((False, respond(*request)))
        except Exception as error:  # a racer's failure is a result
            connection.send((True, f"{type(error).__name__}: {error}".splitlines()[0]))


def _seconds_a_call(call: Callable[[], object]) -> float:
    """Of a short call the mean over ENOUGH time, after one that brings its data back into the
    caches.
    """
    begin = time.perf_counter()
    call()
    if (took := time.perf_counter() - begin) > ENOUGH:
        return took
    begin, calls = time.perf_counter(), 0
    while (took := time.perf_counter() - begin) < ENOUGH:
        call()
        calls += 1
    return took / calls


@contextmanager
def _environment(changed: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
