from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import PartitionSpec as P

import jaxalign as ja

METHODS = ["moments", "refined", "triangular", "svd"]
SLACK = {"triangular": 20}  # how much less accurate than float64 inside, on float32 features
SHAPES = [
    (60, 7),
    (7, 60),
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(20, 20), (50, 1), (1, 5)]),
]


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What spectra by different routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


def data(rng, n, d, k=3, dtype=np.float32):
    return rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((n, k)).astype(dtype)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_a_float64_svd(rng, reference, x64, method, shape):
    features, targets = data(rng, *shape)
    found = ja.spectrum(features, targets, method=method)
    sigma, energy = reference(features, targets)
    assert all(x.dtype == jnp.float32 for x in arrays_of(found))
    slack = SLACK.get(method, 1)
    np.testing.assert_allclose(found.singular_values, sigma, rtol=1e-6 * slack)
    np.testing.assert_allclose(found.energy, energy, rtol=1e-5 * slack, atol=1e-6 * slack)
    np.testing.assert_allclose(found.total, (targets.astype(float) ** 2).sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_float64_features_keep_their_precision(rng, reference, method, shape):
    features, targets = data(rng, *shape, dtype=np.float64)
    with jax.enable_x64(True):
        found = ja.spectrum(features, targets, method=method)
    sigma, energy = reference(features, targets)
    assert all(x.dtype == jnp.float64 for x in arrays_of(found))
    np.testing.assert_allclose(found.singular_values, sigma, rtol=1e-12)
    np.testing.assert_allclose(found.energy, energy, rtol=1e-9, atol=1e-12)


def test_it_computes_in_float64_with_the_flag_off(rng, matrix_of):
    """A float32 Gram matrix loses σ under 3e-4·σ_1 altogether, and a float32 SVD has 1e-2 relative
    error at 1e-6·σ_1.
    """
    features = matrix_of(2000, 30, np.geomspace(1, 1e-6, 30)).astype(np.float32)
    exact = np.linalg.svd(features.astype(float), compute_uv=False)
    assert not jax.config.jax_enable_x64
    for transform in (lambda f: f, jax.jit, lambda f: lambda x: jax.vmap(jax.jit(f))(x[None])[0]):
        found = transform(lambda x: ja.spectrum(x, jnp.ones((2000, 1))).singular_values)(
            jnp.asarray(features)
        )
        assert abs(found[-1] / exact[-1] - 1) < 1e-4


@pytest.mark.slow
@given(
    n=st.integers(1, 30),
    sigma=st.lists(st.sampled_from([0.0, 1e-3, 0.5, 1.0, 1.0, 2.0, 30.0]), min_size=1, max_size=12),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40, deadline=None)
def test_routes_agree_on_any_spectrum(reference, n, sigma, seed):
    """Repeated, zero and clustered singular values, tall and wide: per distinct σ the energy is
    determined, and equal.
    """
    rng = np.random.default_rng(seed)
    r = min(n, len(sigma))
    u, v = (np.linalg.qr(rng.standard_normal((m, r)))[0] for m in (n, len(sigma)))
    features = (u * np.array(sigma[:r]) @ v.T).astype(np.float32)
    targets = rng.standard_normal((n, 2)).astype(np.float32)
    expected_sigma, expected_energy = reference(features, targets)
    for method in METHODS:
        found = ja.spectrum(features, targets, method=method)
        atol = 1e-6 * SLACK.get(method, 1) * max(expected_sigma[0], 1e-6)
        np.testing.assert_allclose(found.singular_values, expected_sigma, atol=atol)
        for tau in (1e-4, 0.7, 1.5, 10.0):
            clear = np.abs(expected_sigma - tau).min() > 1e-6
            if clear:
                above, below = (
                    expected_sigma[expected_sigma >= tau],
                    expected_sigma[expected_sigma < tau],
                )
                expected = expected_energy[: len(above)].sum(axis=0)
                # Davis–Kahan: rounding of eps·σ_1 turns the directions above τ by that over the gap
                # around τ.
                turn = (
                    np.finfo(np.float32).eps
                    * expected_sigma[0]
                    / (above.min(initial=np.inf) - below.max(initial=0))
                )
                atol = 1e-4 + (4 * turn * expected_energy.sum() if method == "triangular" else 0)
                np.testing.assert_allclose(ja.alignment_curve(found, tau), expected, atol=atol)


@pytest.mark.parametrize("method", METHODS)
def test_energy_under_the_rank_tolerance_counts_to_no_direction(rng, matrix_of, method):
    features = matrix_of(200, 12, [3, 2, 1]).astype(
        np.float32
    )  # rank 3 up to the rounding of its entries
    targets = rng.standard_normal((200, 1)).astype(np.float32)
    found = ja.spectrum(features, targets, method=method)
    assert (found.energy[3:] == 0).all()
    u = np.linalg.svd(features.astype(float))[0][:, :3]
    np.testing.assert_allclose(found.energy.sum(), ((u.T @ targets) ** 2).sum(), rtol=1e-5)
    zero = ja.spectrum(np.zeros((5, 3), np.float32), np.ones((5, 1)), method=method)
    assert zero.energy.sum() == 0
    assert zero.total == 5


def test_invariant_to_rotations_of_features_and_permutations_of_rows(rng):
    features, targets = data(rng, 80, 9)
    plain = ja.spectrum(features, targets)
    rotation = np.linalg.qr(rng.standard_normal((9, 9)))[0].astype(np.float32)
    order = rng.permutation(80)
    for other in (
        ja.spectrum(features @ rotation, targets),
        ja.spectrum(features[order], targets[order]),
    ):
        for a, b in zip(arrays_of(plain), arrays_of(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_transformations_agree(rng, x64, method):
    batch = np.stack([data(rng, 30, 5)[0] for _ in range(4)])
    targets = data(rng, 30, 5)[1]
    solve = partial(ja.spectrum, method=method)
    expected = [solve(x, targets) for x in batch]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *expected)

    def scanned(xs, y):
        return jax.lax.scan(lambda carry, x: (carry, solve(x, y)), 0, xs)[1]

    def nested(xs, y):
        halves = xs.reshape(2, 2, *xs.shape[1:])
        return jax.tree.map(
            jnp.concatenate, jax.vmap(jax.vmap(jax.jit(solve), (0, None)), (0, None))(halves, y)
        )

    ways = {
        "vmap": jax.vmap(solve, (0, None)),
        "jit of vmap": jax.jit(jax.vmap(solve, (0, None))),
        "vmap of jit": jax.vmap(jax.jit(solve), (0, None)),
        "scan": jax.jit(scanned),
        "vmap of scan": lambda xs, y: jax.tree.map(
            lambda x: x[:, 0], jax.vmap(scanned, (0, None))(xs[:, None], y)
        ),
        "map": lambda xs, y: jax.lax.map(lambda x: solve(x, y), xs),
        "shard_map": jax.shard_map(
            jax.vmap(solve, (0, None)),
            mesh=jax.sharding.Mesh(np.array(jax.devices()), ("batch",)),
            in_specs=(P("batch"), P()),
            out_specs=P("batch"),
        ),
    }
    for name, way in ways.items():
        other = way(jnp.asarray(batch), jnp.asarray(targets))
        for a, b in zip(arrays_of(stacked), arrays_of(other), strict=True):
            assert b.dtype == jnp.float32, name
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(
        nested(jnp.asarray(batch), jnp.asarray(targets)).energy.ravel(),
        stacked.energy.ravel(),
        rtol=1e-5,
    )


def test_vmap_over_targets_alone(rng):
    features, _ = data(rng, 30, 5)
    many = rng.standard_normal((6, 30, 2)).astype(np.float32)
    together = jax.vmap(lambda y: ja.spectrum(features, y))(many)
    for i, y in enumerate(many):
        np.testing.assert_allclose(
            together.energy[i], ja.spectrum(features, y).energy, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int32, bool])
def test_other_dtypes_are_widened_to_float32(rng, dtype):
    features = jnp.asarray(rng.standard_normal((20, 4)) > 0).astype(dtype)
    found = ja.spectrum(features, jnp.ones((20, 2), dtype))
    assert found.singular_values.dtype == jnp.float32
    np.testing.assert_allclose(
        found.singular_values, np.linalg.svd(np.asarray(features, float))[1], rtol=1e-5, atol=1e-6
    )


@pytest.mark.gpu
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_raises_eagerly_and_is_nan_when_traced(rng, bad):
    features, targets = data(rng, 20, 4)
    features[3, 2] = bad
    with pytest.raises(ValueError, match=r"features must be finite, found 1 .*\(3, 2\)"):
        ja.spectrum(features, targets)
    with pytest.raises(ValueError, match="targets must be finite"):
        ja.spectrum(targets, features)
    found = jax.jit(ja.spectrum)(features, targets)
    assert np.isnan(found.singular_values).all()
    for thresholds in (0.5, [0.5, 1.0]):
        assert np.isnan(ja.alignment_curve(found, jnp.array(thresholds))).all()
    assert np.isnan(ja.alignment_area(found)).all()
    assert (ja.aligned_rank(found) == -1).all()


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        (np.ones((4, 3)), np.ones((5, 1)), "features 4 and targets 5"),
        (np.ones((3, 5)), np.ones((5, 1)), "look transposed, pass features.T"),
        (
            np.ones(4),
            np.ones((4, 1)),
            r"features must be a matrix \(n, d\), found shape \(4,\); pass prepare",
        ),
        (np.ones((4, 2, 2)), np.ones((4, 1)), "features must be a matrix"),
        (np.ones((0, 3)), np.ones((0, 1)), "features must not be empty"),
        (np.ones((4, 0)), np.ones((4, 1)), "features must not be empty"),
        (np.ones((4, 3)), np.ones((4, 0)), "targets must not be empty"),
        (np.ones((4, 3)), np.arange(4), "pass encode_targets"),
        (np.ones((4, 3)), np.arange(4)[:, None], "pass encode_targets"),
    ],
)
def test_bad_shapes_are_explained(features, targets, message):
    with pytest.raises(ValueError, match=message):
        ja.spectrum(features, targets)


def test_other_bad_arguments_are_explained():
    with pytest.raises(
        ValueError,
        match=r"method must be 'auto', 'moments', .*, 'svd' or 'split', found 'qr'",
    ):
        ja.spectrum(np.ones((4, 3)), np.ones((4, 1)), method="qr")
    with pytest.raises(TypeError, match="features must be real"):
        ja.spectrum(np.ones((4, 3), complex), np.ones((4, 1)))


def test_a_vector_of_floats_is_one_target_column(rng):
    features, targets = data(rng, 20, 4, k=1)
    np.testing.assert_array_equal(
        ja.spectrum(features, targets[:, 0]).energy, ja.spectrum(features, targets).energy
    )
