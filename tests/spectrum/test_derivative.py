"""Gradients through the label spectrum against central differences of numpy's float64 SVD."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja

STEP = 1e-5
METHODS = ["moments", "refined", "triangular", "svd"]


def orthonormal(rng, n, r):
    return np.linalg.qr(rng.standard_normal((n, r)))[0]


def rotated(rng, sigma, n=30):
    return (
        orthonormal(rng, n, len(sigma))
        * np.array(sigma)
        @ orthonormal(rng, len(sigma), len(sigma)).T
    )


CASES = {
    "generic": lambda rng: rng.standard_normal((30, 8)),
    "two dead units": lambda rng: rng.standard_normal((30, 8)) * (np.arange(8) < 6),
    "repeated": lambda rng: rotated(rng, [3, 3, 3, 2, 1, 1, 0.5, 0.2]),
    "all equal": lambda rng: 2 * orthonormal(rng, 30, 8),
    "rank-deficient": lambda rng: rotated(rng, [3, 3, 2, 1, 1, 0, 0, 0]),
    "wide": lambda rng: rng.standard_normal((8, 30)),
    "wide, repeated": lambda rng: rotated(rng, [3, 3, 3, 2, 1, 1, 0.5, 0.2]).T,
    "wide, rank-deficient": lambda rng: rotated(rng, [3, 3, 2, 1, 1, 0, 0, 0]).T,
}
# Functions of σ that weigh the energies: their sums Σ_i w(σ_i)(u_iᵀy)² are differentiable where
# single terms are not.
WEIGHTS = {
    "area": lambda sigma, _: sigma,
    "kernel alignment": lambda sigma, _: sigma**2,
    "soft threshold": lambda sigma, xp: xp.tanh(sigma) ** 2,
}


def numpy_value(features, targets, weight, columns):
    u, sigma, _ = np.linalg.svd(features, full_matrices=False)
    energy = np.where(sigma[:, None] > sigma[0] * 1e-9, (u.T @ targets) ** 2, 0)
    return (WEIGHTS[weight](sigma, np)[:, None] * energy * columns).sum()


def slope(function, x, direction):
    return (function(x + STEP * direction) - function(x - STEP * direction)) / (2 * STEP)


@partial(jax.jit, static_argnames="method")
def gradients(features, targets, mixture, columns, method):
    """Of Σ_ij m(σ_i)·e_ij·c_j for a mixture m of the weights, or of Σ_i σ_i where it is all zero:
    what the cases differ in is an argument, so few are compiled.
    """

    def value(x, y):
        s = ja.spectrum(x, y, method=method)
        weights = sum(
            share * weight(s.singular_values, jnp)
            for share, weight in zip(mixture, WEIGHTS.values(), strict=True)
        )
        of_measure = (weights[:, None] * s.energy * columns).sum()
        return jnp.where(mixture.any(), of_measure, s.singular_values.sum())

    return jax.grad(value, (0, 1))(features, targets)


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "columns",
    [
        [1.0, 0.0, 0.3],
        *(pytest.param(one, marks=pytest.mark.slow) for one in [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]),
    ],
    ids=["weighted", "one", "sum"],
)
@pytest.mark.parametrize(
    "weight",
    ["area", *(pytest.param(name, marks=pytest.mark.slow) for name in list(WEIGHTS)[1:])],
)
@pytest.mark.parametrize("case", CASES)
def test_gradient_of_a_measure(rng, x64, case, weight, columns, method):
    features = CASES[case](rng)
    targets = rng.standard_normal((len(features), len(columns)))
    columns = np.array(columns)
    mixture = jnp.array([float(name == weight) for name in WEIGHTS])
    by_features, by_targets = gradients(
        jnp.asarray(features), jnp.asarray(targets), mixture, jnp.asarray(columns), method
    )
    by_features, by_targets = np.asarray(by_features), np.asarray(by_targets)
    assert by_features.dtype == (jnp.float64 if x64 else jnp.float32)
    tolerance = 3e-6 if x64 else 5e-5
    for _ in range(5):
        direction = rng.standard_normal(features.shape)
        direction /= np.linalg.norm(direction)
        expected = slope(lambda x: numpy_value(x, targets, weight, columns), features, direction)
        assert abs((by_features * direction).sum() - expected) < tolerance * np.linalg.norm(
            by_features
        )
    direction = rng.standard_normal(targets.shape)
    expected = slope(lambda y: numpy_value(features, y, weight, columns), targets, direction)
    np.testing.assert_allclose((by_targets * direction).sum(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_sum_of_singular_values(rng, x64, case, method):
    features = CASES[case](rng)
    targets, nothing = jnp.ones((len(features), 3)), jnp.zeros(3)
    gradient, by_targets = gradients(jnp.asarray(features), targets, nothing, nothing, method)
    gradient = np.asarray(gradient)
    np.testing.assert_array_equal(by_targets, 0)
    for _ in range(5):
        direction = rng.standard_normal(features.shape)
        direction /= np.linalg.norm(direction)
        expected = slope(lambda x: np.linalg.svd(x, compute_uv=False).sum(), features, direction)
        assert abs((gradient * direction).sum() - expected) < 2e-5 * np.linalg.norm(gradient)


@pytest.mark.slow
@pytest.mark.gpu
def test_gradient_of_distinct_singular_values_one_by_one(rng):
    features = CASES["generic"](rng)
    jacobian = jax.jacrev(lambda x: ja.spectrum(x, jnp.ones((30, 1))).singular_values)(
        jnp.asarray(features, jnp.float32)
    )
    direction = rng.standard_normal(features.shape)
    expected = slope(lambda x: np.linalg.svd(x, compute_uv=False), features, direction)
    np.testing.assert_allclose(
        (jacobian * direction).sum(axis=(1, 2)), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.gpu
def test_gradient_of_the_curve_at_a_threshold(rng):
    """The subspace above τ turns with Φ even though the step function has slope 0."""
    features, targets = rng.standard_normal((30, 8)), rng.standard_normal((30, 1))
    sigma = np.linalg.svd(features, compute_uv=False)
    tau = (sigma[2] + sigma[3]) / 2

    def numpy_curve(x):
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        return ((u.T @ targets) ** 2)[s >= tau].sum()

    gradient = jax.grad(lambda x: ja.alignment_curve(ja.spectrum(x, jnp.asarray(targets)), tau)[0])(
        jnp.asarray(features)
    )
    direction = rng.standard_normal(features.shape)
    np.testing.assert_allclose(
        (gradient * direction).sum(), slope(numpy_curve, features, direction), rtol=1e-3
    )


WAYS = {
    "vmap of grad": lambda area, scanned: jax.vmap(jax.grad(area)),
    "jit of vmap of grad": lambda area, scanned: jax.jit(jax.vmap(jax.grad(area))),
    "vmap of grad of jit": lambda area, scanned: jax.vmap(jax.grad(jax.jit(area))),
    "vmap of grad of scan": lambda area, scanned: jax.jit(jax.vmap(jax.grad(scanned))),
    "grad of vmap": lambda area, scanned: jax.grad(lambda xs: jax.vmap(area)(xs).sum()),
    "grad of vmap of scan": lambda area, scanned: jax.grad(lambda xs: jax.vmap(scanned)(xs).sum()),
    "remat": lambda area, scanned: jax.vmap(jax.grad(jax.checkpoint(area))),
}
SLOW_WAYS = ("vmap of grad of jit", "grad of vmap", "remat")


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW_WAYS else ()) for n in WAYS]
)
def test_gradient_under_transformations(rng, name):
    """Float64 stays inside its scope also when scan, vmap, remat and jit rewrite the derivative."""
    batch = jnp.asarray(rng.standard_normal((3, 12, 4)), jnp.float32)
    targets = jnp.asarray(rng.standard_normal((12, 2)), jnp.float32)

    def area(x):
        return ja.alignment_area(ja.spectrum(x, targets)).sum()

    def scanned(x):
        return jax.lax.scan(lambda carry, scale: (carry, area(carry * scale)), x, jnp.array([1.0]))[
            1
        ].sum()

    found = WAYS[name](area, scanned)(batch)
    assert found.dtype == jnp.float32
    each = jax.jit(jax.grad(area))
    np.testing.assert_allclose(found, np.stack(list(map(each, batch))), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_gradient_through_a_network_with_dead_units_is_finite(rng):
    """Two units that never fire are enough to make the SVD's own gradient NaN (jax issue 2311)."""
    inputs = jnp.asarray(rng.standard_normal((40, 6)), jnp.float32)
    weights = jnp.asarray(rng.standard_normal((6, 8)), jnp.float32)
    bias = jnp.array([0, 0, 0, 0, 0, 0, -1e3, -1e3], jnp.float32)
    targets = ja.encode_targets(rng.integers(0, 2, 40))

    def area(w):
        return ja.alignment_area(ja.spectrum(ja.prepare(jax.nn.relu(inputs @ w + bias)), targets))[
            0
        ]

    def by_jnp_svd(w):
        u, sigma, _ = jnp.linalg.svd(
            ja.prepare(jax.nn.relu(inputs @ w + bias)), full_matrices=False
        )
        return (sigma * (u.T @ targets)[:, 0] ** 2).sum()

    assert not np.isfinite(jax.jit(jax.grad(by_jnp_svd))(weights)).all()
    gradient = jax.jit(jax.grad(area))(weights)
    assert np.isfinite(gradient).all()
    direction = jnp.asarray(rng.standard_normal(weights.shape), jnp.float32)
    with jax.enable_x64(True):
        wide, w, d = (jnp.asarray(np.asarray(x), jnp.float64) for x in (inputs, weights, direction))

        def area64(w):
            phi = ja.prepare(jax.nn.relu(wide @ w + np.asarray(bias, float)))
            return float(ja.alignment_area(ja.spectrum(phi, np.asarray(targets, float)))[0])

        expected = slope(area64, w, d)
    np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-3)
