"""Procrustes distances and canonical correlations against their definitions and against peers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import procrustes

from jaxalign import similarity

DISTANCES = [similarity.procrustes_distance, similarity.angular_procrustes_distance]


@pytest.fixture
def wide(rng):
    """More columns than rows."""
    x = rng.standard_normal((12, 20))
    return x, x[:, :15] + rng.standard_normal((12, 15))


def directional(measure, x, y, direction, step=1e-6):
    """(by the derivative, by differences) of a measure of float64 arrays along a direction."""
    slope = (jax.grad(measure)(x, y) * direction).sum()
    ends = measure(x + step * direction, y) - measure(x - step * direction, y)
    return slope, ends / (2 * step)


@pytest.mark.slow
def test_distances_are_those_of_the_best_rotation(pair, wide):
    with jax.enable_x64(True):
        for x, y in ([part.astype(float) for part in pair], wide):
            x, y = x - x.mean(axis=0), y - y.mean(axis=0)
            norms = (x**2).sum(), (y**2).sum()
            nuclear = np.linalg.svd(x.T @ y)[1].sum()
            cosine = nuclear / np.sqrt(norms[0] * norms[1])
            for of in ((x + 3, y), (similarity.pair_moments(x + 3, y),)):
                distance = similarity.procrustes_distance(*of)
                np.testing.assert_allclose(distance, sum(norms) - 2 * nuclear, rtol=1e-9)
                np.testing.assert_allclose(similarity.bures_similarity(*of), cosine, rtol=1e-9)
                angle = similarity.angular_procrustes_distance(*of)
                np.testing.assert_allclose(angle, np.arccos(cosine), rtol=1e-9)


@pytest.mark.slow
def test_scipy_agrees(pair):
    x, y = (part.astype(float) for part in pair)
    disparity = procrustes(x, np.pad(y, ((0, 0), (0, 2))))[2]
    np.testing.assert_allclose(1 - similarity.bures_similarity(x, y) ** 2, disparity, rtol=1e-5)


@pytest.mark.slow
def test_netrep_agrees(pair):
    metrics = pytest.importorskip("netrep.metrics")
    x, y = (part.astype(float) for part in pair)
    x, y = x - x.mean(axis=0), np.pad(y - y.mean(axis=0), ((0, 0), (0, 2)))
    metric = metrics.LinearMetric(alpha=1.0, score_method="angular")
    angle = metric.fit_score(x, y)
    np.testing.assert_allclose(similarity.angular_procrustes_distance(x, y), angle, rtol=1e-5)


@pytest.mark.slow
def test_the_conventions_of_netrep_written_out(pair):
    """LinearMetric: the best rotation of centred rows, zero-padded; then the angle, or the distance
    that is not squared. With alpha = 0 both sides are whitened first, which gives correlations.
    """
    x, y = (part.astype(float) - part.mean(axis=0, dtype=float) for part in pair)

    def scores(x, y):
        u, _, v = np.linalg.svd(x.T @ y)
        turned, other = x @ u, y @ v.T
        cosine = (turned * other).sum() / np.linalg.norm(turned) / np.linalg.norm(other)
        return np.arccos(cosine), np.linalg.norm(turned - other)

    angle, distance = scores(x, np.pad(y, ((0, 0), (0, 2))))
    np.testing.assert_allclose(similarity.angular_procrustes_distance(x, y), angle, rtol=1e-6)
    np.testing.assert_allclose(similarity.procrustes_distance(x, y), distance**2, rtol=1e-6)
    x = x[:, :4]
    white = [part @ np.linalg.inv(np.linalg.cholesky(part.T @ part)).T for part in (x, y)]
    angle = scores(*white)[0]
    np.testing.assert_allclose(np.arccos(similarity.mean_cca(x, y)), angle, rtol=1e-6)


@pytest.mark.slow
def test_rotations_and_shifts_are_no_distance(pair, rng):
    x = pair[0]
    turned = (x @ np.linalg.qr(rng.standard_normal((6, 6)))[0] + 5).astype(np.float32)
    assert similarity.procrustes_distance(x, turned) < 1e-5
    assert similarity.angular_procrustes_distance(x, 2 * turned) < 1e-5
    assert similarity.procrustes_distance(x, 2 * turned) > 1
    assert similarity.angular_procrustes_distance(x, x) >= 0


@pytest.mark.slow
@pytest.mark.parametrize("measure", DISTANCES)
def test_distances_have_derivatives(pair, wide, rng, measure):
    with jax.enable_x64(True):
        for x, y in ([part.astype(float) for part in pair], wide):
            found, expected = directional(measure, x, y, rng.standard_normal(x.shape))
            np.testing.assert_allclose(found, expected, rtol=1e-4)
        assert np.isfinite(jax.grad(measure)(x, x)).all()


@pytest.mark.slow
def test_correlations_are_the_cosines_between_the_spaces(pair, wide):
    with jax.enable_x64(True):
        x, y = (part.astype(float) for part in pair)
        bases = [np.linalg.qr(part - part.mean(axis=0))[0] for part in (x, y)]
        expected = np.linalg.svd(bases[0].T @ bases[1])[1]
        np.testing.assert_allclose(similarity.cca(x, y), expected, rtol=1e-9)
        of_sums = similarity.cca(similarity.pair_moments(x, y))
        np.testing.assert_allclose(of_sums, expected, rtol=1e-9)
        np.testing.assert_allclose(similarity.mean_cca(x, y), expected.mean(), rtol=1e-9)
        squared = similarity.mean_squared_cca(x, y)
        np.testing.assert_allclose(squared, (expected**2).mean(), rtol=1e-9)
        # Of fewer rows than columns every data set has correlations of 1.
        np.testing.assert_allclose(similarity.cca(*wide), np.ones(11), rtol=1e-9)


@pytest.mark.slow
def test_correlations_count_ranks(pair):
    """A repeated column adds a 0 and changes no mean; invertible maps change nothing."""
    x, y = pair
    repeated = np.hstack([y, y[:, :1]])
    found = similarity.cca(x, repeated)
    np.testing.assert_allclose(found[:4], similarity.cca(x, y), rtol=1e-4)
    assert found[4] == 0
    mapped = y @ np.triu(np.ones((4, 4), np.float32)) + 7
    for measure in (similarity.mean_cca, similarity.mean_squared_cca):
        np.testing.assert_allclose(measure(x, repeated), measure(x, y), rtol=1e-4)
        np.testing.assert_allclose(measure(x, mapped), measure(x, y), rtol=1e-4)


@pytest.mark.slow
def test_scikit_learn_agrees(pair):
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    x, y = (part.astype(float) + np.linspace(0, 3, 40)[:, None] ** 2 for part in pair)
    y = y + np.arange(4) * np.cos(7 * y)
    fitted = decomposition.CCA(4, tol=1e-12, max_iter=10_000).fit(x, y)
    scores = fitted.transform(x, y)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(s.T for s in scores), strict=True)]
    found = similarity.cca(x, y)
    np.testing.assert_allclose(found, np.sort(expected)[::-1], rtol=1e-4)


@pytest.mark.slow
def test_svcca_cuts_on_the_variance(rng):
    x = rng.standard_normal((50, 4)) * [10, 5, 1, 0.1]
    y = rng.standard_normal((50, 3)) * [10, 5, 1]
    bases = []
    for part in (x, y):
        u, sigma, _ = np.linalg.svd(part - part.mean(axis=0), full_matrices=False)
        share = np.cumsum(sigma**2) / (sigma**2).sum()
        bases.append(u[:, : np.searchsorted(share, 0.95) + 1])
    assert [b.shape[1] for b in bases] == [2, 2]
    expected = np.linalg.svd(bases[0].T @ bases[1])[1].mean()
    moments = similarity.pair_moments(x, y)
    np.testing.assert_allclose(similarity.svcca(x, y, variance=0.95), expected, rtol=1e-5)
    np.testing.assert_allclose(similarity.svcca(moments, variance=0.95), expected, rtol=1e-5)
    everything = similarity.svcca(x, y, variance=1.0)
    np.testing.assert_allclose(everything, similarity.mean_cca(x, y), rtol=1e-6)


@pytest.mark.slow
def test_pwcca_weighs_by_the_projection_of_x(rng):
    x = rng.standard_normal((50, 4)) * [10, 5, 1, 0.1]
    y = x[:, 1:] + 3 * rng.standard_normal((50, 3))
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    bases = [np.linalg.qr(part)[0] for part in (xc, yc)]
    left, rho, _ = np.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    weights = np.abs((bases[0] @ left).T @ xc).sum(axis=1)
    expected = (weights * rho).sum() / weights.sum()
    np.testing.assert_allclose(similarity.pwcca(x, y), expected, rtol=1e-5)
    of_sums = similarity.pwcca(similarity.pair_moments(x, y))
    np.testing.assert_allclose(of_sums, expected, rtol=1e-5)
    assert abs(similarity.pwcca(y, x) - expected) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "measure",
    [
        partial(similarity.svcca, variance=0.8),
        pytest.param(similarity.mean_squared_cca, marks=pytest.mark.slow),
        pytest.param(lambda x, y: similarity.cca(x, y)[2], id="third", marks=pytest.mark.slow),
    ],
)
def test_correlations_have_derivatives(rng, measure):
    x = rng.standard_normal((30, 5))
    y = x[:, :4] + rng.standard_normal((30, 4))
    with jax.enable_x64(True):
        found, expected = directional(measure, x, y, rng.standard_normal(x.shape))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_chance_of_mean_squared_cca_is_exact(rng):
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 5))
    bases = [np.linalg.qr(part - part.mean(axis=0))[0] for part in (x, y)]
    values = [
        (np.linalg.norm(bases[0].T @ bases[1][rng.permutation(20)]) ** 2) / 3 for _ in range(4000)
    ]
    assert abs(np.mean(values) - 5 / 19) < 4 * np.std(values) / 4000**0.5


@pytest.mark.slow
def test_what_is_refused_or_nan(pair):
    x, y = map(jnp.asarray, pair)
    with pytest.raises(ValueError, match="variance must be above 0 and at most 1, found 99"):
        similarity.svcca(x, y, variance=99)
    with pytest.raises(TypeError, match="pwcca has no derivative"):
        jax.grad(similarity.pwcca)(x, y)
    moments = similarity.pair_moments(x, jnp.ones_like(y))
    for measure in (similarity.bures_similarity, similarity.mean_cca, similarity.pwcca):
        with pytest.warns(similarity.SimilarityWarning, match="is constant"):
            assert np.isnan(measure(moments))
