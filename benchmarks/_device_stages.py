"""The stages of ``on_device.py``: each takes a ``Results`` and puts into it what it finds."""

import os
import platform
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from _device_right import problem, reference, right, smallest_error
from _device_training import step, train

import jaxalign as ja

if TYPE_CHECKING:
    from on_device import Results

METHODS = ("auto", "refined", "triangular", "split")
FASTER_THAN_SVD = 10.0  # goal for matrices of 10 000 rows and for batches


def clock(call: Callable[[], Any], seconds: float, rounds: int = 30) -> dict[str, Any]:
    """Median and quartiles of a call in milliseconds, after a first call that compiles."""
    jax.block_until_ready(call())
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or (len(times) < rounds and time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(1e3 * (time.perf_counter() - start))
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75)).round(4).tolist()
    return {"ms": median, "quartiles": [low, high], "rounds": len(times)}


def clock_if_it_runs(call: Callable[[], Any], seconds: float, rounds: int = 30) -> dict[str, Any]:
    """``clock``, or how the call failed: out of memory, say, where other calls may have room."""
    try:
        return clock(call, seconds, rounds)
    except Exception as error:
        return {"failure": f"{type(error).__name__}: {error}"[:200]}


def where(results: "Results") -> None:
    """Which device this is, and its rates of arithmetic and of memory."""
    device = jax.devices()[0]
    results.add(
        "device",
        device=device.device_kind,
        platform=device.platform,
        memory=(device.memory_stats() or {}).get("bytes_limit"),
        jax=jax.__version__,
        flax=flax.__version__,
        optax=optax.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
        cores=os.cpu_count(),
    )
    size = 256 if results.tiny else 8192
    square = jax.jit(partial(jnp.matmul, precision="highest"))
    for dtype in ("bfloat16", "float32", "float64"):
        with jax.enable_x64(True):
            matrix = jax.random.normal(jax.random.key(0), (size, size), dtype)
            times = clock(partial(square, matrix, matrix), 0.5)
        rate = 2e-9 * size**3 / times["ms"]
        results.add(f"product {dtype}", size=size, teraflops=round(rate, 3), **times)
    block = jnp.ones(2**22 if results.tiny else 2**29, jnp.float32)
    times = clock(partial(jax.jit(jnp.negative), block), 0.5)
    results.add("copy", gigabytes_per_second=round(8e-6 * block.size / times["ms"], 1), **times)


# Fast: against the same spectrum from jnp.linalg.svd.


def thin_svd(features, targets) -> tuple:
    left, sigma, _ = jnp.linalg.svd(features, full_matrices=False)
    return sigma, jnp.matmul(left.T, targets, precision="highest") ** 2


def contestants(methods: tuple[str, ...], batched: bool) -> dict[str, Callable]:
    """The programs by name, the SVD last: a device may slow down after its work."""
    solvers = {f"spectrum by {method}": partial(ja.spectrum, method=method) for method in methods}
    solvers |= {"moments": ja.moments, "jnp svd": thin_svd}
    if batched:
        solvers = {name: jax.vmap(solver) for name, solver in solvers.items()}
    programs = {name: jax.jit(solver) for name, solver in solvers.items()}
    return {"without jit": ja.spectra if batched else ja.spectrum} | programs


def race(
    results: "Results", shape: tuple[int, ...], methods: tuple[str, ...], seconds: float = 1.5
) -> None:
    """Time every way to the spectrum of features of this shape, (n, d) or (batch, n, d)."""
    n, d = shape[-2:]
    batched = len(shape) == 3
    features, targets = problem(n, d, batch=shape[0] if batched else 0)
    programs = contestants(methods, batched)
    medians = {}
    for name, program in programs.items():
        if results.left() < 6:
            return
        times = clock_if_it_runs(partial(program, features, targets), seconds)
        results.add(name, shape=shape, **times)
        if "ms" in times:
            medians[name] = times["ms"]
    if {"spectrum by auto", "jnp svd"} <= set(medians):
        ratio = medians["jnp svd"] / medians["spectrum by auto"]
        values = {"shape": shape, "ratio": round(ratio, 2)}
        if batched or n >= 10_000:
            results.goal("times as fast as jnp svd", ratio >= FASTER_THAN_SVD, **values)
        else:
            results.add("times as fast as jnp svd", **values)
    if not batched and n * d <= 6e6:  # else the host takes too long
        sigma = programs["spectrum by auto"](features, targets).singular_values
        error = smallest_error(sigma, reference(features, targets))
        results.check("smallest singular value", error < 1e-3, shape=shape, error=error)


def race_all(results: "Results", shapes: list[tuple[int, ...]], methods: tuple[str, ...]) -> None:
    for shape in shapes:
        if results.left() > 20:
            race(results, shape, methods)


def spectrum(results: "Results") -> None:
    shapes = [(10_000, 512), (1000, 129), (60_000, 784), (1000, 513)]
    race_all(results, [(300, 24)] if results.tiny else shapes, METHODS)


def batch(results: "Results") -> None:
    shapes = [(64, 1000, 129), (256, 512, 64), (8, 10_000, 256)]
    race_all(results, [(3, 200, 16)] if results.tiny else shapes, ("auto",))


def large(results: "Results") -> None:
    shapes = [(1_000_000, 256), (100_000, 1024)]
    race_all(results, [(400, 20)] if results.tiny else shapes, ("auto",))


def routes(results: "Results") -> None:
    """What the device takes for the parts of a route, for the choice between ways to compute
    them.
    """
    widths = (17,) if results.tiny else (129, 257, 513, 785)
    # A stack goes to an eigensolver of its own, which takes longer for a few matrices.
    for d, dtype, count in product(widths, ("float64", "float32"), (1, 2, 8)):
        if results.left() > 25:
            time_eigh(results, d, dtype, count)
    shapes = [(10_000, 512), (60_000, 784), (100_000, 1024), (1_000_000, 256)]
    for n, d in [(256, 16)] if results.tiny else shapes:
        time_products(results, n, d)


def time_products(results: "Results", n: int, d: int) -> None:
    """Φᵀ[Φ Y] in float64 of float32 arrays, as one product or as ΦᵀΦ apart from ΦᵀY: with the
    columns of Y, the product's width is not a multiple of a tile any more.
    """
    features, targets = problem(n, d)
    with jax.enable_x64(True):
        for columns, multiply in (("ΦᵀΦ", gram), ("Φᵀ[Φ Y]", together), ("ΦᵀΦ, ΦᵀY", apart)):
            if results.left() > 5:
                call = partial(jax.jit(multiply), features, targets)
                times = clock_if_it_runs(call, 0.3)
                results.add("products", columns=columns, shape=(n, d), **times)


def gram(features, targets):
    wide = features.astype("float64")
    return jnp.matmul(wide.T, wide, precision="highest")


def together(features, targets):
    columns = jnp.concatenate([features, targets], axis=1).astype("float64")
    return jnp.matmul(columns[:, : features.shape[1]].T, columns, precision="highest")


def apart(features, targets):
    wide = features.astype("float64")
    right = jnp.matmul(wide.T, targets.astype("float64"), precision="highest")
    return gram(features, targets), right


def time_eigh(results: "Results", d: int, dtype: str, count: int) -> None:
    solve = jax.jit(jax.lax.linalg.eigh)
    with jax.enable_x64(True):
        factor = jax.random.normal(jax.random.key(0), (2 * d, d), dtype)
        matrix = factor.T @ factor
        if count > 1:
            matrix = jnp.broadcast_to(matrix, (count, d, d))
        times = clock_if_it_runs(partial(solve, matrix), 0.3, rounds=10)
    results.add("eigh", d=d, dtype=dtype, count=count, **times)


STAGES = {
    "where": where,
    "right": right,
    "spectrum": spectrum,
    "batch": batch,
    "step": step,
    "train": train,
    "routes": routes,
    "large": large,
}
