"""The stage of ``on_device.py`` that checks results against numpy's float64 LAPACK on the host.

The reference shares no code with jaxalign's own routes, but for the rule of the rank.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import jaxalign as ja
from jaxalign._spectrum.routes.table import rank_tolerance

if TYPE_CHECKING:
    from on_device import Results

# How far σ_min and the curve (as a share of ‖y‖²) may be off at a condition number of 1e6. The
# method "triangular" has the accuracy of float32 alone: few digits of σ_min.
LIMITS = {
    "moments": (1e-3, 1e-4),
    "refined": (1e-5, 1e-4),
    "svd": (1e-5, 1e-4),
    "split": (1e-4, 1e-6),
    "triangular": (0.5, 1e-2),
}


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
    resolved = sigma[:-1] > sigma[0] * rank_tolerance(np.float32, np.array(max(n, d)))
    thresholds = np.sqrt(sigma[:-1] * sigma[1:])[resolved]
    return Reference(sigma, energy, np.sum(both[:, d:] ** 2, axis=0), thresholds)


def curve(sigma, energy, thresholds) -> np.ndarray:
    above = np.asarray(sigma, float) >= thresholds[:, None]
    return above.astype(float) @ np.asarray(energy, float)


def smallest_error(sigma, truth: Reference) -> float:
    return abs(float(sigma[-1]) / truth.sigma[-1] - 1)


def right(results: "Results") -> None:
    """Every way to a spectrum, the bounds of the quadrature, and the gradient."""
    shape = (300, 24) if results.tiny else (3000, 129)
    features, targets = problem(*shape)
    truth = reference(features, targets)
    check = partial(check_spectrum, results, truth)
    check_methods(check, features, targets)
    check_sums(check, features, targets)
    check_batches(check, features, targets)
    check_bounds(results, features, targets, truth)
    check_gradient(results)


def check_spectrum(
    results: "Results", truth: Reference, what: str, spectrum, limits: str = "moments"
) -> None:
    """Compare with the reference; ``limits`` names the method whose accuracy is due."""
    error = smallest_error(spectrum.singular_values, truth)
    found = curve(spectrum.singular_values, spectrum.energy, truth.thresholds)
    curve_error = float(np.max(np.abs(found - truth.curve()) / truth.total))
    error_limit, curve_limit = LIMITS[limits]
    ok = error < error_limit and curve_error < curve_limit
    results.check(what, ok, sigma_min=error, curve=curve_error)


def check_methods(check: Callable[..., None], features, targets) -> None:
    for method in LIMITS:
        solve = jax.jit(partial(ja.spectrum, method=method))
        check(f"spectrum by {method}", solve(features, targets), method)
    check("spectrum without jit", ja.spectrum(features, targets))


def check_sums(check: Callable[..., None], features, targets) -> None:
    """What adds up over parts of the rows."""
    half = len(features) // 2
    first = (features[:half], targets[:half])
    second = (features[half:], targets[half:])
    check("moments of halves", ja.spectrum(ja.moments(*first) + ja.moments(*second)))
    triangles = ja.triangle(*first) + ja.triangle(*second)
    check("triangles of halves", ja.spectrum(triangles), "triangular")
    check("stream, refined", ja.stream_spectrum([first, second], method="refined"), "refined")
    mesh = Mesh(np.array(jax.devices()[:1]), ("rows",))
    check("sharded rows", ja.sharded(mesh, rows="rows")(features, targets))


def check_batches(check: Callable[..., None], features, targets) -> None:
    """One of several representations that are solved together."""
    stacks = (jnp.stack([features, features]), jnp.stack([targets, targets]))
    both = jax.jit(jax.vmap(ja.spectrum))(*stacks)
    check("vmap", jax.tree.map(lambda x: x[1], both))
    layers = {"all": features, "fewer": features[:, :-3]}
    check("spectra of two widths", ja.spectra(layers, targets)["all"])


def check_bounds(results: "Results", features, targets, truth: Reference) -> None:
    slack = 1e-3 * truth.total
    some = truth._replace(thresholds=truth.thresholds[:20])
    estimate = jax.jit(partial(ja.quadrature, order=12))(features, targets)
    lower, upper = map(np.asarray, ja.quadrature_bounds(estimate, some.thresholds))
    inside = (lower <= some.curve() + slack) & (some.curve() <= upper + slack)
    results.check("bounds of the quadrature", inside.all(), width=float(np.median(upper - lower)))


def check_gradient(results: "Results") -> None:
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
    differences = np.array(
        [area(center + small * d) - area(center - small * d) for d in directions]
    )
    differences /= 2 * small
    products = np.tensordot(directions, slopes, 2)
    error = float(np.linalg.norm(products - differences) / np.linalg.norm(differences))
    results.check("gradient of the area", error < 1e-4, error=error)
    dead_units = features.at[:, -4:].set(0)
    finite = bool(jnp.isfinite(gradient(dead_units, targets)).all())
    results.check("gradient with dead units is finite", finite)
