import operator
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja


@pytest.fixture
def data(rng):
    features = (rng.standard_normal((48, 6)) + 2).astype(np.float32)
    return features, (rng.standard_normal((48, 2)) - 1).astype(np.float32)


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What spectra by different routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


def assert_close(a: ja.Spectrum, b: ja.Spectrum, rtol=1e-4):
    for x, y in zip(arrays_of(a), arrays_of(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


MANY = 20  # more targets than features: Q is formed


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("k", [2, MANY])
def test_finishes_as_moments_do(data, rng, x64, centered, k):
    features, targets = data[0], rng.standard_normal((48, k)).astype(np.float32)
    found = ja.spectrum(ja.triangle(features, targets), centered=centered)
    assert_close(found, ja.spectrum(ja.moments(features, targets), centered=centered))


@pytest.mark.parametrize("k", [2, MANY])
def test_its_products_are_those_of_the_rows(data, rng, k):
    features, targets = data[0], rng.standard_normal((48, k)).astype(np.float32)
    held, own = ja.triangle(features, targets), features.shape[1] + 1
    rows = np.concatenate([np.ones((48, 1)), features, targets], axis=1)
    assert held.factor.shape == (own + 1, own + k)
    np.testing.assert_allclose(
        held.factor[:, :own].T @ held.factor, rows[:, :own].T @ rows, rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(
        np.linalg.norm(held.factor, axis=0), np.linalg.norm(rows, axis=0), rtol=1e-5
    )
    np.testing.assert_allclose(np.tril(held.factor[:, :own], -1), 0)
    assert float(held.weight) == pytest.approx(48, rel=1e-5)


@pytest.mark.slow
@given(
    cuts=st.lists(st.sampled_from([1, 5, 20, 33, 47]), max_size=4),
    seed=st.integers(0, 99),
    k=st.sampled_from([2, MANY]),
)
@settings(max_examples=20, deadline=None)
def test_any_split_merged_in_any_order_is_the_whole(cuts, seed, k):
    rng = np.random.default_rng(seed)
    features, targets = (
        rng.standard_normal((48, 5)).astype(np.float32),
        rng.standard_normal((48, k)).astype(np.float32),
    )
    parts = [
        ja.triangle(x, y)
        for x, y in zip(
            np.split(features, sorted(cuts)), np.split(targets, sorted(cuts)), strict=True
        )
        if len(x)
    ]
    merged = reduce(operator.add, [parts[i] for i in rng.permutation(len(parts))])
    assert_close(ja.spectrum(merged), ja.spectrum(features, targets))


def test_float32_resolves_what_float32_moments_could_not(rng, matrix_of):
    features = matrix_of(300, 12, np.geomspace(1, 1e-5, 12)).astype(np.float32)
    exact = np.linalg.svd(features.astype(float), compute_uv=False)
    batches = [(features[i : i + 50], np.ones((50, 1), np.float32)) for i in range(0, 300, 50)]
    found = ja.spectrum(ja.accumulate(batches, ja.triangle))
    assert found.singular_values.dtype == jnp.float32
    np.testing.assert_allclose(found.singular_values, exact, rtol=2e-2)


def test_weights_and_masks(data):
    features, targets = data
    weights = np.arange(48) % 4
    repeated = ja.triangle(features.repeat(weights, axis=0), targets.repeat(weights, axis=0))
    hidden = np.where(weights[:, None] > 0, features, np.nan)
    assert_close(ja.spectrum(ja.triangle(hidden, targets, weights)), ja.spectrum(repeated))


@pytest.mark.slow
def test_through_every_transformation(data, x64):
    features, targets = map(jnp.asarray, data)
    batches = (features.reshape(4, 12, 6), targets.reshape(4, 12, 2))

    def over(x, y):
        return ja.triangle(x, y).over("rows")

    mesh = jax.make_mesh((4,), ("rows",))
    ways = {
        "jit": lambda: jax.jit(ja.triangle)(features, targets),
        "vmap": lambda: jax.vmap(ja.triangle)(*batches).sum(),
        "scan": lambda: jax.lax.scan(
            lambda t, xy: (t + ja.triangle(*xy), None),
            ja.triangle(batches[0][0], batches[1][0]),
            jax.tree.map(lambda x: x[1:], batches),
        )[0],
        "shard_map": lambda: jax.jit(
            jax.shard_map(over, mesh=mesh, in_specs=P("rows"), out_specs=P(), check_vma=False)
        )(*jax.device_put(data, NamedSharding(mesh, P("rows")))),
    }
    expected = ja.spectrum(features, targets)
    for way in ways.values():
        assert_close(ja.spectrum(way()), expected)


def test_merging_what_does_not_belong_together_is_explained(data):
    features, targets = data
    whole = ja.triangle(features, targets)
    with pytest.raises(ValueError, match="agree in features, found 6 and 5"):
        whole + ja.triangle(features[:, :5], targets)
    with pytest.raises(ValueError, match="agree in targets, found 2 and 1"):
        whole + ja.triangle(features, targets[:, 0])
    with (
        jax.enable_x64(True),
        pytest.raises(ValueError, match="agree in dtype, found float32 and float64"),
    ):
        whole + ja.triangle(features.astype(float), targets)
    with pytest.raises(TypeError):
        whole + ja.moments(features, targets)
    with pytest.raises(ValueError, match="no other method"):
        ja.spectrum(whole, method="moments")
    with pytest.raises(ValueError, match="found one with a Triangle"):
        ja.spectrum(whole, basis=ja.basis(ja.moments(features, targets)))


def test_it_has_no_derivative(rng):
    x, y = (rng.standard_normal((6, width)).astype(np.float32) for width in (3, 1))
    with pytest.raises(TypeError, match=r"no derivative; differentiate spectrum"):
        jax.grad(lambda x: ja.triangle(x, y).factor.sum())(x)
