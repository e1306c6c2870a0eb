"""Transferability scores, against their definitions in numpy's float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import jaxalign as ja
from jaxalign import learning
from jaxalign.transferability import h_score, leep, log_me, nce, permuted_scores

N, D = 50, 6


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((N, D)) * np.geomspace(1, 0.1, D)


@pytest.fixture(scope="module")
def labels(x):
    return np.digitize(x[:, 0] + 0.5 * np.random.default_rng(1).standard_normal(N), [-0.5, 0.5])


def evidence(x, y):
    """The largest log density of y per row over α and β, by a general optimizer."""
    gram = x @ x.T
    n = len(y)

    def loss(logs):
        covariance = gram * np.exp(logs[0]) + np.eye(n) * np.exp(logs[1])
        _, size = np.linalg.slogdet(covariance)
        return (size + y @ np.linalg.solve(covariance, y) + n * np.log(2 * np.pi)) / 2 / n

    starts = [(0.0, 0.0), (3.0, -3.0), (-5.0, 0.0)]
    return -min(minimize(loss, start, method="Nelder-Mead").fun for start in starts)


@pytest.mark.slow
@pytest.mark.parametrize("wide", [False, True])
def test_log_me_is_the_largest_evidence(x, labels, wide):
    features = np.random.default_rng(2).standard_normal((N, 3 * N)) if wide else x
    one_hot = np.eye(3)[labels]
    expected = np.mean([evidence(features, y) for y in one_hot.T])
    assert log_me(features, labels) == pytest.approx(expected, abs=1e-4)
    assert log_me(features.astype(np.float32), labels) == pytest.approx(expected, abs=1e-4)
    assert log_me(features, one_hot) == pytest.approx(expected, abs=1e-4)
    assert log_me(ja.spectrum(features, one_hot)) == pytest.approx(expected, abs=1e-4)


def test_log_me_does_not_change_with_the_units_of_features(x, labels):
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((D, D)))[0]
    np.testing.assert_allclose(log_me(1e3 * x @ turn, labels), log_me(x, labels), atol=1e-5)


def test_log_me_of_classes_explained_exactly_is_bounded_by_rounding_alone():
    with pytest.warns(learning.LearningWarning, match="log_me is of rounding"):
        assert log_me(np.eye(4)[[0, 0, 1, 1]], [0, 0, 1, 1]) > 5


def written_out(x, labels, shrinkage):
    centred = x - x.mean(axis=0)
    covariance = centred.T @ centred / len(x)
    means = np.stack([centred[labels == c].mean(axis=0) for c in range(3)])[labels]
    between = means.T @ means / len(x)
    if shrinkage:
        d = x.shape[1]
        level = np.trace(covariance) / d
        noise = ((centred**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()
        distance = ((covariance - level * np.eye(d)) ** 2).sum()
        a = min(noise / len(x), distance) / distance
        covariance = (1 - a) * covariance + a * level * np.eye(d)
        between = (1 - a) * between
    return np.trace(np.linalg.solve(covariance, between))


@pytest.mark.slow
@pytest.mark.parametrize("shrinkage", [False, True])
def test_h_score_is_its_definition_and_its_chance_the_mean_over_permutations(x, labels, shrinkage):
    found = h_score(x, labels, shrinkage=shrinkage)
    assert found.value == pytest.approx(written_out(x, labels, shrinkage), rel=1e-4)
    shuffled = permuted_scores(lambda y: written_out(x, y, shrinkage), labels, draws=400)
    error = shuffled.std() / 20
    assert abs(float(found.chance) - shuffled.mean()) < 4 * error
    adjusted = (found.value - found.chance) / (2 - found.chance)
    assert found.adjusted == pytest.approx(float(adjusted), rel=1e-5)


def test_shrinkage_is_that_of_scikit_learn(x, labels):
    covariance = pytest.importorskip("sklearn.covariance")
    fitted = covariance.LedoitWolf().fit(x)
    centred = x - x.mean(axis=0)
    means = np.stack([centred[labels == c].mean(axis=0) for c in range(3)])[labels]
    between = (1 - fitted.shrinkage_) * means.T @ means / N
    expected = np.trace(np.linalg.solve(fitted.covariance_, between))
    assert h_score(x, labels, shrinkage=True).value == pytest.approx(expected, rel=1e-4)


def test_h_score_of_more_columns_than_rows_tells_nothing(labels):
    features = np.random.default_rng(3).standard_normal((N, 2 * N))
    found = h_score(features, labels)
    assert found.value == pytest.approx(2, rel=1e-4)
    assert np.isnan(found.adjusted)
    assert np.isfinite(h_score(features, labels, shrinkage=True).adjusted)


def test_leep_and_nce_are_their_definitions(labels):
    rng = np.random.default_rng(4)
    theta = rng.dirichlet(np.ones(5), N)
    joint = np.stack([theta[labels == c].sum(axis=0) for c in range(3)], axis=1)
    given = joint / joint.sum(axis=1, keepdims=True)
    expected = np.log((theta @ given)[np.arange(N), labels]).mean()
    assert leep(theta, labels) == pytest.approx(expected, rel=1e-5)

    source = theta.argmax(axis=1)
    counts = np.zeros((5, 3))
    np.add.at(counts, (source, labels), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = counts / N * np.log(counts / counts.sum(axis=1, keepdims=True))
    assert nce(source, labels) == pytest.approx(np.nansum(terms), rel=1e-5)
    assert nce(source, labels) == pytest.approx(float(leep(np.eye(5)[source], labels)), rel=1e-5)


def test_a_source_class_that_no_row_has():
    assert leep([[0.5, 0.5, 0.0]] * 4, [0, 1, 0, 1]) == pytest.approx(-np.log(2), rel=1e-5)
    assert nce([0, 0, 2, 2], [0, 0, 1, 1], source_classes=(0, 1, 2)) == pytest.approx(0)


@pytest.mark.slow
def test_under_jit_vmap_and_grad(x, labels):
    features = jnp.asarray(x, jnp.float32)
    known = range(3)

    def scores(features, labels):
        theta = jax.nn.softmax(features)
        shrunk = h_score(features, labels, shrinkage=True, classes=known)
        return (
            log_me(features, labels, classes=known),
            shrunk.adjusted,
            leep(theta, labels, classes=known),
        )

    expected = scores(features, labels)
    found = jax.jit(jax.vmap(scores, (0, None)))(jnp.stack([features] * 2), jnp.asarray(labels))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    direction = np.random.default_rng(5).standard_normal(x.shape)

    with jax.enable_x64(True):

        @jax.jit
        def along(step):
            return log_me(x + step * direction, jnp.asarray(labels), classes=known)

        expected = (along(1e-5) - along(-1e-5)) / 2e-5
        np.testing.assert_allclose(jax.grad(along)(0.0), expected, rtol=1e-4)


def test_classes_without_rows_have_no_part_in_h_score(x, labels):
    found = h_score(x, labels, classes=range(5))
    np.testing.assert_allclose(found, h_score(x, labels), rtol=1e-5)
    alone = h_score(x, 0 * labels, classes=range(2))
    np.testing.assert_allclose(alone.value, 0, atol=1e-6)
    assert np.isnan(alone.adjusted)


@pytest.mark.slow
def test_h_score_has_no_unit(x, labels):
    rows = x.astype(np.float32)
    np.testing.assert_allclose(
        h_score(rows * np.float32(1e30), labels), h_score(rows, labels), rtol=1e-4
    )


def test_probabilities_in_half_precision_sum_to_1_within_its_rounding(x, labels):
    theta = jax.nn.softmax(jnp.asarray(x[:, :3], jnp.float32))
    half = theta.astype(jnp.bfloat16)
    assert abs(float(half.astype(jnp.float32).sum(axis=1).max()) - 1) > 1e-3
    np.testing.assert_allclose(leep(half, labels), leep(theta, labels), atol=1e-2)
    with pytest.raises(ValueError, match="softmax of logits"):
        leep(half * jnp.bfloat16(1.02), labels)


BAD = {
    "logits": (lambda x, y: leep(x[:, :3], y), "softmax of logits"),
    "rows of probabilities": (lambda x, y: leep(np.full((3, 2), 0.5), y), "as many rows"),
    "rows of labels": (lambda x, y: nce(y[1:], y), "as many rows"),
    "no labels": (lambda x, y: log_me(x), "labels are missing"),
    "labels twice": (lambda x, y: log_me(ja.spectrum(x, x[:, :1]), y), "targets of its own"),
    "one class": (lambda x, y: h_score(x, 0 * y), "at least two classes"),
    "real numbers": (lambda x, y: h_score(x, x[:, 0]), "must be classes"),
    "no draws": (lambda x, y: permuted_scores(len, y, draws=0), "draws"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(x, labels, case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call(x, labels)
