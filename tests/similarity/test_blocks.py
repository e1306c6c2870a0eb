"""Measures of all pairs of rows, in blocks, against whole matrices and against scipy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from jaxalign import similarity
from jaxalign.similarity import _blocks, _median


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, the last one short."""
    monkeypatch.setattr(_blocks, "AT_ONCE", 40 * 16)


def neighbours(x, k):
    products = x.astype(float) @ x.astype(float).T
    np.fill_diagonal(products, -np.inf)
    return np.argsort(-products, axis=1, kind="stable")[:, :k]


@pytest.fixture(params=["held", "digits", "thresholds"])
def way(request, monkeypatch):
    """How the median is found: of distances in memory, else on a CPU, else on accelerators."""
    if request.param != "held":
        monkeypatch.setattr(_median, "_IN_CACHE", 0)
    if request.param == "thresholds":
        monkeypatch.setattr(_median, "_by_digits", _median._by_thresholds)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 20, 21])
@pytest.mark.parametrize("spread", [1.0, 1e-9])
def test_the_median_is_exact(rng, n, spread, way):
    """Also where one row is far from all others, and whether or not all distances fit in memory."""
    x = rng.standard_normal((n, 3)) * spread
    x[0] += 1
    with jax.enable_x64(True):
        found = jax.jit(_median.median_distance)(jnp.asarray(x))
    np.testing.assert_allclose(found, np.median(pdist(x)), rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("equal", [12, 22, 30])
def test_the_median_of_equal_rows(rng, equal, way):
    """Of 435 distances fewer than half are 0, more, or all."""
    x = rng.integers(0, 3, (30, 2)).astype(np.float32)
    x[:equal] = x[0]
    x[equal:] += np.arange(30 - equal)[:, None] // 4
    found = jax.jit(_median.median_distance)(x - x.mean(axis=0))
    np.testing.assert_allclose(found, np.median(pdist(x)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["debiased", pytest.param("biased", marks=pytest.mark.slow)])
def test_rbf_cka_is_cka_of_whole_kernels(pair, reference_cka, estimator):
    x, y = (part.astype(float) for part in pair)
    kernels = []
    for part in (x, y):
        distances = pdist(part)
        kernels.append(np.exp(-(squareform(distances / np.median(distances)) ** 2) / (2 * 0.7**2)))
    with jax.enable_x64(True):
        found = similarity.rbf_cka(x + 1e3, y, bandwidth=0.7, estimator=estimator)
    np.testing.assert_allclose(found, reference_cka(*kernels, estimator), rtol=1e-9)


@pytest.mark.slow
def test_a_wide_bandwidth_is_linear_cka(pair):
    """And an absolute one is taken as it is."""
    x, y = pair
    wide = similarity.rbf_cka(x, y, bandwidth=1e4, relative=False)
    np.testing.assert_allclose(wide, similarity.linear_cka(x, y), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "measure",
    [
        similarity.rbf_cka,
        similarity.rsa,
        partial(similarity.rsa, metric="correlation", compare="cosine"),
    ],
)
def test_derivatives_are_those_of_differences(pair, rng, measure):
    with jax.enable_x64(True):
        x, y = (jnp.asarray(part.astype(float)) for part in pair)
        direction = rng.standard_normal(x.shape)
        found = (jax.grad(measure)(x, y) * direction).sum()
        ends = [measure(x + step * direction, y) for step in (1e-6, -1e-6)]
        expected = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_mutual_knn_counts_shared_neighbours(pair):
    x, y = pair
    sides = neighbours(x, 5), neighbours(y, 5)
    shared = [len(set(a) & set(b)) / 5 for a, b in zip(*sides, strict=True)]
    found = similarity.mutual_knn(x, y, k=5)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.mean(shared), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (7, 6), (16, 16), (30, 11)])
@pytest.mark.parametrize("few", [0, 400])
def test_places_of_the_largest_are_those_of_a_stable_sort(rng, n, k, few, monkeypatch):
    monkeypatch.setattr(_blocks, "_FEW", few)
    values = rng.integers(0, 5, (20, n)).astype(float)
    values[rng.random(values.shape) < 0.1] = -np.inf
    found = jax.vmap(partial(_blocks.largest_places, k=k))(values)
    allowed = np.sort(-values, axis=1)[:, :k] < np.inf
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(np.where(allowed, found, -1), np.where(allowed, expected, -1))


def test_equal_rows_are_nearer_in_their_order():
    x = np.ones((6, 2), np.float32)
    assert similarity.mutual_knn(x, 3 * x, k=5) == 1


@pytest.mark.slow
def test_cknna_is_cka_of_masked_kernels(pair):
    x, y = (part.astype(float) for part in pair)
    n = len(x)

    def hsic(k, l):  # noqa: E741
        of_sums = k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 * (k @ l).sum() / (n - 2)
        return ((k * l.T).sum() + of_sums) / (n * (n - 3))

    masks = [np.isin(np.arange(n)[None, :], []).repeat(n, axis=0) for _ in range(2)]
    for mask, part in zip(masks, (x, y), strict=True):
        np.put_along_axis(mask, neighbours(part, 6), True, axis=1)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    both = hsic(masks[0] * masks[1] * k, masks[0] * masks[1] * l)
    own = hsic(masks[0] * k, masks[0] * k) * hsic(masks[1] * l, masks[1] * l)
    found = similarity.cknna(*pair, k=6)
    np.testing.assert_allclose(found, both / np.sqrt(own), rtol=1e-5)


@pytest.mark.slow
def test_cknna_of_all_neighbours_is_debiased_cka(pair):
    x, y = pair
    expected = similarity.cka(x @ x.T, y @ y.T, estimator="debiased")
    np.testing.assert_allclose(similarity.cknna(x, y, k=39), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("metric", "compare"),
    [
        ("correlation", "spearman"),
        *(
            pytest.param(metric, compare, marks=pytest.mark.slow)
            for metric, compare in (
                ("sqeuclidean", "pearson"),
                ("sqeuclidean", "cosine"),
                ("sqeuclidean", "spearman"),
                ("correlation", "pearson"),
                ("correlation", "cosine"),
            )
        ),
    ],
)
def test_rsa_is_that_of_scipys_distances(pair, metric, compare):
    x, y = (part.astype(float) + 3 for part in pair)
    x[3] = x[4]  # equal distances
    a, b = pdist(x, metric), pdist(y, metric)
    expected = {
        "pearson": np.corrcoef(a, b)[0, 1],
        "cosine": a @ b / np.sqrt((a @ a) * (b @ b)),
        "spearman": spearmanr(a, b)[0],
    }[compare]
    with jax.enable_x64(True):
        found = similarity.rsa(x, y, metric=metric, compare=compare)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.slow
def test_rsa_of_sums_is_that_of_rows(pair):
    moments = similarity.pair_moments(*pair)
    np.testing.assert_allclose(similarity.rsa(moments), similarity.rsa(*pair), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["debiased", "biased", "lange"])
def test_a_grid_is_the_measure_of_each_pair(pair, monkeypatch, estimator):
    from jaxalign.similarity import _grid

    monkeypatch.setattr(_grid, "_AT_ONCE", 40 * 3 * 16)
    x, y = pair
    measure = partial(similarity.linear_cka, estimator=estimator)
    found = similarity.grid({"a": x, "b": y + 1e3}, [y], measure)
    assert found.dtype == jnp.float32
    expected = [[measure(x, y)], [1]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    one_by_one = similarity.grid([x, y], [y], lambda x, y: measure(x, y))
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("k must be below the number of rows", lambda x, y: similarity.mutual_knn(x, y, k=40)),
        ("k must be below the number of rows", lambda x, y: similarity.cknna(x, y, k=41)),
        ("k must be at least 1", lambda x, y: similarity.mutual_knn(x, y, k=0)),
        ("bandwidth must be positive", lambda x, y: similarity.rbf_cka(x, y, bandwidth=0.0)),
        ("'sqeuclidean' or 'correlation'", lambda x, y: similarity.rsa(x, y, metric="l1")),
        ("compare must be", lambda x, y: similarity.rsa(x, y, compare="kendall")),
        (
            r"takes 6.2e\+04 bytes of the 1.0e\+04 allowed",
            lambda x, y: similarity.rsa(x, y, compare="spearman", limit=1e4),
        ),
        (
            "x must vary within each row",
            lambda x, y: similarity.rsa(0 * x, y, metric="correlation"),
        ),
        ("at least 3 rows", lambda x, y: similarity.rsa(x[:2], y[:2])),
        (
            "pair moments hold squared distances",
            lambda x, y: similarity.rsa(similarity.pair_moments(x, y), compare="spearman"),
        ),
        ("xs must hold at least one", lambda x, y: similarity.grid([], [x])),
        (r"40 rows in xs\[0\] and 39 in ys\[0\]", lambda x, y: similarity.grid([x], [y[1:]])),
    ],
)
def test_what_is_refused(pair, message, call):
    with pytest.raises(ValueError, match=message):
        call(*pair)


@pytest.mark.parametrize(
    "measure",
    [
        similarity.mutual_knn,
        pytest.param(similarity.cknna, marks=pytest.mark.slow),
        pytest.param(partial(similarity.rsa, compare="spearman"), marks=pytest.mark.slow),
    ],
)
def test_what_has_no_derivative_says_so(pair, measure):
    with pytest.raises(TypeError, match="have no derivative; differentiate"):
        jax.grad(measure)(*map(jnp.asarray, pair))


@pytest.mark.slow
def test_what_is_nan_says_why(pair):
    x, y = pair
    for measure in (similarity.rbf_cka, similarity.rsa, similarity.cknna):
        with pytest.warns(similarity.SimilarityWarning, match="is NaN"):
            assert np.isnan(measure(x, 0 * y))
