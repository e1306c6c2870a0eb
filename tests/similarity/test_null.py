"""What chance gives: exact moments over all permutations, and tails that are honest."""

from itertools import permutations

import jax
import numpy as np
import pytest

from jaxalign import similarity
from jaxalign.similarity import linear_cka_null, pair_moments


def centred_kernel(x):
    about = x - x.mean(axis=0)
    return about @ about.T


def estimates(x, y, orders, estimator):
    """linear_cka of y with its rows in each of these orders, by numpy."""
    n = len(x)
    k, l = centred_kernel(x), centred_kernel(y)  # noqa: E741
    a, b = np.diag(k), np.diag(l)
    inner = np.array([(k * l[np.ix_(order, order)]).sum() for order in orders])
    diagonal = np.array([a @ b[order] for order in orders])

    def hsic(inner, diagonal, traces):
        if estimator == "biased":
            return inner
        without = inner - diagonal
        if estimator == "lange":
            return without
        return without + traces / ((n - 1) * (n - 2)) - 2 * diagonal / (n - 2)

    own = hsic((k * k).sum(), a @ a, a.sum() ** 2) * hsic((l * l).sum(), b @ b, b.sum() ** 2)
    return hsic(inner, diagonal, a.sum() * b.sum()) / np.sqrt(own)


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        "lange",
        pytest.param("biased", marks=pytest.mark.slow),
        pytest.param("debiased", marks=pytest.mark.slow),
    ],
)
def test_moments_are_exact_over_all_permutations(rng, estimator):
    x, y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2)) ** 2
    orders = [list(order) for order in permutations(range(6))]
    values = estimates(x, y, orders, estimator)
    with jax.enable_x64(True):
        null = linear_cka_null(pair_moments(x, y), estimator=estimator)
        observed = similarity.linear_cka(x, y, estimator=estimator)
    np.testing.assert_allclose(values[0], observed, rtol=1e-9)
    np.testing.assert_allclose(null.mean, values.mean(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(null.standard_deviation, values.std(), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "width", "decay"), [(60, 20, 1.0), (50, 60, 0.5)])
def test_tails_are_honest_down_to_one_per_cent(rng, n, width, decay):
    scale = np.arange(1, width + 1) ** -decay
    x, y = (rng.standard_normal((n, width)) * scale for _ in range(2))
    orders = [rng.permutation(n) for _ in range(3000)]
    for estimator in ("biased", "debiased"):
        ascending = np.argsort(estimates(x, y, orders, estimator))
        # The order of rows whose estimate is exceeded by this share of permutations.
        for share, wrong in ((0.05, 1.4), (0.01, 2.0)):
            order = orders[ascending[-int(share * 3000)]]
            null = linear_cka_null(pair_moments(x, y[order]), estimator=estimator)
            assert share / wrong < null.p_value < share * wrong


@pytest.mark.slow
def test_likeness_has_the_least_p_value_and_constants_have_none(pair):
    x, y = pair
    assert linear_cka_null(pair_moments(x, x)).p_value == np.float32(1e-3)
    with pytest.warns(similarity.SimilarityWarning, match="is constant"):
        assert np.isnan(linear_cka_null(pair_moments(x, 0 * y)).p_value)
    with pytest.raises(ValueError, match="at least 4 rows"):
        linear_cka_null(pair_moments(x[:3], y[:3]))
    with pytest.raises(TypeError, match=r"x must be a PairMoments.*pass pair_moments\(x, y\)"):
        linear_cka_null(x)
