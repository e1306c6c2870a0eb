"""Counts of directions, against their definitions in numpy's float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign import geometry

N, D = 40, 7


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, D)) * np.geomspace(1, 0.05, D) + 2.0


def entropy_rank(weights, eps=0.0):
    p = weights / weights.sum() + eps
    return np.exp(-(p * np.log(p)).sum())


REFERENCES = {
    "rankme": (False, lambda s: entropy_rank(s, 1e-7)),
    "effective_rank": (True, lambda s: entropy_rank(s**2)),
    "spectral_entropy": (True, lambda s: np.log(entropy_rank(s**2))),
    "participation_ratio": (True, lambda s: (s**2).sum() ** 2 / (s**4).sum()),
    "stable_rank": (False, lambda s: (s**2).sum() / s[0] ** 2),
}


@pytest.mark.parametrize("centered", [None, False, True])
@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_its_definition_of_arrays_moments_and_spectra(x, name, centered):
    function = getattr(geometry, name)
    default, definition = REFERENCES[name]
    about_mean = default if centered is None else centered
    sigma = np.linalg.svd(x - x.mean(axis=0) if about_mean else x, compute_uv=False)
    expected = definition(sigma)
    ones = np.ones((N, 1))
    parts = ja.moments(x[:15], ones[:15]) + ja.moments(x[15:], ones[15:])
    found = [
        function(x, centered=centered),
        function(x.astype(np.float32), centered=centered),
        function(parts, centered=centered),
        function(ja.spectrum(x, x[:, :1], centered=about_mean)),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", REFERENCES)
def test_turns_permutations_and_scale_change_nothing_a_shift_does_where_not_centred(x, name):
    function = getattr(geometry, name)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0]
    expected = function(x)
    for same in (x @ turn, x[rng.permutation(N)], 1e-3 * x):
        np.testing.assert_allclose(function(same), expected, rtol=1e-5)
    is_centred = REFERENCES[name][0]
    assert np.isclose(function(x + 10.0), expected, rtol=1e-4) == is_centred


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_under_jit_vmap_and_grad(x, name):
    function = getattr(geometry, name)
    features = jnp.asarray(x, jnp.float32)
    both = jax.jit(jax.vmap(function))(jnp.stack([features, 2 * features]))
    np.testing.assert_allclose(both, function(x), rtol=1e-5)
    # No measure here changes with scale, so its derivative along Φ is 0.
    along = jnp.sum(jax.grad(function)(features) * features)
    np.testing.assert_allclose(along, 0, atol=1e-4)


def test_duplicates_constant_columns_and_few_rows():
    x = np.repeat(np.eye(3), 2, axis=1)  # rank 3 in 6 columns
    assert geometry.rankme(x) == pytest.approx(3, rel=1e-4)
    assert geometry.stable_rank(x) == pytest.approx(3, rel=1e-5)
    with_constant = np.c_[x, np.full(3, 5.0)]
    for name in ("effective_rank", "participation_ratio"):
        function = getattr(geometry, name)
        assert function(with_constant) == pytest.approx(2, rel=1e-4)  # three points, centred


@pytest.mark.parametrize("name", REFERENCES)
def test_what_has_no_direction_is_refused(name):
    function = getattr(geometry, name)
    with pytest.raises(ValueError, match="no direction"):
        function(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="no direction"):
        function(np.ones((4, 2)), centered=True)
    assert np.isnan(jax.jit(function)(jnp.zeros((4, 2))))


def test_a_spectrum_is_centred_or_not_already(x):
    with pytest.raises(ValueError, match="centered=True does not go with a Spectrum"):
        geometry.rankme(ja.spectrum(x, x[:, :1]), centered=True)
    with pytest.raises(ValueError, match="quadrature"):
        geometry.rankme(ja.quadrature(x, x[:, 0], order=2).spectrum)


def test_a_power_law_needs_three_directions(x):
    thin = np.c_[x[:, :1], x[:, :1], np.ones(len(x)), np.zeros(len(x))]
    with pytest.raises(ValueError, match=r"found \(1, 4\) of features of rank 1"):
        geometry.alpha_req(thin, ranks=(1, 4))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_alpha_of_a_power_law(alpha):
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0]
    x = turn * np.arange(1, 61.0) ** (-alpha / 2)
    law = geometry.alpha_req(x, ranks=(3, 60), centered=False)
    assert law.alpha == pytest.approx(alpha, rel=1e-4)
    assert law.r_squared == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_alpha_is_the_weighted_fit_and_leaves_out_what_is_beyond_the_rank(x):
    i = np.arange(2, 7)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[1:6] ** 2
    slope = np.polyfit(np.log(i), np.log(values), 1, w=i**-0.5)[0]
    assert geometry.alpha_req(x, ranks=(2, 6)).alpha == pytest.approx(-slope, rel=1e-4)
    padded = np.c_[x, np.zeros((N, 5))]
    whole = geometry.alpha_req(x, ranks=(2, 7))
    np.testing.assert_allclose(geometry.alpha_req(padded, ranks=(2, 12)), whole, rtol=1e-4)


def test_a_range_needs_three_ranks(x):
    with pytest.raises(ValueError, match=r"ranks must hold three of the 7"):
        geometry.alpha_req(x)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_dimension_of_a_flat_cloud(d):
    rng = np.random.default_rng(0)
    points = rng.random((700, d)) @ rng.standard_normal((d, 12)) + 1e3
    found = geometry.two_nn(points)
    assert found == pytest.approx(d, rel=0.15)
    np.testing.assert_allclose(geometry.two_nn(points[rng.permutation(700)]), found, rtol=1e-6)


@pytest.mark.slow
def test_the_dimension_is_that_of_all_distances():
    x = np.random.default_rng(1).standard_normal((300, 4))
    distances = np.linalg.norm(x[:, None] - x[None], axis=-1) + np.diag(np.full(300, np.inf))
    nearest = np.sort(distances, axis=1)
    log_mu = np.sort(np.log(nearest[:, 1] / nearest[:, 0]))[:270]
    y = -np.log1p(-np.arange(1, 271) / 300)
    expected = (log_mu @ y) / (log_mu @ log_mu)
    assert geometry.two_nn(x) == pytest.approx(expected, rel=1e-6)
    assert geometry.two_nn(x.astype(np.float32)) == pytest.approx(expected, rel=1e-3)
    assert jax.jit(geometry.two_nn)(jnp.asarray(x, jnp.float32)) == pytest.approx(
        expected, rel=1e-3
    )


def test_few_points_that_are_there_twice_are_counted_at_any_size():
    x = np.repeat(np.random.default_rng(0).standard_normal((5, 4)), 2, axis=0)
    for size in (1e-30, 0.3, 1e30):
        with pytest.raises(ValueError, match="found 10 of 10 that equal another"):
            geometry.two_nn((x * size).astype(np.float32))


def test_points_that_coincide_are_counted():
    x = np.random.default_rng(0).random((20, 3))
    x[3] = x[7] = x[9]
    with pytest.raises(ValueError, match="found 3 of 20 that equal another"):
        geometry.two_nn(x)
    with pytest.raises(ValueError, match="5 points"):
        geometry.two_nn(x[:4])
    with pytest.raises(ValueError, match="share in"):
        geometry.two_nn(x, discard=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_units_do_not_matter_where_squares_leave_the_range(x, size):
    rows = x.astype(np.float32)
    scaled = rows * np.float32(size)
    for measure in (geometry.participation_ratio, geometry.effective_rank, geometry.two_nn):
        np.testing.assert_allclose(measure(scaled), measure(rows), rtol=1e-4)


def two_nn_by_definition(points, discard):
    distances = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)
    ratios = np.sort(distances[:, 2] / distances[:, 1])
    n = len(points)
    kept = min(round((1 - discard) * n), n - 1)
    log_mu = np.log(ratios[:kept])
    return -np.log1p(-np.arange(1, kept + 1) / n) @ log_mu / (log_mu @ log_mu)


@pytest.mark.parametrize("discard", [1e-9, 0.1, 0.9])
def test_any_share_may_be_left_out_but_the_largest_is_always(rng, discard):
    points = rng.standard_normal((20, 2)).astype(np.float32)
    expected = two_nn_by_definition(points.astype(float), discard)
    np.testing.assert_allclose(geometry.two_nn(points, discard=discard), expected, rtol=1e-5)


@pytest.mark.parametrize("far", [1e5, 1e10])
def test_points_far_away_cost_near_ones_no_digits(rng, far):
    x = rng.standard_normal((40, 3))
    points = np.concatenate([x[:20], x[20:] + far])
    dtype = np.float32 if far < 1e6 else np.float64
    expected = two_nn_by_definition(points.astype(dtype).astype(float), 0.1)
    np.testing.assert_allclose(geometry.two_nn(points.astype(dtype)), expected, rtol=1e-5)


def test_a_grid_and_a_share_of_everything_have_no_dimension():
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), -1).reshape(-1, 2)
    for points in (grid, np.eye(6)):
        with pytest.raises(ValueError, match="at different distances"):
            geometry.two_nn(points)
    with pytest.raises(ValueError, match="discard must leave one of 6 ratios"):
        geometry.two_nn(np.eye(6), discard=0.99)


def test_equal_eigenvalues_are_explained_by_a_flat_line():
    law = geometry.alpha_req(np.eye(20), ranks=(1, 15))
    np.testing.assert_allclose(law, (0, 1), atol=1e-6)
