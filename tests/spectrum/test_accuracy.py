"""What each route promises, at condition numbers where the others fail; and what a spectrum says of
itself.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign._spectrum import solve
from jaxalign._spectrum import spectrum as spectrum_module
from jaxalign._spectrum.routes import host


@pytest.fixture
def ill_conditioned(rng, matrix_of):
    """float64, 400 × 24, condition 1e6 exactly, and three targets."""
    sigma = np.geomspace(1, 1e-6, 24)
    return matrix_of(400, 24, sigma), rng.standard_normal((400, 3)), sigma


def curve_error(found: ja.Spectrum, features, targets) -> float:
    u, _, _ = np.linalg.svd(np.asarray(features, float), full_matrices=False)
    expected = np.cumsum((u.T @ targets) ** 2, axis=0)
    return float(
        np.abs(
            (np.cumsum(np.asarray(found.energy), axis=0) - expected) / (targets**2).sum(axis=0)
        ).max()
    )


@pytest.mark.gpu
@pytest.mark.parametrize("turned", [False, True], ids=["tall", "wide"])
@pytest.mark.parametrize("way", ["eager", "jit"])
@pytest.mark.parametrize(
    ("method", "sigma_error", "curve"),
    [("moments", 1e-4, 1e-6), ("refined", 1e-11, 1e-9), ("triangular", 1e-11, 1e-9)],
)
def test_error_at_condition_1e6(rng, ill_conditioned, way, turned, method, sigma_error, curve):
    features, targets, sigma = ill_conditioned
    if turned:
        features, targets = features.T, rng.standard_normal((24, 3))

    def solve(x, y):
        return ja.spectrum(x, y, method=method)

    with jax.enable_x64(True):
        found = jax.tree.map(
            np.asarray, (jax.jit(solve) if way == "jit" else solve)(features, targets)
        )
    assert np.abs(found.singular_values / sigma - 1).max() < sigma_error
    # Of 24 wide rows the noisiest directions hold as much of y as any; of 400 tall ones a
    # seventeenth.
    assert curve_error(found, features, targets) < curve * (10 if turned else 1)


@pytest.mark.gpu
def test_float32_features_are_refined_in_float64(ill_conditioned):
    features, targets, _ = (x.astype(np.float32) for x in ill_conditioned)
    exact = np.linalg.svd(features.astype(float), compute_uv=False)
    found = ja.spectrum(features, targets, method="refined")
    assert (
        np.abs(found.singular_values / exact - 1).max() < 3e-7
    )  # eps of float32: the output is rounded to it
    assert np.abs(ja.spectrum(features, targets).singular_values / exact - 1).max() > 1e-6


@pytest.mark.gpu
@pytest.mark.parametrize("decades", [9, 12, 15])
@pytest.mark.parametrize("method", ["refined", "triangular"])
def test_any_condition_is_handled_as_a_float64_svd_does(rng, matrix_of, reference, method, decades):
    """Errors of σ are absolute, of the order of eps·σ_1; none is NaN, also where Cholesky would
    meet a zero pivot.
    """
    sigma = np.geomspace(1, 10.0**-decades, 16)
    sigma[-3:] = 0
    features = matrix_of(300, 16, sigma)
    features[:, 5] = 0  # a dead unit
    targets = rng.standard_normal((300, 2))
    expected, energy = reference(features, targets)
    with jax.enable_x64(True):
        found = ja.spectrum(features, targets, method=method)
        traced = jax.jit(lambda x: ja.spectrum(x, targets, method=method))(features)
    for each in (found, traced):
        np.testing.assert_allclose(each.singular_values, expected, atol=2e-14)
        clear = expected > 1e-6
        np.testing.assert_allclose(each.energy[clear], energy[clear], rtol=1e-6, atol=1e-8)


@pytest.mark.gpu
def test_a_spectrum_tells_its_route_and_bounds_its_error(ill_conditioned):
    features, targets, sigma = ill_conditioned
    with jax.enable_x64(True):
        for method in ("moments", "refined", "triangular", "svd"):
            spectrum = ja.spectrum(features, targets, method=method)
            assert spectrum.route_name == method
            assert float(spectrum.condition) == pytest.approx(1e6, rel=1e-3)
            error = abs(spectrum.singular_values[-1] / sigma[-1] - 1)
            assert error < 10 * spectrum.error
            squared = method == "moments"
            assert float(spectrum.error) == pytest.approx(2.0**-52 * 1e6 ** (1 + squared), rel=0.01)
        assert ja.spectrum(features, targets).route_name == "triangular"
    single = ja.spectrum(features.astype(np.float32), targets, method="triangular")
    assert float(single.error) == pytest.approx(2.0**-23 * float(single.condition))
    single = ja.spectrum(features.astype(np.float32), targets)
    assert single.route_name == "moments"
    # Only directions above the rank tolerance count.
    assert single.condition < 1 / (400 * 2.0**-23)
    assert single.rank < 24


@pytest.mark.slow
@pytest.mark.gpu
def test_condition_of_sums_and_under_jit(rng):
    features = rng.standard_normal((50, 4)).astype(np.float32)
    targets = rng.standard_normal((50, 1)).astype(np.float32)
    direct = jax.jit(ja.spectrum)(features, targets)
    assert direct.route_name == "moments"
    for sums, route in (
        (ja.moments(features, targets), "moments"),
        (ja.triangle(features, targets), "triangular"),
    ):
        spectrum = ja.spectrum(sums)
        assert spectrum.route_name == route
        assert spectrum.num_samples == 50
        np.testing.assert_allclose(spectrum.condition, direct.condition, rtol=1e-5)
        assert spectrum.singular_values.shape == (4,)
    batch = jax.vmap(lambda x: ja.spectrum(x, targets))(jnp.stack([features, 2 * features]))
    np.testing.assert_allclose(batch.condition, direct.condition, rtol=1e-5)
    np.testing.assert_array_equal(batch.rank, 4)
    assert ja.spectrum(np.zeros((5, 2)), np.ones((5, 1))).condition == 1


def test_a_failing_eigensolver_is_an_error(monkeypatch):
    """Finite input, and no finite answer: never a silent NaN."""
    spectrum = ja.spectrum(np.eye(2), np.ones((2, 1)))
    lost = replace(spectrum, singular_values=jnp.full(2, jnp.nan))
    monkeypatch.setattr(spectrum_module, "_of_moments", lambda *_: lost)
    monkeypatch.setattr(solve, "spectrum_of", lambda *_: lost)
    none = host.Solution(np.full(2, np.nan), np.zeros((2, 1)), np.ones(1))
    monkeypatch.setattr(host, "decompose", lambda *_, **__: none)
    for features in (np.eye(2), np.ones((600, 100)), ja.moments(np.eye(2), np.ones((2, 1)))):
        targets = None if isinstance(features, ja.Moments) else np.ones((len(features), 1))
        with pytest.raises(FloatingPointError, match="eigensolver failed"):
            ja.spectrum(features, targets)


def test_moments_that_overflow_are_an_error():
    with jax.enable_x64(True), pytest.raises(ValueError, match="squares within float64"):
        ja.moments(np.full((3, 2), 1e200), np.ones((3, 1)))
