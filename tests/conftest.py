# ruff: noqa: E402  # the environment has to be set before jax is imported
import gc
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before jax loads its BLAS
os.environ["KERAS_BACKEND"] = "jax"
# What took long to compile is not compiled again, in this process or in another one. To write what
# takes less costs more than is gained.
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Every operation of a program would carry where it was written: under pytest forty frames and more.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
# Where Python is told to write no bytecode, each of the many processes that tests start would
# compile what it imports: seconds each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from _pytest.doctest import DoctestItem, DoctestModule
from flax import nnx
from jax.sharding import AxisType

import jaxalign as ja
from jaxalign._core import linalg
from jaxalign.models import MLP

# The body of a loop over a batch is unrolled that often, and compiled as often.
linalg.AT_ONCE = 2
# Tracing makes many small objects that live on: looking through them often takes a seventh of the
# time.
gc.set_threshold(200_000, 50, 100)


def pytest_configure(config: pytest.Config) -> None:
    """Tests run on four CPU devices; with ``pytest -m gpu`` on the accelerator, if there is one."""
    if config.option.markexpr.startswith("gpu"):
        # The processes of pytest-xdist share the memory of one device.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        # Models are compared with other ways to run them. TF32 would round each way differently.
        jax.config.update("jax_default_matmul_precision", "highest")
        return
    if "JAX_PLATFORMS" not in os.environ:
        os.environ["JAX_PLATFORMS"] = "cpu"
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 4)
    os.environ.setdefault("XLA_FLAGS", " ".join(fast_to_compile()))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Jax keeps the text of each program beside what it compiled, 2 MB each, and the more it keeps
    the longer another one takes to lower. What it compiled stays.
    """
    with suppress(AttributeError):  # another version of jax may call them otherwise
        jax._src.pjit._pjit_lower.cache_clear()
        jax._src.interpreters.pxla._cached_lowering_to_hlo.cache_clear()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Iterator[None]:
    """Tests hold no examples. Looked for there, they would skip in silence a file of tests that
    fails to import: only the first import of a module raises.
    """
    collectors = yield
    return [each for each in collectors if not isinstance(each, DoctestModule)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples of docstrings run with the slow tests: each compiles programs that no test shares.
    Those of README and of the guides are what newcomers try, and run always.
    """
    for item in items:
        if isinstance(item, DoctestItem) and item.path.suffix == ".py":
            item.add_marker(pytest.mark.slow)


def fast_to_compile() -> list[str]:
    """Flags of XLA on CPUs. Nearly all of the time of the tests goes into compiling programs that
    run for milliseconds, so the compiler's costly optimizations are left out.
    """
    flags = [
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
    if jax.__version__.startswith("0.10."):
        # The emitter of fusions that later versions no longer have takes half of the other one's
        # time.
        flags.append("--xla_cpu_use_fusion_emitters=false")
    return flags


@pytest.fixture(
    params=[AxisType.Explicit, pytest.param(AxisType.Auto, marks=pytest.mark.slow)],
    ids=["explicit", "automatic"],
)
def mesh(request) -> jax.sharding.Mesh:
    """Four devices, with an axis of both types that users' meshes have."""
    return jax.make_mesh((4,), ("data",), axis_types=(request.param,))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["x32", "x64"])
def x64(request):
    """Runs the test under both settings of jax's x64 flag. Each compiles programs of its own, so
    the second one is slow.
    """
    with jax.enable_x64(request.param):
        yield request.param


def orthonormal(rng: np.random.Generator, n: int, r: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, r)))[0]


@pytest.fixture
def matrix_of(rng):
    """``matrix_of(n, d, sigma)``: a float64 matrix of that shape with those singular values."""

    def build(n: int, d: int, sigma) -> np.ndarray:
        sigma = np.asarray(sigma, float)
        return orthonormal(rng, n, len(sigma)) * sigma @ orthonormal(rng, d, len(sigma)).T

    return build


@pytest.fixture(scope="session")
def reference():
    """``reference(Φ, Y)``: (σ, energy) by numpy's float64 SVD, energy under the rank tolerance of
    Φ's dtype set to 0.
    """

    def solve(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, sigma, _ = np.linalg.svd(np.asarray(features, float), full_matrices=False)
        tolerance = sigma[0] * np.finfo(features.dtype).eps * max(features.shape)
        return sigma, np.where(
            sigma[:, None] > tolerance, (u.T @ np.asarray(targets, float)) ** 2, 0
        )

    return solve


@pytest.fixture(scope="session")
def compiled_programs():
    """A context that gives the names of the programs that jax compiles inside it."""

    @contextmanager
    def listening() -> Iterator[list[str]]:
        names: list[str] = []

        def listen(event: str, duration: float, **about) -> None:
            if event == "/jax/core/compile/backend_compile_duration":
                names.append(str(about.get("fun_name")))

        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            yield names
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)

    return listening


@pytest.fixture(scope="session")
def made():
    """``made(σ, energy, total)``: a spectrum of one target, of full rank."""

    def build(sigma, energy, total) -> ja.Spectrum:
        return ja.Spectrum(
            singular_values=jnp.array(sigma),
            energy=jnp.array(energy)[:, None],
            total=jnp.array([total]),
            num_samples=jnp.array(len(sigma)),
            rank=jnp.array(len(sigma)),
            route=jnp.array(0),
            dtype="float32",
        )

    return build


@pytest.fixture(scope="session")
def joined_commands():
    """Runs two commands that ``jax.distributed`` joins on this host: exit status and output of
    each. They are made by a function of the address and the process.
    """

    def run(command: Callable[[str, int], list[str]], seconds: float) -> list[tuple[int, str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        # In files, since a process waits for the reader of a pipe that is full.
        outputs = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        running = [
            subprocess.Popen(
                [sys.executable, *command(address, i)], stdout=output, stderr=subprocess.STDOUT
            )
            for i, output in enumerate(outputs)
        ]
        try:
            # One that is still there at the time-out fails the test, and is ended.
            statuses = [p.wait(seconds) for p in running]
            for output in outputs:
                output.seek(0)
            return [
                (status, output.read()) for status, output in zip(statuses, outputs, strict=True)
            ]
        finally:
            for p in running:
                p.kill()
                p.wait()
            for output in outputs:
                output.close()

    return run


@pytest.fixture(scope="session")
def joined_processes(joined_commands):
    """The same of a script, which is called with the address, the number of processes, the process
    and further arguments.
    """

    def run(script: Path, *arguments: str) -> list[tuple[int, str]]:
        return joined_commands(
            lambda address, i: [str(script), address, "2", str(i), *arguments], seconds=90
        )

    return run


@pytest.fixture
def coins():
    """A made-up study that takes no time: coins fall on heads in half of the throws, but for a
    loaded one.
    """
    from dataclasses import dataclass
    from functools import partial

    from matplotlib.figure import Figure

    from jaxalign.statistics import mean_interval
    from jaxalign.studies.framework.study import Study
    from jaxalign.studies.framework.verdict import Verdict, judged

    @dataclass(frozen=True)
    class Coins:
        chances: tuple[float, ...] = (0.5, 0.9)
        seeds: int = 20

    def cells(config):
        return [{"metal": metal, "chance": p} for metal in ("gold", "tin") for p in config.chances]

    def measure(config, cell):
        def share(seed):
            return float(np.random.default_rng(seed).binomial(100, cell["chance"])) / 100

        return [{**cell, "seed": seed, "heads": share(seed)} for seed in range(config.seeds)]

    def verdict(config, table):
        # How much nearer to 0.5 than to 0.3 or 0.7.
        fairness = 0.1 - (table["heads"] - 0.5).abs()
        effects = {
            f"a {metal} coin of chance {chance}": partial(mean_interval, coin)
            for (metal, chance), coin in fairness.groupby(
                [table["metal"], table["chance"]], sort=False
            )
        }
        return Verdict(
            mean_interval(fairness),
            "nearness of heads to one half",
            "coins",
            judged(effects),
            ("Tails & <edges> count as not heads.",),
        )

    def figure(config, table, layout):
        drawing = Figure(figsize=(4, 2))
        drawing.subplots().hist(table["heads"])
        return drawing

    sizes = {"small": Coins(), "paper": Coins(seeds=200)}
    return Study(
        "emergence",
        "Coins are fair.",
        "ours",
        "with loaded coins",
        sizes,
        cells,
        measure,
        verdict,
        figure,
    )


class Task(NamedTuple):
    inputs: np.ndarray
    labels: np.ndarray
    model: Callable[..., nnx.Module]
    monitor: Callable[..., ja.Monitor]

    def fit(self, models, optimizer=None, **settings) -> tuple[ja.TrainState, ja.History]:
        """A short measured run of one model or several, by Adam unless told.

        Tests that keep its settings share one compiled program. The plain SVD is measured by
        default: it compiles three times as fast as moments do.
        """
        if "monitor" not in settings:
            first = models[0] if isinstance(models, list) else models
            settings["monitor"] = self.monitor(first, method="svd")
        settings = {"steps": 20, "batch_size": 16, "chunk": 7} | settings
        return ja.fit(models, optimizer or optax.adam(1e-2), self.inputs, self.labels, **settings)


@pytest.fixture(scope="session")
def task() -> Task:
    """A small two-class problem that an MLP learns in tens of steps: 90 points, the label a product
    of signs. Nothing in it can be changed.
    """
    inputs = np.random.default_rng(0).standard_normal((90, 6)).astype(np.float32)
    labels = (inputs[:, 0] * inputs[:, 1] > 0).astype(np.int32)
    inputs.flags.writeable = False
    labels.flags.writeable = False

    def model(seed: int = 0, outputs: int = 1) -> nnx.Module:
        return MLP(6, (16, 12), outputs, bias=True, rngs=nnx.Rngs(seed))

    def monitor(model: nnx.Module, layers="hidden_*", **settings) -> ja.Monitor:
        return ja.monitor(
            ja.tap(model, layers),
            inputs[:40],
            ja.encode_targets(jnp.asarray(labels[:40])),
            **settings,
        )

    return Task(inputs, labels, model, monitor)
