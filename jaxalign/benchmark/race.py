"""The race: all solvers in turn, round after round, one process per number of cores and threads."""

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign.benchmark.problem import Errors, Shape, errors, exact, example
from jaxalign.benchmark.solvers import PRODUCTS, Data, as_answer, solvers

ROUNDS = 3, 100
"""The fewest and the most rounds."""
ENOUGH = 0.05
"""Seconds of measurement against which the clock's resolution and the system's noise are small."""
PATIENCE = 1800
"""Seconds for one call."""

_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Lane:
    """The cores and BLAS threads that a process may use; ``cores`` is None for an accelerator's."""

    cores: int | None
    blas: int

    def __str__(self) -> str:
        if self.cores is None:
            return "device"
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        if self.blas == self.cores:
            return cores
        return f"{cores}, BLAS on {self.blas}"


@dataclass
class Times:
    """The result of one solver.

    Attributes:
      seconds: per call, lane → one number per round.
      errors: of the answer; None for bare products.
      failure: why it did not run in a lane.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: Errors | None = None
    failure: str | None = None


class Device(NamedTuple):
    """The device of a race; memory in bytes."""

    platform: str
    kind: str
    memory: int


def device_here() -> Device:
    """The default device of jax."""
    device = jax.devices()[0]
    # CPUs have no memory statistics.
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory = (device.memory_stats() or {}).get("bytes_limit", host)
    return Device(device.platform, device.device_kind, memory)


def race(
    shape: Shape,
    lanes: Sequence[Lane],
    seconds: float,
    callback: Callable[[str], None] = lambda what: None,
    trace: Path | None = None,
) -> dict[str, Times]:
    """The times of all solvers on matrices of one shape.

    Args:
      shape: of the matrices.
      lanes: one process runs in each.
      seconds: about how long the rounds go on; there are three at least.
      callback: gets a line of text before each call.
      trace: a folder for a profile of one more call of everybody, each lane in a folder of its own.
    """
    callback(f"{shape}: reference")
    features, targets = example(shape)
    reference = exact(features, targets)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = [Path(folder) / "features.npy", Path(folder) / "targets.npy"]
        for file, content in zip(files, (features, targets), strict=True):
            np.save(file, content)
        # The processes map the file; this process needs no copy of its own.
        del features
        runners = {str(lane): stack.enter_context(_Runner(lane, shape, files)) for lane in lanes}
        results = {name: Times() for name in next(iter(runners.values())).ask("names")}

        # 1. First calls compile, and give the answers to check.
        for name, times in results.items():
            for label, runner in runners.items():
                callback(f"{shape}: first call of {name}, {label}")
                with _failing(times, label):
                    answer = runner.ask("answer", name)
                    times.seconds[label] = []
                    if times.errors is None and name.split(",")[0] not in PRODUCTS:
                        times.errors = errors(answer, reference, targets)

        # 2. Rounds: a disturbance of the machine affects all solvers of a round alike.
        begin = time.perf_counter()
        for number in range(1, ROUNDS[1] + 1):
            if number > ROUNDS[0] and time.perf_counter() - begin > seconds:
                break
            for name, times in results.items():
                for label in list(times.seconds):
                    callback(f"{shape}: round {number}, {name}, {label}")
                    with _failing(times, label):
                        times.seconds[label].append(runners[label].ask("time", name))

        # 3. The profile costs time, so nobody is timed under it.
        if trace is not None:
            for label, runner in runners.items():
                callback(f"{shape}: trace, {label}")
                runner.ask("trace", str(trace / f"{shape}, {label}".replace(", ", "-")))
    return results


@contextmanager
def _failing(times: Times, label: str) -> Iterator[None]:
    """A solver that fails in a lane has no times there; its first failure is recorded."""
    try:
        yield
    except RuntimeError as error:
        times.seconds.pop(label, None)
        times.failure = times.failure or str(error)


class _Runner:
    """A process for the calls of a lane. If it ends or hangs, the call fails, and it restarts."""

    def __init__(self, lane: Lane, shape: Shape, files: Sequence[Path]):
        self._lane = lane
        self._shape = shape
        self._files = files

    def __enter__(self) -> "_Runner":
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(remote, self._lane.cores, self._shape, self._files), daemon=True
        )
        # BLAS libraries read the number of threads when they are loaded.
        with _environment(dict.fromkeys(_THREAD_VARIABLES, str(self._lane.blas))):
            self._process.start()
        remote.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()
        self._connection.close()

    def ask(self, what: str, name: str = "") -> Any:
        """The answer to a request.

        Raises:
          RuntimeError: the request failed, or the process ended or took too long.
        """
        try:
            self._connection.send((what, name))
            if not self._connection.poll(PATIENCE):
                raise TimeoutError
            failed, content = self._connection.recv()
        except (EOFError, OSError) as error:
            self.__exit__()
            self.__enter__()
            if isinstance(error, TimeoutError):
                raise RuntimeError(f"took over {PATIENCE} s") from None
            raise RuntimeError("ended its process; was memory short?") from None
        if failed:
            raise RuntimeError(content)
        return content


def _serve(connection: Connection, cores: int | None, shape: Shape, files: Sequence[Path]) -> None:
    """The loop of the process: answer requests until it is ended."""
    # Ctrl-C is for the process that asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if cores is not None:
        # Before jax counts the cores.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    data = Data(*(np.load(file, mmap_mode="r") for file in files))
    known = solvers(shape, jax.default_backend())
    calls: dict[str, Callable] = {}

    def respond(what: str, name: str) -> Any:
        if what == "names":
            return list(known)
        if what == "trace":
            return _trace(calls, name)
        if name not in calls:
            # Also after a restart, when "time" is asked for: the call compiles first.
            calls[name] = known[name](data)
            result = calls[name]()
            if what == "answer":
                return None if name.split(",")[0] in PRODUCTS else as_answer(result)
        return _seconds_per_call(calls[name])

    while True:
        request = connection.recv()
        try:
            connection.send((False, respond(*request)))
        except Exception as error:
            # The failure of a solver is a result.
            connection.send((True, f"{type(error).__name__}: {error}".splitlines()[0]))


def _trace(calls: dict[str, Callable], folder: str) -> None:
    """Profile a call of each solver, which has its name in the trace."""
    with jax.profiler.trace(folder):
        for name, call in calls.items():
            # Who failed is in the results.
            with jax.profiler.TraceAnnotation(name), suppress(Exception):
                call()


def _seconds_per_call(call: Callable[[], object]) -> float:
    """The time of a long call; for short ones, the mean over ENOUGH seconds."""
    begin = time.perf_counter()
    call()
    seconds = time.perf_counter() - begin
    if seconds > ENOUGH:
        return seconds
    # The call above has brought the data back into the caches.
    begin = time.perf_counter()
    calls = 0
    seconds = 0.0
    while seconds < ENOUGH:
        call()
        calls += 1
        seconds = time.perf_counter() - begin
    return seconds / calls


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
