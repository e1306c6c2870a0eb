"""What a spectrum predicts of ridge heads is what fitted ridge heads do."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign import learning
from jaxalign.learning import gcv, learning_curve, sample_complexity

N, D = 120, 12


@pytest.fixture(scope="module")
def example():
    """(Φ, Y): decaying directions, one target along the top and one of noise."""
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((N, D)) * np.geomspace(1, 0.05, D)
    y = np.stack([phi[:, 0] + phi[:, 3], 0 * phi[:, 0]], axis=1) + rng.standard_normal((N, 2))
    return phi, y


@pytest.fixture(scope="module")
def s(example):
    with jax.enable_x64(True):
        return ja.spectrum(*example)


def written_out(phi, y, rho):
    """N⁻¹‖y − Hy‖²/(1 − tr H/N)² of the hat matrix H."""
    hat = phi @ np.linalg.solve(phi.T @ phi + rho * np.eye(phi.shape[1]), phi.T)
    n = len(phi)
    return ((y - hat @ y) ** 2).mean(axis=0) / (1 - np.trace(hat) / n) ** 2


@pytest.mark.parametrize("rho", [0.0, 1e-3, 1.0, 1e4])
def test_gcv_is_that_of_the_hat_matrix_and_the_curve_at_all_rows(example, s, rho):
    expected = written_out(*example, rho)
    with jax.enable_x64(True):
        np.testing.assert_allclose(gcv(s, rho), expected, rtol=1e-9)
        np.testing.assert_allclose(learning_curve(s, N, ridge=rho), expected, rtol=1e-9)


def test_targets_so_far_from_0_that_float32_rounds_what_is_left_say_so(example):
    rows = np.hstack([example[0], np.ones((N, 1))])
    far = ja.spectrum(rows.astype(np.float32), np.float32(example[1] + 1e4))
    near = ja.spectrum(rows.astype(np.float32), np.float32(example[1] + 10))
    np.testing.assert_allclose(gcv(near, 1e-3), written_out(rows, example[1] + 10, 1e-3), rtol=1e-3)
    for predict in (partial(gcv, ridge=1e-3), partial(sample_complexity, error=0.5)):
        with pytest.warns(learning.LearningWarning, match="is of rounding.*subtract the mean"):
            predict(far)


def test_all_is_lost_at_infinite_strength(s):
    with jax.enable_x64(True):
        for n in (2, N, 10 * N):
            found = learning_curve(s, n, ridge=1e12)
            np.testing.assert_allclose(found, s.total / N, rtol=1e-8)


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 1e30])
def test_no_scale_of_features_is_out_of_range(example, scale):
    """At ρ ≫ σ_1² nothing is fitted, at ρ ≪ σ_1² all is; ρ in units of σ² changes nothing."""
    phi, y = (array.astype(np.float32) for array in example)
    s = ja.spectrum(np.float32(scale) * phi, y)
    usual = ja.spectrum(phi, y)
    extreme = 1e20 if scale < 1 else 0.0
    for function in (gcv, partial(learning_curve, num_samples=2 * N)):
        np.testing.assert_allclose(
            function(s, ridge=1.0), function(usual, ridge=extreme), rtol=2e-3
        )
        if 1e-17 < scale < 1e17:
            same = float(np.float32(scale)) ** 2
            np.testing.assert_allclose(
                function(s, ridge=same), function(usual, ridge=1.0), rtol=1e-4
            )


@pytest.mark.slow
def test_units_of_features_and_targets(example, s):
    phi, y = example
    n = [5, 40, 500]
    with jax.enable_x64(True):
        scaled = ja.spectrum(1e-3 * phi, 10 * y)
        for ridge, in_units in ((0.5, 0.5e-6), ("best", "best")):
            expected = 100 * learning_curve(s, n, ridge=ridge)
            np.testing.assert_allclose(
                learning_curve(scaled, n, ridge=in_units), expected, rtol=1e-6
            )
        expected = sample_complexity(s, 1.2)
        np.testing.assert_allclose(sample_complexity(scaled, 120.0), expected, rtol=1e-6)


def test_the_best_strength_is_the_best_of_many(s):
    n = [8, 30, N, 1000]
    with jax.enable_x64(True):
        best = learning_curve(s, n, ridge="best")
        many = np.stack([learning_curve(s, n, ridge=r) for r in np.geomspace(1e-4, 1e6, 81)])
        assert (best <= many.min(axis=0) * (1 + 1e-9)).all()
        np.testing.assert_allclose(best, many.min(axis=0), rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("wide", [False, True])
def test_labels_needed_are_the_inverse_of_the_best_curve(wide):
    rng = np.random.default_rng(1)
    phi = rng.standard_normal((N, 4 * N if wide else D))
    with jax.enable_x64(True):
        s = ja.spectrum(phi, phi[:, :1] + phi[:, 1:2] + 0.3 * rng.standard_normal((N, 1)))
        n = np.array([30.0, 60.0, 150.0, 290.0])
        errors = learning_curve(s, n, ridge="best")[:, 0]
        assert (np.diff(errors) < 0).all()
        np.testing.assert_allclose(sample_complexity(s, errors)[:, 0], n, rtol=1e-4)
        out_of_reach = sample_complexity(s, 1e-6 * errors[-1])
    assert np.isinf(out_of_reach).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 200])
@pytest.mark.parametrize("rho", [0.3, 10.0])
def test_fitted_heads_have_that_error(n, rho):
    """The mean over draws of n rows, of the error on rows that nobody saw."""
    rng = np.random.default_rng(2)
    deviations = np.geomspace(1, 0.1, 30)
    teacher = rng.standard_normal(30)

    def draw(rows):
        phi = rng.standard_normal((rows, 30)) * deviations
        return phi, phi @ teacher + rng.standard_normal(rows)

    predicted = []
    measured = []
    for _ in range(40):
        predicted.append(learning_curve(ja.spectrum(*draw(400)), float(n), ridge=rho)[0])
        phi, y = draw(n)
        w = np.linalg.solve(phi.T @ phi + rho * np.eye(30), phi.T @ y)
        measured.append(((w - teacher) ** 2 * deviations**2).sum() + 1)
    assert np.mean(predicted) == pytest.approx(np.mean(measured), rel=0.05)


@pytest.mark.slow
def test_targets_do_not_mix_and_one_number_has_no_axis(s):
    with jax.enable_x64(True):
        both = learning_curve(s, [10, 50], ridge="best")
        for k in range(2):
            one = replace(s, energy=s.energy[:, k : k + 1], total=s.total[k : k + 1])
            alone = learning_curve(one, [10, 50], ridge="best")[:, 0]
            np.testing.assert_allclose(alone, both[:, k])
        assert learning_curve(s, 10, ridge="best").shape == (2,)
        assert gcv(s, [1.0]).shape == (1, 2)
        assert sample_complexity(s, 1.0).shape == (2,)


FUNCTIONS = {
    "gcv": lambda s: gcv(s, 0.5).sum(),
    "curve": lambda s: learning_curve(s, [7.0, 60.0], ridge=0.5).sum(),
    "best": lambda s: learning_curve(s, [7.0, 60.0], ridge="best").sum(),
    "needed": lambda s: sample_complexity(s, 1.3)[0],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_differences(example, name):
    phi, y = example
    direction = np.random.default_rng(3).standard_normal(phi.shape)
    with jax.enable_x64(True):

        @jax.jit
        def value(step):
            return FUNCTIONS[name](ja.spectrum(phi + step * direction, y))

        found = jax.grad(value)(0.0)
        expected = (value(1e-5) - value(-1e-5)) / 2e-5
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_derivative_by_the_strength(s):
    with jax.enable_x64(True):

        def value(rho):
            return learning_curve(s, 30.0, ridge=rho)[0]

        expected = (value(0.5 + 1e-5) - value(0.5 - 1e-5)) / 2e-5
        np.testing.assert_allclose(jax.grad(value)(0.5), expected, rtol=1e-5)


@pytest.mark.slow
def test_float32_under_jit_and_vmap_is_float64(example, s):
    phi, y = example
    s32 = ja.spectrum(phi.astype(np.float32), y.astype(np.float32))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), s32, s32)

    def of(s):
        n = jnp.array([7.0, 60.0, 900.0])
        return (
            gcv(s, 0.5),
            learning_curve(s, n, ridge=0.5),
            learning_curve(s, n, ridge="best"),
            sample_complexity(s, jnp.array([1.15, 0.1])),
        )

    found = jax.jit(jax.vmap(of))(stacked)
    with jax.enable_x64(True):
        expected = of(s)
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == jnp.float32
        np.testing.assert_allclose(x[0], y, rtol=2e-3)
        np.testing.assert_array_equal(x[0], x[1])


@pytest.mark.slow
def test_features_of_zeros_explain_nothing():
    s = ja.spectrum(np.zeros((10, 3), np.float32), np.ones((10, 1), np.float32))
    for found in (gcv(s, 1.0), learning_curve(s, 4, ridge=1.0), learning_curve(s, 4, ridge="best")):
        np.testing.assert_allclose(found, 1, rtol=1e-5)
    assert np.isinf(sample_complexity(s, 0.5))


@pytest.fixture(scope="module")
def full():
    """The spectrum, in float32, of 12 rows with 20 columns: each target is interpolated."""
    rng = np.random.default_rng(4)
    return ja.spectrum(*(rng.standard_normal((12, k)).astype(np.float32) for k in (20, 1)))


@pytest.mark.slow
def test_rows_that_are_interpolated_tell_nothing_of_more_rows_at_small_strength(full):
    least = 6 / np.sum(np.float64(full.singular_values) ** -2)
    with pytest.warns(learning.LearningWarning, match="fit all N rows"):
        assert np.isnan(learning_curve(full, 18, ridge=0.5 * least)).all()
    # Just above, the curve goes on from δ → 0: B = Σσ⁻⁴e/Σσ⁻⁴ and df₂ = N − (Σσ⁻²)²/Σσ⁻⁴.
    sigma, e = np.float64(full.singular_values), np.float64(full.energy[:, 0])
    b = (sigma**-4).sum()
    expected = (sigma**-4 @ e / b) / (1 - (12 - (sigma**-2).sum() ** 2 / b) / 18)
    np.testing.assert_allclose(learning_curve(full, 18, ridge=1.0001 * least), expected, rtol=2e-3)
    assert np.isfinite(learning_curve(full, [4, 12], ridge=0.5 * least)).all()
    assert np.isfinite(learning_curve(full, [4, 12, 18], ridge="best")).all()


def test_gcv_of_interpolated_rows_is_its_limit(full):
    sigma, e = np.float64(full.singular_values), np.float64(full.energy[:, 0])
    expected = 12 * (sigma**-4 @ e) / (sigma**-2).sum() ** 2
    np.testing.assert_allclose(gcv(full, 0.0), expected, rtol=1e-4)


BAD = {
    "a negative strength": (lambda s: gcv(s, -1.0), "ridge must not be negative, found -1"),
    "no strength": (lambda s: learning_curve(s, 10, ridge="worst"), "number or 'best'"),
    "several strengths": (lambda s: learning_curve(s, 10, ridge=[1.0, 2.0]), "one number"),
    "no rows": (lambda s: learning_curve(s, [0], ridge=1.0), "num_samples must be positive"),
    "NaN": (lambda s: learning_curve(s, np.nan, ridge=1.0), "num_samples must be finite"),
    "a table": (lambda s: sample_complexity(s, [[1.0]]), "shape"),
    "no error": (lambda s: sample_complexity(s, 0.0), "error must be positive"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(s, case):
    call, message = BAD[case]
    with jax.enable_x64(True), pytest.raises(ValueError, match=message):
        call(s)


def test_nodes_of_a_quadrature_are_refused(example):
    nodes = ja.quadrature(*example, order=3).spectrum
    for call in (lambda s: gcv(s, 1.0), lambda s: sample_complexity(s, 1.0)):
        with pytest.raises(ValueError, match="quadrature"):
            call(nodes)
