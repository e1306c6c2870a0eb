"""HSIC and CKA against their definitions, and what leaves them unchanged."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import similarity

ESTIMATORS = ["biased", "debiased", "lange"]
ONE_IS_FAST = [
    pytest.param(name, marks=() if name == "debiased" else pytest.mark.slow) for name in ESTIMATORS
]


@pytest.mark.parametrize("estimator", ONE_IS_FAST)
def test_all_forms_are_the_definition(pair, reference_cka, hsic_by_definition, estimator):
    """Of features, of few rows, of sums and of kernels, to 1e-9."""
    x, y = (part.astype(float) for part in pair)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    expected = reference_cka(k, l, estimator)
    linear = partial(similarity.linear_cka, estimator=estimator)
    with jax.enable_x64(True):
        found = {
            "tall": linear(x, y),
            "wide": linear(np.hstack([x] * 10) / 10**0.5, np.hstack([y] * 10) / 10**0.5),
            "sums": linear(similarity.pair_moments(x, y)),
            "traced sums": linear(jax.jit(similarity.pair_moments)(x, y)),
            "kernels": similarity.cka(k, l, estimator=estimator),
        }
        hsic = similarity.hsic(k, l, estimator=estimator)
    for value in found.values():
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, expected, rtol=1e-9)
    np.testing.assert_allclose(hsic, hsic_by_definition(k, l, estimator), rtol=1e-9)
    np.testing.assert_allclose(linear(*pair), expected, rtol=1e-6)  # float32 outside


@pytest.mark.slow
def test_rotations_shifts_and_one_factor_change_nothing(pair, rng):
    x, y = pair
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0].astype(np.float32)
    order = rng.permutation(40)
    expected = similarity.linear_cka(x, y, estimator="debiased")
    for moved in (x @ rotation, 3 * x, x + np.arange(6, dtype=np.float32)):
        found = similarity.linear_cka(moved, y, estimator="debiased")
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    together = similarity.linear_cka(x[order], y[order], estimator="debiased")
    np.testing.assert_allclose(together, expected, rtol=1e-5)
    # What is not such a map does change it.
    stretched = similarity.linear_cka(x * np.float32([1, 1, 1, 1, 1, 9]), y, estimator="debiased")
    assert abs(stretched - expected) > 0.01
    assert abs(similarity.linear_cka(x[order], y, estimator="debiased") - expected) > 0.02


@pytest.mark.slow
def test_cka_of_a_representation_with_itself_is_one(pair):
    for estimator in ESTIMATORS:
        found = similarity.linear_cka(pair[0], -2 * pair[0], estimator=estimator)
        np.testing.assert_allclose(found, 1, rtol=1e-6)


def test_a_mean_of_1e4_costs_no_digits(pair):
    """Rows in steps of 1/8, which float32 holds beside 1e4."""
    x, y = (np.round(part * 8) / 8 for part in pair)
    far = (x + np.float32(1e4), y - np.float32(1e4))
    for estimator in ("biased", "debiased"):
        near = similarity.linear_cka(x, y, estimator=estimator)
        of_sums = similarity.linear_cka(similarity.pair_moments(*far), estimator=estimator)
        np.testing.assert_allclose(
            similarity.linear_cka(*far, estimator=estimator), near, rtol=1e-6
        )
        np.testing.assert_allclose(of_sums, near, rtol=1e-6)


def test_the_mean_of_debiased_hsic_over_all_permutations_is_0(rng, hsic_by_definition):
    from itertools import permutations

    x, y = rng.standard_normal((5, 2)), rng.standard_normal((5, 3))
    k, l = x @ x.T, y @ y.T  # noqa: E741
    values = [
        hsic_by_definition(k, l[np.ix_(order, order)], "debiased")
        for order in map(list, permutations(range(5)))
    ]
    assert abs(np.mean(values)) < 1e-12 * np.max(np.abs(values))


@pytest.mark.parametrize("columns", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_the_derivative_is_that_of_differences(pair, rng, columns):
    x, y = pair
    x, direction = np.tile(x, columns), rng.standard_normal((40, 6 * columns))

    def loss(x, y):
        return similarity.linear_cka(x, y, estimator="debiased")

    found = jax.jit(jax.grad(loss, (0, 1)))(x, y)
    assert [g.dtype for g in found] == [jnp.float32, jnp.float32]
    with jax.enable_x64(True):
        ends = [loss(x + step * direction, y.astype(float)) for step in (1e-4, -1e-4)]
        expected = (ends[0] - ends[1]) / 2e-4
    np.testing.assert_allclose((found[0] * direction).sum(), expected, rtol=1e-4)


@pytest.mark.slow
def test_through_vmap_and_its_derivative(pair):
    x, y = map(jnp.asarray, pair)
    stacked = jnp.stack([x, x[::-1]]), jnp.stack([y, y])
    values = jax.vmap(similarity.linear_cka)(*stacked)
    slopes = jax.vmap(jax.grad(similarity.linear_cka))(*stacked)
    for i, (one, other) in enumerate(zip(*stacked, strict=True)):
        np.testing.assert_allclose(values[i], similarity.linear_cka(one, other), rtol=1e-6)
        expected = jax.grad(similarity.linear_cka)(one, other)
        np.testing.assert_allclose(slopes[i], expected, rtol=1e-4, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_a_constant_representation_is_nan_and_says_why(pair, value):
    constant = np.full((40, 2), value, np.float32)
    for measure in (
        similarity.linear_cka,
        lambda x, y: similarity.linear_cka(similarity.pair_moments(x, y)),
        lambda x, y: similarity.cka(x @ x.T, y @ y.T),
    ):
        with pytest.warns(similarity.SimilarityWarning, match="is constant over all rows"):
            assert np.isnan(measure(pair[0], constant))


@pytest.mark.slow
def test_a_debiased_self_term_of_0_is_nan_and_says_why(pair):
    with pytest.warns(similarity.SimilarityWarning, match="debiased HSIC is not above 0"):
        found = similarity.linear_cka(np.eye(40, dtype=np.float32), pair[1], estimator="debiased")
    assert np.isnan(found)


@pytest.mark.slow
def test_estimates_are_not_clipped(rng):
    found = [
        similarity.linear_cka(
            *np.split(rng.standard_normal((12, 8)).astype(np.float32), 2, axis=1),
            estimator="debiased",
        )
        for _ in range(8)
    ]
    assert min(found) < 0


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("found 40 rows in x and 39 in y", lambda x, y: similarity.linear_cka(x, y[:-1])),
        (
            "at least 4 rows for this measure, found 3",
            lambda x, y: similarity.linear_cka(x[:3], y[:3], estimator="debiased"),
        ),
        (
            "at least 4 rows for this measure, found 3",
            lambda x, y: similarity.linear_cka(
                similarity.pair_moments(x[:3], y[:3]), estimator="lange"
            ),
        ),
        ("at least 2 rows", lambda x, y: similarity.linear_cka(x[:1], y[:1])),
        ("y must be finite", lambda x, y: similarity.linear_cka(x, y * np.nan)),
        ("y must be a matrix", lambda x, y: similarity.linear_cka(x, y[:, 0])),
        ("y is missing", lambda x, y: similarity.linear_cka(x)),
        (
            "pass them alone",
            lambda x, y: similarity.linear_cka(similarity.pair_moments(x, y), y),
        ),
        ("'biased', 'debiased' or", lambda x, y: similarity.linear_cka(x, y, estimator="song")),
        ("x_kernel must be a kernel", lambda x, y: similarity.cka(x, y)),
        ("y_kernel must be symmetric", lambda x, y: similarity.cka(x @ x.T, x @ x[::-1].T)),
        ("at least 4 rows", lambda x, y: similarity.hsic(np.eye(3), np.eye(3), estimator="lange")),
        ("found 40 rows in x and 5", lambda x, y: similarity.hsic(x @ x.T, np.eye(5))),
    ],
)
def test_what_is_refused(pair, message, call):
    with pytest.raises(ValueError, match=message):
        call(*pair)
