"""Racing: all solvers in turn, round after round, in one process for each number of cores and BLAS threads."""

import multiprocessing
import os
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
PATIENCE = 1800  # seconds for one call


@dataclass(frozen=True)
class Lane:
    """What a process may use: some of the cores, and as many BLAS threads; no ``cores`` for an accelerator's process."""

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
    return Device(device.platform, device.device_kind, (device.memory_stats() or {}).get("bytes_limit", host))


def race(
    shape: Shape, lanes: Sequence[Lane], seconds: float, observe: Callable[[str], None] = lambda what: None
) -> dict[str, Times]:
    """The times of all solvers on matrices of one shape; rounds go on for about ``seconds``, three at least."""
    features, targets = example(shape)
    observe(f"{shape}: reference")
    answer = exact(features, targets)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = [Path(folder) / "features.npy", Path(folder) / "targets.npy"]
        for file, content in zip(files, (features, targets), strict=True):
            np.save(file, content)
        asked = {str(lane): stack.enter_context(_process(lane, shape, files)) for lane in lanes}
        del features
        found = {name: Times() for name in next(iter(asked.values()))("names", None)}
        for name, times in found.items():
            for label, ask in asked.items():
                observe(f"{shape}: first call of {name}, {label}")
                _first_call(times, label, ask, name, answer, targets)
        begin, rounds = time.perf_counter(), 0
        while rounds < ROUNDS[0] or (time.perf_counter() - begin < seconds and rounds < ROUNDS[1]):
            rounds += 1
            for name, times in found.items():
                for label in times.seconds:
                    observe(f"{shape}: round {rounds}, {name}, {label}")
                    times.seconds[label].append(asked[label]("time", name))
    return found


def _first_call(times: Times, label: str, ask: Callable, name: str, answer: Any, targets: np.ndarray) -> None:
    """Compile and run once; the answer is held against the exact one."""
    try:
        found = ask("answer", name)
    except RuntimeError as error:
        times.failure = times.failure or str(error)
        return
    times.seconds[label] = []
    if times.errors is None and name.split(",")[0] not in PRODUCTS:
        times.errors = errors(found, answer, targets)


@contextmanager
def _process(lane: Lane, shape: Shape, files: list[Path]) -> Iterator[Callable[[str, str | None], Any]]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, lane.cores, shape, files), daemon=True)
    with _environment({name: str(lane.blas) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}):
        process.start()
    there.close()

    def ask(what: str, name: str | None) -> Any:
        try:
            here.send((what, name))
            if not here.poll(PATIENCE):
                raise TimeoutError(f"{name} took longer than {PATIENCE} s on {shape}")
            done, content = here.recv()
        except (EOFError, BrokenPipeError):
            raise RuntimeError(f"the process ended during {name}; was memory short?") from None
        if not done:
            raise RuntimeError(content)
        return content

    try:
        yield ask
    finally:
        process.terminate()
        process.join()


def _serve(connection: Connection, cores: int | None, shape: Shape, files: list[Path]) -> None:
    """In the process: answer requests until it is ended."""
    if cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # before jax counts them
    data = Data(*(np.load(file, mmap_mode="r") for file in files))
    known = solvers(shape, jax.default_backend())
    calls: dict[str, Callable] = {}
    while True:
        what, name = connection.recv()
        try:
            if what == "names":
                connection.send((True, list(known)))
            elif what == "answer":
                calls[name] = known[name](data)
                found = calls[name]()
                connection.send((True, None if name.split(",")[0] in PRODUCTS else tuple(np.asarray(x) for x in found[:2])))
            else:
                begin = time.perf_counter()
                calls[name]()
                connection.send((True, time.perf_counter() - begin))
        except Exception as error:  # a racer's failure is a result
            connection.send((False, f"{type(error).__name__}: {error}".splitlines()[0]))


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
