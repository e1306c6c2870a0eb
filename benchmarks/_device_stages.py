"""The stages of ``on_device.py``: each takes a ``Results`` and puts into it what it finds."""

import os
import platform
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

import jaxalign as ja
from jaxalign.data import fashion_mnist
from jaxalign.models import resnet18

METHODS = ("auto", "refined", "triangular")
FASTER_THAN_SVD = 10.0  # goal for matrices of 10 000 rows and for batches
STEP_RATIO = 1.1  # goal: a step that measures every layer, over one that measures none


def clock(call: Callable[[], Any], seconds: float, rounds: int = 30) -> dict[str, Any]:
    """Median and quartiles of a call, in milliseconds. The first call compiles and is not counted."""
    jax.block_until_ready(call())
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or (len(times) < rounds and time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(1e3 * (time.perf_counter() - start))
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75)).round(4).tolist()
    return {"ms": median, "quartiles": [low, high], "rounds": len(times)}


def problem(n: int, d: int, *, batch: int = 0, columns: int = 10, condition: float = 1e6) -> tuple:
    """Features (n, d) of about this condition number and Gaussian targets, made on the device.

    A tall Gaussian matrix is close to orthogonal, so its product with a (d, d) matrix of a chosen
    spectrum has about that spectrum. This takes no decomposition of n rows, and no float64.
    """
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0]
    mixing = np.geomspace(1, 1 / condition, d)[:, None] * rotation / n**0.5
    rows = (batch, n) if batch else (n,)
    first_key, second_key = jax.random.split(jax.random.key(0))
    noise = jax.random.normal(first_key, (*rows, d))
    features = jnp.matmul(noise, mixing.astype(np.float32), precision="highest")
    return features, jax.random.normal(second_key, (*rows, columns))


def where(results) -> None:
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


# Right: against numpy's float64 LAPACK on the host, which shares no code with jaxalign's routes.


class Reference(NamedTuple):
    """The spectrum in float64, and thresholds between its numerically distinct singular values."""

    sigma: np.ndarray
    energy: np.ndarray
    total: np.ndarray
    thresholds: np.ndarray

    def curve(self) -> np.ndarray:
        return curve(self.sigma, self.energy, self.thresholds)


def reference(features, targets) -> Reference:
    both = np.hstack([np.asarray(features, float), np.asarray(targets, float)])
    n, d = features.shape
    triangle = np.linalg.qr(both, mode="r")
    left, sigma, _ = np.linalg.svd(triangle[:d, :d])
    energy = (left.T @ triangle[:d, d:]) ** 2
    resolved = sigma[:-1] > sigma[0] * n * np.finfo(np.float32).eps
    thresholds = np.sqrt(sigma[:-1] * sigma[1:])[resolved]
    return Reference(sigma, energy, np.sum(both[:, d:] ** 2, axis=0), thresholds)


def curve(sigma, energy, thresholds) -> np.ndarray:
    above = np.asarray(sigma, float) >= thresholds[:, None]
    return above.astype(float) @ np.asarray(energy, float)


def smallest_error(sigma, truth: Reference) -> float:
    return abs(float(sigma[-1]) / truth.sigma[-1] - 1)


def right(results) -> None:
    n, d = (300, 24) if results.tiny else (3000, 129)
    features, targets = problem(n, d)
    truth = reference(features, targets)

    def check(what: str, spectrum, sigma_limit: float = 1e-3, curve_limit: float = 1e-4) -> None:
        error = smallest_error(spectrum.singular_values, truth)
        found = curve(spectrum.singular_values, spectrum.energy, truth.thresholds)
        curve_error = float(np.max(np.abs(found - truth.curve()) / truth.total))
        ok = error < sigma_limit and curve_error < curve_limit
        results.check(what, ok, sigma_min=error, curve=curve_error)

    # "triangular" has the accuracy of float32 alone: few digits of σ_min at this condition number.
    for method, limits in {
        "moments": (1e-3, 1e-4),
        "refined": (1e-5, 1e-4),
        "svd": (1e-5, 1e-4),
        "triangular": (0.5, 1e-2),
    }.items():
        solve = jax.jit(partial(ja.spectrum, method=method))
        check(f"spectrum by {method}", solve(features, targets), *limits)
    check("spectrum without jit", ja.spectrum(features, targets))
    halves = [(features[: n // 2], targets[: n // 2]), (features[n // 2 :], targets[n // 2 :])]
    check("moments of halves", ja.spectrum(ja.moments(*halves[0]) + ja.moments(*halves[1])))
    check("stream, refined", ja.stream_spectrum(halves, method="refined"), 1e-5)
    stacks = (jnp.stack([features, features]), jnp.stack([targets, targets]))
    both = jax.jit(jax.vmap(ja.spectrum))(*stacks)
    check("vmap", jax.tree.map(lambda x: x[1], both))
    layers = {"all": features, "fewer": features[:, : d - 3]}
    check("spectra of two widths", ja.spectra(layers, targets)["all"])
    mesh = Mesh(np.array(jax.devices()[:1]), ("rows",))
    check("sharded rows", ja.sharded(mesh, rows="rows")(features, targets))
    check_bounds(results, features, targets, truth)
    check_gradient(results)


def check_bounds(results, features, targets, truth: Reference) -> None:
    slack = 1e-3 * truth.total
    some = truth._replace(thresholds=truth.thresholds[:20])
    estimate = jax.jit(partial(ja.quadrature, order=12))(features, targets)
    lower, upper = map(np.asarray, ja.quadrature_bounds(estimate, some.thresholds))
    inside = (lower <= some.curve() + slack) & (some.curve() <= upper + slack)
    results.check("bounds of the quadrature", inside.all(), width=float(np.median(upper - lower)))


def check_gradient(results) -> None:
    """The gradient of the area against differences of float64 areas along random directions."""

    def loss(features, targets):
        return ja.alignment_area(ja.spectrum(features, targets)).sum()

    def area(features) -> float:
        truth = reference(features, targets)
        return float((truth.sigma @ truth.energy).sum())

    features, targets = problem(200, 16, columns=3, condition=1e2)
    gradient = jax.jit(jax.grad(loss))
    slopes = np.asarray(gradient(features, targets), float)
    directions = np.random.default_rng(1).standard_normal((8, *features.shape))
    center = np.asarray(features, float)
    small = 1e-6  # against singular values from 1e-2 to 1
    differences = np.array([area(center + small * d) - area(center - small * d) for d in directions])
    differences /= 2 * small
    products = np.tensordot(directions, slopes, 2)
    error = float(np.linalg.norm(products - differences) / np.linalg.norm(differences))
    results.check("gradient of the area", error < 1e-4, error=error)
    dead_units = features.at[:, -4:].set(0)
    finite = bool(jnp.isfinite(gradient(dead_units, targets)).all())
    results.check("gradient with dead units is finite", finite)


# Fast: against the same spectrum from jnp.linalg.svd.


def thin_svd(features, targets) -> tuple:
    left, sigma, _ = jnp.linalg.svd(features, full_matrices=False)
    return sigma, jnp.matmul(left.T, targets, precision="highest") ** 2


def contestants(methods: tuple[str, ...], batched: bool) -> dict[str, Callable]:
    """jaxalign's programs first: a device may slow down after the work of the SVD."""
    solvers = {f"spectrum by {method}": partial(ja.spectrum, method=method) for method in methods}
    solvers |= {"moments": ja.moments, "jnp svd": thin_svd}
    if batched:
        solvers = {name: jax.vmap(solver) for name, solver in solvers.items()}
    programs = {name: jax.jit(solver) for name, solver in solvers.items()}
    return {"without jit": ja.spectra if batched else ja.spectrum} | programs


def race(results, shape: tuple[int, ...], methods: tuple[str, ...], seconds: float = 1.5) -> None:
    """Time every way to the spectrum of features of this shape, (n, d) or (batch, n, d)."""
    *stack, n, d = shape
    features, targets = problem(n, d, batch=sum(stack))
    programs = contestants(methods, bool(stack))
    medians = {}
    for name, program in programs.items():
        if results.left() < 6:
            return
        try:
            times = clock(partial(program, features, targets), seconds)
        except Exception as error:  # out of memory, say: the others may have room
            results.add(name, shape=shape, failure=f"{type(error).__name__}: {error}"[:200])
            continue
        medians[name] = times["ms"]
        results.add(name, shape=shape, **times)
    if {"spectrum by auto", "jnp svd"} <= set(medians):
        ratio = medians["jnp svd"] / medians["spectrum by auto"]
        values = {"shape": shape, "ratio": round(ratio, 2)}
        if stack or n >= 10_000:
            results.goal("times as fast as jnp svd", ratio >= FASTER_THAN_SVD, **values)
        else:
            results.add("times as fast as jnp svd", **values)
    if not stack and n * d <= 6e6:  # else the host takes too long
        sigma = programs["spectrum by auto"](features, targets).singular_values
        error = smallest_error(sigma, reference(features, targets))
        results.check("smallest singular value", error < 1e-3, shape=shape, error=error)


def race_all(results, shapes: list[tuple[int, ...]], methods: tuple[str, ...]) -> None:
    for shape in shapes:
        if results.left() > 20:
            race(results, shape, methods)


def spectrum(results) -> None:
    shapes = [(10_000, 512), (1000, 129), (60_000, 784), (1000, 513)]
    race_all(results, [(300, 24)] if results.tiny else shapes, METHODS)


def batch(results) -> None:
    shapes = [(64, 1000, 129), (256, 512, 64), (8, 10_000, 256)]
    race_all(results, [(3, 200, 16)] if results.tiny else shapes, ("auto",))


def large(results) -> None:
    shapes = [(1_000_000, 256), (100_000, 1024)]
    race_all(results, [(400, 20)] if results.tiny else shapes, ("auto",))
