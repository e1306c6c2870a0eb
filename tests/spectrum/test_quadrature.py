import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxalign as ja

SPECTRA = {
    "random": lambda rng, r: np.abs(rng.standard_normal(r)) * 5,
    "clustered": lambda rng, r: rng.choice([9.0, 5.0, 1.0], r),
    "power law": lambda rng, r: 20 * np.arange(1.0, r + 1) ** -1.5,
    "rank-deficient": lambda rng, r: np.where(np.arange(r) < max(1, r // 3), 3.0 + np.arange(r), 0),
    "six decades": lambda rng, r: np.geomspace(1, 1e-6, r),
}


def make(rng, n, d, sigma):
    u, v = (np.linalg.qr(rng.standard_normal((m, len(sigma))))[0] for m in (n, d))
    return (u * sigma @ v.T).astype(np.float32)


def exact_curve(features, targets, thresholds):
    u, sigma, _ = np.linalg.svd(features.astype(float), full_matrices=False)
    energy = (u.T @ targets.astype(float)) ** 2
    return np.stack([energy[sigma >= tau].sum(axis=0) for tau in thresholds]), sigma


@pytest.mark.slow
@given(
    kind=st.sampled_from(sorted(SPECTRA)),
    shape=st.sampled_from([(40, 12), (12, 40)]),
    order=st.sampled_from([1, 5, 12]),
    inside=st.booleans(),
    dtype=st.sampled_from(["float64", "float32"]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=200, deadline=None)
def test_bounds_always_hold(kind, shape, order, inside, dtype, seed):
    """Also at thresholds a rounding away from a singular value, on either side, and for targets in
    the column space.
    """
    rng = np.random.default_rng(seed)
    features = make(rng, *shape, SPECTRA[kind](rng, min(shape)))
    targets = rng.standard_normal((shape[0], 2)).astype(np.float32)
    if inside:
        targets[:, 1] = features @ rng.standard_normal(shape[1])
    sigma = np.linalg.svd(features.astype(float), compute_uv=False).astype(np.float32)
    even = np.linspace(1e-3, 1.1 * sigma[0], 30)
    thresholds = np.concatenate([even, sigma * (1 - 1e-6), sigma * (1 + 1e-6)]).astype(np.float32)
    thresholds = np.maximum(thresholds, 1e-5 * sigma[0])
    exact, _ = exact_curve(features, targets, thresholds)
    lower, upper = ja.quadrature_bounds(
        ja.quadrature(features, targets, order=order, dtype=dtype), thresholds
    )
    assert (lower <= exact).all()
    assert (exact <= upper).all()


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", SPECTRA)
def test_bounds_close_as_the_order_grows(rng, kind, dtype):
    features = make(rng, 400, 40, SPECTRA[kind](rng, 40))
    targets = rng.standard_normal((400, 3)).astype(np.float32)
    top = np.linalg.svd(features, compute_uv=False)[0]
    thresholds = np.linspace(top / 50, top, 60)
    total = (targets**2).sum(axis=0)
    widths = []
    for order in (2, 16, 32):
        lower, upper = ja.quadrature_bounds(
            ja.quadrature(features, targets, order=order, dtype=dtype), thresholds
        )
        widths.append(float(((upper - lower) / total).mean()))
    assert widths[0] > widths[1] >= widths[2]
    assert widths[2] < 0.02


@pytest.mark.parametrize(
    "order", [3, *(pytest.param(order, marks=pytest.mark.slow) for order in (1, 6))]
)
def test_moments_are_exact_to_degree_twice_the_order(rng, order):
    features = make(rng, 60, 20, np.linspace(0.3, 1, 20))
    targets = rng.standard_normal((60, 2)).astype(np.float32)
    with jax.enable_x64(True):
        s = ja.quadrature(features.astype(float), targets.astype(float), order=order).spectrum
        kernel = features.astype(float) @ features.astype(float).T
        for p in range(2 * order + 1):
            expected = np.einsum("ik,ij,jk->k", targets, np.linalg.matrix_power(kernel, p), targets)
            np.testing.assert_allclose(
                s.singular_values ** (2 * p) @ s.energy, expected, rtol=1e-11
            )


@pytest.mark.slow
def test_a_target_in_a_small_invariant_subspace_ends_early_and_exactly(rng):
    u, v = (np.linalg.qr(rng.standard_normal((m, 12)))[0] for m in (50, 12))
    features = (u * np.arange(12, 0, -1.0) @ v.T).astype(np.float32)
    exact_u, sigma, _ = np.linalg.svd(features.astype(float), full_matrices=False)
    with jax.enable_x64(True):
        y = exact_u[:, [1]] * 3 + exact_u[:, [4]]  # two directions: two steps are all there is
        q = ja.quadrature(features.astype(float), y, order=9)
        thresholds = np.array(
            [0.5, sigma[4] - 1e-3, sigma[4] + 1e-3, sigma[1] - 1e-3, sigma[1] + 1e-3]
        )
        found = (*ja.quadrature_bounds(q, thresholds), ja.alignment_curve(q.spectrum, thresholds))
    assert np.isfinite(q.spectrum.energy).all()
    for values in found:
        np.testing.assert_allclose(values[:, 0], [10, 10, 9, 9, 0], atol=1e-9)


@pytest.mark.slow
def test_float32_steps_have_the_same_nodes(rng):
    features = make(rng, 200, 40, SPECTRA["power law"](rng, 40))
    targets = rng.standard_normal((200, 2)).astype(np.float32)
    full, single = (
        ja.quadrature(features, targets, order=8, dtype=dtype) for dtype in ("float64", "float32")
    )
    assert [q.diagonal.dtype for q in (full, single)] == [jnp.float64, jnp.float32]
    top = full.spectrum.singular_values > 1e-2
    np.testing.assert_allclose(
        single.spectrum.singular_values[top], full.spectrum.singular_values[top], rtol=1e-4
    )
    np.testing.assert_allclose(
        ja.alignment_area(single.spectrum), ja.alignment_area(full.spectrum), rtol=1e-4
    )


@pytest.mark.slow
def test_a_zero_target_and_a_zero_matrix_are_no_trouble():
    features = np.eye(5, 3, dtype=np.float32)
    targets = np.array([[0.0, 1.0]] * 5, np.float32)
    q = ja.quadrature(features, targets, order=3)
    np.testing.assert_allclose(ja.alignment_curve(q.spectrum, [0.5]), [[0, 3]], atol=1e-5)
    empty = ja.quadrature(np.zeros((5, 3), np.float32), targets, order=2)
    np.testing.assert_allclose(ja.alignment_curve(empty.spectrum, [0.5]), 0)
    np.testing.assert_allclose(ja.quadrature_bounds(empty, [0.5])[1], 0, atol=1e-4)


@pytest.mark.gpu
def test_full_order_is_the_spectrum(rng):
    features = rng.standard_normal((40, 8)).astype(np.float32)
    targets = rng.standard_normal((40, 2)).astype(np.float32)
    targets[:, 1] = features @ rng.standard_normal(8)  # nothing of it at the node 0
    s, q = ja.spectrum(features, targets), ja.quadrature(features, targets, order=8).spectrum
    thresholds = np.asarray(s.singular_values) * (1 - 1e-5)
    np.testing.assert_allclose(
        ja.alignment_curve(q, thresholds), ja.alignment_curve(s, thresholds), rtol=1e-4
    )
    np.testing.assert_allclose(ja.alignment_area(q), ja.alignment_area(s), rtol=1e-5)
    np.testing.assert_allclose(q.energy.sum(axis=0), q.total, rtol=1e-5)
    np.testing.assert_array_equal(q.singular_values[-2:], 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPECTRA)
def test_the_area_comes_from_below_and_soon(rng, kind):
    """Also for a target nine tenths of which lie outside the column space, where nodes without one
    at 0 miss by a fifth.
    """
    features = make(rng, 400, 40, SPECTRA[kind](rng, 40))
    targets = rng.standard_normal((400, 3)).astype(np.float32)
    exact = np.asarray(ja.alignment_area(ja.spectrum(features, targets)))
    shares = [
        np.asarray(ja.alignment_area(ja.quadrature(features, targets, order=m).spectrum)) / exact
        for m in (2, 6, 16)
    ]
    assert all((share <= 1 + 1e-5).all() for share in shares)
    assert (shares[0] <= shares[1] + 1e-5).all()
    assert (shares[2] >= 0.97).all()


@pytest.mark.slow
def test_matrix_free_products_give_the_same(rng):
    features = jnp.asarray(make(rng, 60, 20, np.linspace(1, 8, 20)))
    targets = jnp.asarray(rng.standard_normal((60, 2)), jnp.float32)
    pair = (lambda v: features @ v, lambda u: features.T @ u)
    free = jax.jit(lambda y: ja.quadrature(pair, y, order=8))(targets)
    direct = ja.quadrature(features, targets, order=8)
    np.testing.assert_allclose(
        free.spectrum.singular_values, direct.spectrum.singular_values, rtol=1e-3, atol=1e-2
    )
    thresholds = np.linspace(0.5, 9, 40)
    exact, _ = exact_curve(np.asarray(features), np.asarray(targets), thresholds)
    lower, upper = ja.quadrature_bounds(free, thresholds)
    assert (lower <= exact).all()
    assert (exact <= upper).all()


def test_products_of_two_matrices_are_told_from_a_matrix_and_its_transpose(rng):
    a, b = (jnp.asarray(rng.standard_normal((30, 8)), jnp.float32) for _ in range(2))
    targets = rng.standard_normal((30, 2)).astype(np.float32)
    for dtype in (jnp.float32, jnp.bfloat16):
        own = a.astype(dtype)
        rounded = (lambda v, a=own: a @ v, lambda u, a=own: a.T @ u)
        assert ja.quadrature(rounded, targets, order=3).diagonal.shape == (3, 2)
    for other in (b, -a, 7 * a):
        with pytest.raises(ValueError, match="must be with one matrix Φ and its transpose"):
            ja.quadrature((lambda v, a=other: a @ v, lambda u: a.T @ u), targets, order=3)


@pytest.mark.slow
def test_through_every_transformation(rng, x64):
    batch = jnp.asarray(rng.standard_normal((3, 30, 8)), jnp.float32)
    targets = jnp.asarray(rng.standard_normal((30, 2)), jnp.float32)

    def both(x):
        return jnp.stack(
            ja.quadrature_bounds(ja.quadrature(x, targets, order=5), jnp.array([1.0, 4.0]))
        )

    expected = jnp.stack([both(x) for x in batch])
    assert expected.dtype == jnp.float32
    for name, way in {
        "vmap": jax.vmap(both),
        "vmap of jit": jax.vmap(jax.jit(both)),
        "jit of vmap": jax.jit(jax.vmap(both)),
        "scan": jax.jit(lambda xs: jax.lax.scan(lambda c, x: (c, both(x)), 0, xs)[1]),
    }.items():
        np.testing.assert_allclose(way(batch), expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_bad_input_is_explained(rng):
    features, targets = np.ones((6, 4), np.float32), np.ones((6, 1), np.float32)
    for order in (0, 5):
        with pytest.raises(
            ValueError,
            match=rf"order must be (from 1 to min\(n, d\) = 4|at least 1), found {order}",
        ):
            ja.quadrature(features, targets, order=order)
    with pytest.raises(
        ValueError, match=r"second product must map \(n, k\) = \(6, 1\) to \(d, k\), found \(6,\)"
    ):
        ja.quadrature((lambda v: v, lambda u: u[:, 0]), targets, order=2)
    with pytest.raises(
        ValueError,
        match=r"first product must map \(d, k\) = \(4, 1\) to \(n, k\) = \(6, 1\), found \(4, 1\)",
    ):
        ja.quadrature((lambda v: v, lambda u: u[:4]), targets, order=2)
    with pytest.raises(ValueError, match="dtype goes with features that are an array, found"):
        ja.quadrature((lambda v: v, lambda u: u), targets, order=2, dtype="float64")
    with pytest.raises(TypeError, match="second product must give real floats, found dtype c"):
        ja.quadrature((lambda v: v, lambda u: 1j * u), targets, order=2)
    with pytest.raises(TypeError, match="first product must give one array, found a tuple of 2"):
        ja.quadrature((lambda v: (v, 1), lambda u: u), targets, order=2)
    with pytest.raises(ValueError, match="dtype must be 'float64' or 'float32', found 'bfloat16'"):
        ja.quadrature(features, targets, order=2, dtype="bfloat16")
    with pytest.raises(ValueError, match="features must be finite"):
        ja.quadrature(features * np.nan, targets, order=2)
    with pytest.raises(ValueError, match=r"thresholds must have shape \(t,\)"):
        ja.quadrature_bounds(ja.quadrature(features, targets, order=2), 1.0)
    with pytest.raises(TypeError, match="quadrature has no derivative"):
        jax.grad(lambda x: ja.quadrature(x, targets, order=2).spectrum.energy.sum())(
            jnp.asarray(features)
        )
    pair = (lambda v: jnp.asarray(features) @ v, lambda u: jnp.asarray(features).T @ u)
    with pytest.raises(TypeError, match="quadrature has no derivative"):
        jax.grad(lambda y: ja.quadrature(pair, y, order=2).spectrum.energy.sum())(
            jnp.asarray(targets)
        )


def test_nan_in_nan_out_when_traced():
    q = jax.jit(lambda x: ja.quadrature(x, jnp.ones((6, 1)), order=2))(jnp.full((6, 4), jnp.nan))
    assert np.isnan(ja.alignment_area(q.spectrum)).all()
    lower, upper = ja.quadrature_bounds(q, [1.0])
    assert np.isnan(lower).all()
    assert np.isnan(upper).all()
