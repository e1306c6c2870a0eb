"""Pair moments add up: over batches in any order, over devices, hosts and days."""

import operator
from functools import partial, reduce
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign import similarity
from jaxalign.similarity import PairMoments, linear_cka, pair_moments

debiased = partial(linear_cka, estimator="debiased")


@pytest.fixture
def shards(rng):
    """Four shards whose means are 1e4 from 0 to both sides, in steps that float32 holds there."""
    center = np.float32([1e4, -1e4, 1e4, -1e4]).repeat(10)[:, None]
    x = np.round(rng.standard_normal((40, 3)).astype(np.float32) * 64) / 64 + center
    return x, np.round(rng.standard_normal((40, 2)).astype(np.float32) * 64) / 64 - x[:, :2]


def exact(x, y):
    with jax.enable_x64(True):
        return debiased(x.astype(float), y.astype(float))


def about_one_pivot(moments: PairMoments) -> np.ndarray:
    """The products about pivot 0, comparable between moments of several pivots."""
    from jaxalign.similarity._augmented import moved

    with jax.enable_x64(True):
        return np.asarray(moved(moments.products, -moments.pivot, moments.widths[0]))


@pytest.mark.slow
def test_they_hold_the_sums_that_they_say(pair):
    x, y = (part.astype(float) for part in pair)
    columns = [x, y, np.ones(40), (x**2).sum(axis=1), (y**2).sum(axis=1)]
    rows = np.column_stack(columns)
    expected = rows.T @ rows
    for found in (pair_moments(x, y), jax.jit(pair_moments)(*pair)):
        assert found.products.dtype == jnp.float64
        assert found.num_samples == 40
        np.testing.assert_allclose(about_one_pivot(found), expected, rtol=1e-10, atol=1e-9)


@pytest.mark.slow
def test_batches_with_pivots_of_their_own_are_the_whole(shards):
    x, y = shards
    parts = [pair_moments(x[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10)]
    streamed = ja.accumulate([(x[:10], y[:10]), (x[10:], y[10:])], pair_moments)
    stacked = jax.vmap(pair_moments)(x.reshape(4, 10, 3), y.reshape(4, 10, 2)).sum()
    for merged in (sum(parts), reduce(operator.add, parts[::-1]), streamed, stacked):
        assert merged.num_samples == 40
        np.testing.assert_allclose(debiased(merged), exact(x, y), rtol=1e-6)


@pytest.mark.slow
@given(cuts=st.lists(st.integers(1, 39), max_size=6), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_any_split_merged_in_any_order_is_the_whole(cuts, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 3)) + rng.choice([0, 1e4], (40, 1))
    y = x[:, :2] + rng.standard_normal((40, 2))
    edges = sorted({0, 40, *cuts})
    with jax.enable_x64(True):
        parts = [pair_moments(x[a:b], y[a:b]) for a, b in pairwise(edges)]
        merged = reduce(operator.add, [parts[i] for i in rng.permutation(len(parts))])
        np.testing.assert_allclose(debiased(merged), debiased(x, y), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [AxisType.Explicit, pytest.param(AxisType.Auto, marks=pytest.mark.slow)]
)
def test_devices_agree_on_a_pivot(shards, kind):
    x, y = shards
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    rows = jax.device_put((x, y), NamedSharding(mesh, P("data")))

    def run(merge):
        over = jax.shard_map(
            lambda x, y: merge(pair_moments(x, y)), mesh=mesh, in_specs=P("data"), out_specs=P()
        )
        return jax.jit(over)(*rows)

    np.testing.assert_allclose(debiased(run(lambda m: m.over("data"))), exact(x, y), rtol=1e-6)
    with pytest.raises(ValueError, match=r"summed over different pivots.*m\.over\(axis\)"):
        debiased(run(lambda m: jax.lax.psum(m, "data")))


@pytest.mark.slow
def test_a_bare_sum_over_devices_is_right_about_one_pivot(shards):
    x, y = shards
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    over = jax.shard_map(
        lambda x, y: jax.lax.psum(pair_moments(x, y, pivot=np.float32([3.3] * 5)), "data"),
        mesh=mesh,
        in_specs=P("data"),
        out_specs=P(),
    )
    np.testing.assert_allclose(debiased(jax.jit(over)(x, y)), exact(x, y), rtol=1e-5)


def test_pivots_that_differ_by_little_are_found_out(pair):
    """Also traced, where the result is NaN."""
    parts = [pair_moments(*pair, pivot=np.full(10, p, np.float32)) for p in (1.0, 1.00003)]
    mixed = jax.tree.map(lambda a, b: jnp.asarray(np.asarray(a) + np.asarray(b)), *parts)
    assert np.any(parts[0].pivot != parts[1].pivot)
    with jax.enable_x64(True):
        mixed = jax.tree.map(lambda a, b: a + b, *parts)
    with pytest.raises(ValueError, match="different pivots"):
        linear_cka(mixed)
    assert np.isnan(jax.jit(linear_cka)(mixed))
    assert np.isnan(jax.jit(lambda m, other: linear_cka(m + other))(mixed, parts[0]))


def test_saved_and_loaded_bit_for_bit(pair, tmp_path):
    moments = pair_moments(*pair)
    moments.save(tmp_path / "monday")
    loaded = PairMoments.load(tmp_path / "monday")
    assert (loaded.widths, loaded.precision) == (moments.widths, moments.precision)
    np.testing.assert_array_equal(loaded.products, moments.products)
    np.testing.assert_array_equal(loaded.powers, moments.powers)
    assert linear_cka(loaded + loaded) == pytest.approx(linear_cka(moments))
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(ValueError, match=r"holds no pair moments: its arrays are \['x'\]"):
        PairMoments.load(tmp_path / "other.npz")


@pytest.mark.slow
def test_a_scan_carries_them(pair):
    x, y = (part.reshape(4, 10, -1) for part in pair)

    @jax.jit
    def run(x, y):
        first = pair_moments(x[0], y[0])
        rest = (x[1:], y[1:])
        return jax.lax.scan(lambda m, xy: (m + pair_moments(*xy), None), first, rest)[0]

    np.testing.assert_allclose(debiased(run(x, y)), debiased(*pair), rtol=1e-6)


def test_what_is_refused(pair):
    x, y = pair
    moments = pair_moments(x, y)
    with pytest.raises(ValueError, match="agree in columns of y, found 4 and 3"):
        moments + pair_moments(x, y[:, :3])
    with jax.enable_x64(True):
        wide = pair_moments(x.astype(float), y)
    with pytest.raises(ValueError, match="agree in precision, found float32 and float64"):
        moments + wide
    with pytest.raises(TypeError, match="unsupported operand"):
        moments + 1
    with pytest.raises(ValueError, match=r"pivot must have shape \(p \+ q,\) = \(10,\)"):
        pair_moments(x, y, pivot=np.zeros(6))
    with pytest.raises(ValueError, match=r"fourth powers within float64.*divide x by 1e\+10"):
        pair_moments(x.astype(float) * 1e100, y)
    with pytest.raises(TypeError, match=r"differentiate linear_cka\(x, y\)"):
        jax.grad(lambda x: linear_cka(pair_moments(x, y)))(x)
    with pytest.raises(TypeError, match="x must be an array of numbers"):
        similarity.linear_cka(None, y)
