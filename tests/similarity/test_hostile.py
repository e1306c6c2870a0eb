"""What is not an answer is NaN, infinite with a warning, or refused: never a plausible number."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from jaxalign import geometry, similarity

KEY = jax.random.key(0)
UNKNOWN = {
    "mutual_knn": partial(similarity.mutual_knn, k=3),
    "cknna": partial(similarity.cknna, k=3),
    "spearman": partial(similarity.rsa, compare="spearman"),
    "chance": similarity.mean_squared_cca_chance,
    "rbf_cka": similarity.rbf_cka,
    "sampled": partial(similarity.sampled_linear_cka, columns=20, key=KEY),
}
SLOW = ("cknna", "spearman", "rbf_cka", "sampled")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in UNKNOWN]
)
def test_nan_comes_out_of_a_program_that_nan_goes_into(rng, name):
    """Also of measures of an order, which NaN has too."""
    x = rng.standard_normal((12, 3)).astype(np.float32)
    bad = x.copy()
    bad[3, 1] = np.nan
    program = jax.jit(UNKNOWN[name])
    for pair in ((bad, x), (x, bad)):
        assert all(np.isnan(value).all() for value in jax.tree.leaves(program(*pair)))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_units_do_not_matter_to_what_has_none(rng, size):
    x, y = (rng.standard_normal((12, 3)).astype(np.float32) for _ in range(2))
    scaled = (x * np.float32(size)).astype(np.float32)
    for measure in (
        similarity.rbf_cka,
        similarity.angular_procrustes_distance,
        similarity.rsa,
        similarity.mean_cca,
    ):
        np.testing.assert_allclose(measure(scaled, y), measure(x, y), rtol=1e-5)


def with_far_row(rng, distance):
    return np.concatenate([rng.standard_normal((20, 3)), np.full((1, 3), distance)])


@pytest.mark.slow
@pytest.mark.parametrize("distance", [1e5, 1e8])
def test_far_rows_cost_near_ones_no_digits(rng, reference_cka, distance):
    x, y = with_far_row(rng, distance), rng.standard_normal((21, 3))
    distances = [pdist(part) for part in (x, y)]
    found = similarity.rsa(x, y, compare="spearman")
    np.testing.assert_allclose(found, spearmanr(*distances)[0], rtol=1e-6)
    kernels = [np.exp(-(squareform(d) ** 2) / (2 * np.median(d) ** 2)) for d in distances]
    expected = reference_cka(*kernels, "biased")
    np.testing.assert_allclose(similarity.rbf_cka(x, y), expected, rtol=1e-6)
    np.testing.assert_allclose(similarity.grid([x], [y], similarity.rbf_cka), expected, rtol=1e-6)


@pytest.mark.slow
def test_a_mean_far_from_0_costs_arrays_no_digits_and_sums_are_refused(rng):
    """Eighths, which float64 holds that far from 0."""
    x, y = np.round(8 * rng.standard_normal((30, 3))) / 8, rng.standard_normal((30, 2))
    measure = partial(similarity.linear_cka, estimator="debiased")
    for offset in (1e9, 1e15):
        np.testing.assert_allclose(measure(x + offset, y), measure(x, y), rtol=1e-6)
    with pytest.raises(ValueError, match=r"pivot of the moments is .* mean of x"):
        measure(similarity.pair_moments(x + 1e9, y))
    with pytest.raises(ValueError, match=r"mean of y .* or pass pivot= near its mean"):
        measure(similarity.pair_moments(x, y, pivot=np.full(5, [0, 0, 0, 1e6, 1e6])))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-60, 1e60])
def test_units_of_float64_do_not_matter_to_what_has_none(rng, size):
    x, y = rng.standard_normal((2, 12, 3))
    with jax.enable_x64(True):
        for measure in (UNKNOWN["cknna"], similarity.bures_similarity, null_of_moments):
            found = measure(x * size, y * size)
            np.testing.assert_allclose(found, measure(x, y), rtol=1e-9)
        far = similarity.bures_similarity(x * size**1.5, y * size**1.5)
        np.testing.assert_allclose(far, similarity.bures_similarity(x, y), rtol=1e-9)


def null_of_moments(x, y):
    return np.array(similarity.linear_cka_null(similarity.pair_moments(x, y)))


def test_float64_counts_directions_by_its_own_rounding(rng):
    x, y = rng.standard_normal((2, 12, 2)) * [1.0, 1e-7]
    found = similarity.mean_squared_cca(x, y)
    np.testing.assert_allclose(found, similarity.mean_squared_cca(x * [1, 1e7], y * [1, 1e7]), 1e-5)


@pytest.mark.filterwarnings("error")
def test_a_distance_of_0_that_is_none_says_so(rng):
    x, y = (rng.standard_normal((12, 3)).astype(np.float32) for _ in range(2))
    tiny = np.float32(1e-30)
    with pytest.warns(similarity.SimilarityWarning, match="procrustes_distance is below float32"):
        assert similarity.procrustes_distance(x * tiny, y * tiny) == 0
    with pytest.warns(similarity.SimilarityWarning, match="hsic is below float32"):
        assert similarity.hsic(x @ x.T * tiny, y @ y.T * tiny) == 0
    assert similarity.procrustes_distance(x * tiny, x * tiny) == 0


KNOWN = {
    "bandwidth": lambda x, b: similarity.rbf_cka(x, x, bandwidth=b),
    "variance": lambda x, b: similarity.svcca(x, x, variance=b),
    "limit": lambda x, b: similarity.rsa(x, x, limit=b),
    "discard": lambda x, b: geometry.two_nn(x, discard=b),
}


@pytest.mark.parametrize("name", KNOWN)
def test_settings_of_a_program_are_known_before_it_is_traced(rng, name):
    with pytest.raises(TypeError, match=f"{name} must be known .* static argument"):
        jax.jit(KNOWN[name])(rng.standard_normal((6, 2)), 0.5)


def test_sums_of_a_grid_say_what_they_need(rng):
    x = rng.standard_normal((6, 3))
    sums = similarity.GridMoments({"a": 3}, {"b": 3})
    for call, message in (
        (lambda: sums.pair("a", "b"), "call add first"),
        (lambda: sums.pair("z", "b"), r"among \['a'\], found 'z'"),
        (lambda: sums.add([x], [x]), "xs must be a Mapping"),
        (lambda: sums.add({"a": x * np.nan}, {"b": x}), r"xs\['a'\] must be finite"),
        (lambda: sums.add({"a": x + 1j}, {"b": x}), r"xs\['a'\] must be real"),
        (lambda: sums.add({"a": x[:0]}, {"b": x[:0]}), "layers must be"),
        (lambda: similarity.GridMoments({}, {}), "first_widths must hold"),
        (lambda: similarity.GridMoments({"a": 0}, {"b": 1}), "must be at least 1"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()


def test_a_distance_beyond_its_dtype_says_so(rng):
    x = rng.standard_normal((12, 3)).astype(np.float32)
    with pytest.warns(similarity.SimilarityWarning, match="beyond float32: divide x and y"):
        assert np.isinf(similarity.procrustes_distance(x * np.float32(1e30), x))


def test_a_batch_of_pair_moments_is_refused(rng):
    x = rng.standard_normal((2, 6, 3)).astype(np.float32)
    batch = jax.tree.map(
        lambda *parts: jnp.stack(parts), *(similarity.pair_moments(part, part) for part in x)
    )
    with pytest.raises(ValueError, match=r"one set of sums, found a batch of shape \(2,\)"):
        similarity.linear_cka(batch)
