import numpy as np
import pytest

from jaxalign.studies.speed.descent import compared, descend, spectrum64

SIGMA = [4.0, 3.0, 1.0, 0.5, 0.1]


@pytest.fixture(params=["tall", "wide", "rank-deficient"])
def case(request, rng, matrix_of):
    n, d = (9, 30) if request.param == "wide" else (30, 9)
    sigma = SIGMA if request.param == "rank-deficient" else [*SIGMA, *[0.05] * 4]
    return matrix_of(n, d, sigma), rng.choice([-1.0, 1.0], (n, 3))


def test_descent_is_that_of_the_weights(case):
    features, targets = case
    run, w = descend(features, targets, 1 / 16, 40), np.zeros((features.shape[1], 3))
    for t, loss in enumerate(run.losses):
        w -= features.T @ (features @ w - targets) / 16 * (t > 0)
        np.testing.assert_allclose(loss, ((features @ w - targets) ** 2).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(run.weights, w, atol=1e-12)


def test_the_spectrum_foretells_it_and_the_bound_holds(case):
    features, targets = case
    found = compared(features, targets, spectrum64(features, targets), 1 / 16, 200, 30)
    assert (found.error < 1e-12).all()
    assert (found.violations == 0).all()
    assert (found.left <= found.bound + 1e-12).all()
    assert (np.diff(found.bound, axis=0) <= 0).all()
    np.testing.assert_allclose(found.left[0], 1)


def test_a_bound_that_does_not_hold_is_counted(case):
    features, targets = case
    found = compared(
        features, targets, spectrum64(features, targets), 1.9 / 16, 20, 200
    )  # for η > 1/σ_1² it is not claimed
    assert found.violations.sum() > 0


def test_a_bound_of_one_jump_is_the_descent_itself(rng, matrix_of):
    """Where all of y lies along directions of one σ, nothing is lost by knowing A(τ) alone."""
    features = matrix_of(20, 3, [2.0, 1.0 + 1e-12, 1.0 + 1e-12])
    left, _, _ = np.linalg.svd(features, full_matrices=False)
    targets = left[:, 1:] @ rng.standard_normal((2, 1))
    found = compared(features, targets, spectrum64(features, targets), 0.25, 50, 2)
    np.testing.assert_allclose(found.bound, found.left, atol=1e-9)
