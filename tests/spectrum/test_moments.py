import operator
from functools import partial, reduce
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign._spectrum.products import products


@pytest.fixture
def data(rng):
    features = (rng.standard_normal((48, 6)) + 2).astype(np.float32)
    return features, (rng.standard_normal((48, 2)) - 1).astype(np.float32)


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What spectra by different routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


def assert_close(a: ja.Spectrum, b: ja.Spectrum, rtol=1e-6):
    for x, y in zip(arrays_of(a), arrays_of(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


@pytest.mark.gpu
@pytest.mark.parametrize(("n", "width"), [(2100, 3), (1025, 200), (2, 1001)])
def test_products_are_those_of_float64_whatever_the_shape(rng, n, width):
    """Wide ones are put together from strips, above the diagonal and below it, and tall ones from
    blocks of rows.
    """
    features, targets = rng.standard_normal((n, width)), rng.standard_normal((n, 2))
    rows = np.concatenate([features, np.ones((n, 1)), targets], axis=1)
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(products)([jnp.asarray(rows[:, :-2])], [jnp.asarray(targets)]))
    np.testing.assert_allclose(found, rows[:, :-2].T @ rows, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("centered", [False, True])
def test_finish_as_the_arrays_do(data, x64, centered):
    assert_close(
        ja.spectrum(ja.moments(*data), centered=centered),
        ja.spectrum(*data, centered=centered),
        rtol=5e-6,
    )


@pytest.mark.gpu
def test_centered_is_the_spectrum_about_the_mean(data, reference):
    features, targets = (x - x.astype(float).mean(axis=0) for x in data)
    sigma, energy = reference(features, targets)
    for found in (ja.spectrum(ja.moments(*data), centered=True), ja.spectrum(*data, centered=True)):
        np.testing.assert_allclose(found.singular_values, sigma, rtol=1e-5)
        np.testing.assert_allclose(found.energy, energy, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.total, (targets**2).sum(axis=0), rtol=1e-5)


def test_many_targets_cost_no_product_of_two_of_them(data, rng, reference):
    features, targets = data[0], rng.standard_normal((48, 3000)).astype(np.float32)
    assert ja.moments(features, targets).products.shape == (6 + 2, 6 + 1 + 3000)
    for method in ("moments", "refined", "triangular"):
        for found in (
            ja.spectrum(features, targets, method=method),
            jax.jit(partial(ja.spectrum, method=method))(features, targets),
        ):
            np.testing.assert_allclose(
                found.energy, reference(features, targets)[1], rtol=1e-3, atol=1e-4
            )
            np.testing.assert_allclose(found.total, (targets**2).sum(axis=0), rtol=1e-5)


@pytest.mark.slow
@given(cuts=st.lists(st.integers(1, 47), max_size=6), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_any_split_merged_in_any_order_is_the_whole(cuts, seed):
    rng = np.random.default_rng(seed)
    features, targets = (
        rng.standard_normal((48, 5)).astype(np.float32),
        rng.standard_normal((48, 2)).astype(np.float32),
    )
    edges = sorted({0, 48, *cuts})
    parts = [ja.moments(features[a:b], targets[a:b]) for a, b in pairwise(edges)]
    merged = reduce(operator.add, [parts[i] for i in rng.permutation(len(parts))])
    assert merged.products.dtype == jnp.float64
    np.testing.assert_allclose(
        merged.products, ja.moments(features, targets).products, rtol=1e-12, atol=1e-12
    )


def test_a_stream_keeps_full_precision_over_many_batches(rng):
    """Hundreds of float32 sums of the same numbers would lose several digits."""
    row = rng.standard_normal((1, 3)).astype(np.float32)
    whole = ja.accumulate((row, np.ones((1, 1))) for _ in range(500))
    np.testing.assert_allclose(
        whole.products[:3, :3], 500 * row.astype(float).T @ row.astype(float), rtol=1e-12
    )


def test_weights_count_rows_more_than_once(data):
    features, targets = data
    weights = np.arange(48) % 4
    repeated = ja.moments(features.repeat(weights, axis=0), targets.repeat(weights, axis=0))
    np.testing.assert_allclose(
        ja.moments(features, targets, weights=weights).products, repeated.products, rtol=1e-12
    )


def test_masked_rows_may_hold_anything(data):
    features, targets = data
    mask = np.arange(48) % 3 > 0
    hidden = np.where(mask[:, None], features, np.nan)
    found = ja.moments(hidden, np.where(mask[:, None], targets, np.inf), weights=mask)
    np.testing.assert_allclose(
        found.products, ja.moments(features[mask], targets[mask]).products, rtol=1e-12
    )
    padded = jax.jit(lambda x, y, w: ja.moments(x, y, weights=w))(hidden, targets, mask)
    np.testing.assert_allclose(padded.products, found.products, rtol=1e-12)


def test_saved_and_loaded_bit_for_bit(data, tmp_path):
    features, targets = data
    for name, rows in (("monday", slice(20)), ("tuesday.npz", slice(20, None))):
        ja.moments(features[rows], targets[rows]).save(tmp_path / name)
    loaded = ja.Moments.load(tmp_path / "monday")
    assert loaded.products.dtype == jnp.float64
    np.testing.assert_array_equal(loaded.products, ja.moments(features[:20], targets[:20]).products)
    assert_close(
        ja.spectrum(loaded + ja.Moments.load(tmp_path / "tuesday.npz")),
        ja.spectrum(features, targets),
    )
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(ValueError, match=r"holds no moments: its arrays are \['x'\]"):
        ja.Moments.load(tmp_path / "other.npz")


@pytest.mark.slow
def test_through_every_transformation(data, x64):
    features, targets = map(jnp.asarray, data)
    batches = (features.reshape(4, 12, 6), targets.reshape(4, 12, 2))
    expected = ja.moments(features, targets).products

    def scanned(x, y):
        first = ja.moments(x[0], y[0])
        return jax.lax.scan(lambda m, xy: (m + ja.moments(*xy), None), first, (x[1:], y[1:]))[0]

    def summed_over_devices(x, y):
        return jax.lax.psum(ja.moments(x, y), "rows")

    mesh = jax.make_mesh((4,), ("rows",))
    ways = {
        "jit": lambda: jax.jit(ja.moments)(features, targets),
        "vmap": lambda: jax.vmap(ja.moments)(*batches).sum(),
        "vmap of jit": lambda: jax.vmap(jax.jit(ja.moments))(*batches).sum(),
        "scan": lambda: jax.jit(scanned)(*batches),
        "shard_map": lambda: jax.jit(
            jax.shard_map(summed_over_devices, mesh=mesh, in_specs=P("rows"), out_specs=P())
        )(*jax.device_put((features, targets), NamedSharding(mesh, P("rows")))),
    }
    for name, way in ways.items():
        found = way()
        assert found.products.dtype == jnp.float64, name
        np.testing.assert_allclose(found.products, expected, rtol=1e-12, err_msg=name)
    together = jax.vmap(lambda x, y: ja.spectrum(ja.moments(x, y)))(*batches)
    np.testing.assert_allclose(
        together.energy[2], ja.spectrum(batches[0][2], batches[1][2]).energy, rtol=1e-5
    )


def test_fewer_rows_than_features_have_zero_energy_beyond_them(rng):
    features, targets = (
        rng.standard_normal((3, 8)).astype(np.float32),
        rng.standard_normal((3, 1)).astype(np.float32),
    )
    found, direct = ja.spectrum(ja.moments(features, targets)), ja.spectrum(features, targets)
    assert found.singular_values.shape == (8,)
    np.testing.assert_allclose(found.singular_values[:3], direct.singular_values, rtol=1e-6)
    np.testing.assert_allclose(found.energy[:3], direct.energy, rtol=1e-4)
    assert (found.energy[3:] == 0).all()


def test_an_interrupted_stream_leaves_the_last_sum_valid(data):
    features, targets = data

    running = []

    def interrupted_after_one_batch():
        for x, y in ((features[:20], targets[:20]), None):
            running.append(ja.moments(x, y))

    with pytest.raises(TypeError):
        interrupted_after_one_batch()
    assert_close(ja.spectrum(running[-1]), ja.spectrum(features[:20], targets[:20]))


def test_merging_what_does_not_belong_together_is_explained(data):
    features, targets = data
    whole = ja.moments(features, targets)
    with pytest.raises(ValueError, match="agree in features, found 6 and 5"):
        whole + ja.moments(features[:, :5], targets)
    with pytest.raises(ValueError, match="agree in targets, found 2 and 1"):
        whole + ja.moments(features, targets[:, 0])
    with jax.enable_x64(True):
        wide = ja.moments(features.astype(np.float64), targets)
    with pytest.raises(ValueError, match="agree in precision, found float32 and float64"):
        whole + wide
    with pytest.raises(TypeError):
        whole + 1


def test_bad_input_is_explained(data):
    features, targets = data
    with pytest.raises(ValueError, match="found none; is the iterator used up"):
        ja.accumulate([])
    with pytest.raises(ValueError, match=r"weights must have shape \(n,\)"):
        ja.moments(features, targets, weights=np.ones(5))
    with pytest.raises(ValueError, match="weights must not be negative, found -1"):
        ja.moments(features, targets, weights=np.full(48, -1))
    with pytest.raises(ValueError, match="weights must be finite"):
        ja.moments(features, targets, weights=np.full(48, np.nan))
    with pytest.raises(ValueError, match="features must be finite"):
        ja.moments(np.full((4, 2), np.nan), np.ones((4, 1)))
    with pytest.raises(ValueError, match="takes no targets"):
        ja.spectrum(ja.moments(features, targets), targets)
    with pytest.raises(ValueError, match="no other method"):
        ja.spectrum(ja.moments(features, targets), method="svd")
    with pytest.raises(ValueError, match="targets are missing"):
        ja.spectrum(features)
    with pytest.raises(TypeError, match=r"differentiate spectrum\(features, targets\) instead"):
        jax.grad(lambda x: ja.spectrum(ja.moments(x, targets)).total.sum())(jnp.asarray(features))


@pytest.mark.parametrize("form", [ja.moments, ja.triangle])
def test_a_batch_of_sums_is_refused(rng, form):
    batch = jax.vmap(form)(*rng.standard_normal((2, 3, 6, 2)).astype(np.float32))
    for call in (ja.spectrum, ja.permutation_null):
        with pytest.raises(ValueError, match=r"one set of sums, found a batch of shape \(3,\)"):
            call(batch)


def test_what_is_no_file_of_moments_is_refused_by_name(tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"words")
    np.save(tmp_path / "array.npy", np.ones(3))
    for file in (damaged, tmp_path / "array.npy"):
        with pytest.raises(ValueError, match=f"{file.name} holds no moments"):
            ja.Moments.load(file)
    for each in (3, [1, 2], None):
        with pytest.raises(TypeError, match="each"):
            ja.Moments.stack(each)
