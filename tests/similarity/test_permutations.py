"""Permuted rows: every draw is one of all permutations, p-values count them, and exact means are
the ones in closed form.
"""

from functools import partial
from itertools import permutations

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign import similarity
from jaxalign.similarity import permutation_null

KEY = jax.random.key(0)


def inner(x, y):
    """A measure of another library's making."""
    return (x * y).sum()


@pytest.fixture(scope="module")
def null():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((4, 2)) for _ in range(2))
    return x, y, permutation_null(x, y, inner, key=KEY, draws=2000)


def test_draws_are_all_permutations_in_equal_shares(null):
    x, y, found = null
    values = np.array([(x * y[list(order)]).sum() for order in permutations(range(4))])
    nearest = np.abs(np.asarray(found.null)[:, None] - values).argmin(axis=1)
    np.testing.assert_allclose(found.null, values[nearest], rtol=1e-5, atol=1e-6)
    shares = np.bincount(nearest, minlength=24) / 2000
    assert (np.abs(shares - 1 / 24) < 4.5 * (1 / 24 / 2000) ** 0.5).all()


def test_p_values_are_the_shares_of_all_permutations(null):
    x, y, found = null
    values = np.array([(x * y[list(order)]).sum() for order in permutations(range(4))])
    for p, share in (
        (found.p_values, (values >= values[0] - 1e-9).mean()),
        (found.lower_p_values, (values <= values[0] + 1e-9).mean()),
    ):
        assert abs(float(p) - share) < 4 * (share * (1 - share) / 2000) ** 0.5 + 1e-3


def test_what_is_nan_has_no_p_value_and_ties_count():
    found = ja.Permuted(np.float32(np.nan), np.full(9, 1.0, np.float32))
    assert np.isnan(found.p_values)
    found = ja.Permuted(np.float32(1), np.array([1, np.nan], np.float32))
    assert np.isnan(found.lower_p_values)
    # The distance of equal shapes is rounding, next to those of others.
    found = ja.Permuted(np.float32(1e-9), np.array([0, 3, 4], np.float32))
    np.testing.assert_allclose(found.lower_p_values, 0.5)


@pytest.mark.slow
def test_means_are_those_in_closed_form(rng):
    x, y = rng.standard_normal((12, 4)), rng.standard_normal((12, 3))
    moments = similarity.pair_moments(x, y)
    for measure, mean in (
        (partial(similarity.mutual_knn, k=3), similarity.mutual_knn_chance(12, k=3)),
        (similarity.mean_squared_cca, similarity.mean_squared_cca_chance(x, y)),
        (similarity.linear_cka, similarity.linear_cka_null(moments).mean),
        (partial(similarity.linear_cka, estimator="debiased"), 0),
        (similarity.rsa, 0),
    ):
        null = np.asarray(permutation_null(x, y, measure, key=KEY, draws=1500).null)
        assert abs(null.mean() - mean) < 4 * null.std() / 1500**0.5


def test_chance_of_neighbours_and_correlations_in_closed_form(rng):
    x, y = rng.standard_normal((12, 4)), rng.standard_normal((12, 3))
    y[:, 2] = y[:, 0] - y[:, 1]  # of rank 2
    assert similarity.mutual_knn_chance(12, k=3) == 3 / 11
    for arguments in ((x, y), (similarity.pair_moments(y, x),)):
        np.testing.assert_allclose(similarity.mean_squared_cca_chance(*arguments), 4 / 11)
    with pytest.warns(similarity.SimilarityWarning, match="is constant"):
        assert np.isnan(similarity.mean_squared_cca_chance(x, 0 * y + 1))
    with pytest.raises(ValueError, match="k must be below the number of rows"):
        similarity.mutual_knn_chance(10, k=10)


@pytest.mark.slow
def test_a_rotation_is_nearer_than_chance(rng, x64):
    x = rng.standard_normal((20, 3))
    turned = x @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    settings = {"key": KEY, "draws": 19}
    found = permutation_null(x, turned, similarity.procrustes_distance, **settings)
    assert found.observed.dtype == found.null.dtype == (np.float64 if x64 else np.float32)
    np.testing.assert_allclose((found.lower_p_values, found.p_values), (0.05, 1), rtol=1e-6)


@pytest.mark.slow
def test_it_maps_and_is_compiled_once(rng, compiled_programs, mesh):
    x, y = (rng.standard_normal((8, 2)).astype(np.float32) for _ in range(2))
    whole = permutation_null(x, y, similarity.rsa, key=KEY, draws=5)
    with compiled_programs() as names:
        permutation_null(y, x, similarity.rsa, key=jax.random.key(1), draws=5)
    assert names == []
    mapped = jax.vmap(partial(permutation_null, measure=similarity.rsa, key=KEY, draws=5))
    np.testing.assert_allclose(mapped(x[None], y[None]).null[0], whole.null, rtol=1e-5, atol=1e-6)
    split = [jax.device_put(part, jax.NamedSharding(mesh, jax.P("data"))) for part in (x, y)]
    there = permutation_null(*split, similarity.rsa, key=KEY, draws=5)
    np.testing.assert_allclose(there.null, whole.null, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_permuted_is_refused(null):
    x, y, _ = null
    for arguments, message in (
        ((x, y[:3]), "same rows.*4 rows in x and 3 in y"),
        ((x[:1], y[:1]), "at least 2 rows"),
        ((1.0, 2.0), "x must have rows"),
    ):
        with pytest.raises(ValueError, match=message):
            permutation_null(*arguments, inner, key=KEY)
    with pytest.raises(TypeError, match="x must be an array of numbers, found a PairMoments"):
        permutation_null(similarity.pair_moments(x, y), None, inner, key=KEY)
    with pytest.raises(ValueError, match="k must be below the number of rows"):
        permutation_null(x, y, similarity.mutual_knn, key=KEY)
    for measure, message in (
        (lambda x, y: np.vdot(np.asarray(x), np.asarray(y)), "that jax can trace"),
        (lambda x, y: "alike", "values of the measure must be an array of numbers"),
        (lambda x, y: {"alike": 1.0}, "values of the measure must be an array of numbers"),
    ):
        with pytest.raises(TypeError, match=message):
            permutation_null(x, y, measure, key=KEY)
    # Whole numbers count as others do.
    found = permutation_null(x, y, lambda x, y: jax.numpy.int32(1), key=KEY, draws=2)
    assert found.p_values == 1
