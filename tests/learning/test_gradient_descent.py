"""What a spectrum predicts of gradient descent is what gradient descent does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja


def example(rng, n=20, d=5, k=2):
    features = jnp.asarray(rng.standard_normal((n, d)), jnp.float32)
    return features, jnp.asarray(rng.standard_normal((n, k)), jnp.float32)


def descended(features, targets, rate, steps):
    """‖Φw_t − y‖² above the minimum, t = 0...steps, by descending in float64."""
    phi, y = (np.asarray(x, float) for x in (features, targets))
    best = phi @ np.linalg.lstsq(phi, y, rcond=None)[0]
    w, left = np.zeros((phi.shape[1], y.shape[1])), []
    for _ in range(steps + 1):
        left.append(((phi @ w - best) ** 2).sum(axis=0))
        w -= rate * phi.T @ (phi @ w - y)
    return np.array(left)


@pytest.mark.parametrize("share", [None, 0.3, 1.0, 1.9])
def test_predicted_convergence_is_that_of_gradient_descent(rng, share):
    features, targets = example(rng)
    s = ja.spectrum(features, targets)
    top = float(s.singular_values[0]) ** 2
    found = ja.predicted_convergence(s, range(51), step_size=None if share is None else share / top)
    expected = descended(features, targets, (1 if share is None else share) / top, 50)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6 * float(s.total.min()))


def test_many_small_steps_keep_their_digits(made):
    s = made([1000.0, 1.0], [1.0, 1.0], 2.0)
    found = ja.predicted_convergence(s, [1, 10**6])
    np.testing.assert_allclose(
        found.ravel(), [(1 - 1e-6) ** 2, (1 - 1e-6) ** (2 * 10**6)], rtol=1e-6
    )


@pytest.mark.slow
def test_gradients_of_predicted_convergence_are_its_differences(rng, matrix_of):
    with jax.enable_x64(True):
        x, y = matrix_of(12, 4, [3.0, 1.5, 1.0, 0.5]), rng.choice([-1.0, 1.0], (12, 1))

        def left(x):
            return ja.predicted_convergence(ja.spectrum(x, y), [0, 1, 7]).sum()

        toward = rng.standard_normal(x.shape)
        slope = (left(x + 1e-5 * toward) - left(x - 1e-5 * toward)) / 2e-5
        np.testing.assert_allclose(
            (jax.grad(left)(jnp.asarray(x)) * toward).sum(), slope, rtol=1e-5
        )


def test_nothing_is_learned_of_a_representation_of_zeros(rng):
    s = ja.spectrum(jnp.zeros((5, 2)), jnp.ones((5, 1)))
    for step_size in (None, 0.1):
        np.testing.assert_array_equal(ja.predicted_convergence(s, [0, 3], step_size=step_size), 0)


@pytest.mark.parametrize(
    ("steps", "step_size", "message"),
    [
        (5, None, r"steps must have shape \(t,\), found \(\); pass \[10\] for one"),
        ([1, -1], None, "steps must not be negative, found -1"),
        ([np.nan], None, "steps must be finite"),
        ([1], 0, "step_size must lie between 0 and 2/σ_1² = 0.5, found 0"),
        ([1], 0.51, "step_size must lie between 0 and 2/σ_1² = 0.5, found 0.51"),
        ([1], [0.1], "step_size must be a scalar, found shape"),
    ],
)
def test_steps_that_mean_nothing_are_explained(made, steps, step_size, message):
    s = made([2.0, 1.0], [3.0, 4.0], 9.0)
    with pytest.raises(ValueError, match=message):
        ja.predicted_convergence(s, steps, step_size=step_size)


def test_a_direction_that_is_learned_in_one_step_is_learned_in_any_program(rng):
    features = rng.standard_normal((30, 6))
    with jax.enable_x64(True):
        s = ja.spectrum(features, rng.standard_normal((30, 2)))
        step_size = 1 / float(s.singular_values[0]) ** 2  # ησ_1² = 1, up to rounding
        expected = (1 - step_size * s.singular_values**2) ** (2 * np.arange(6)[:, None]) @ s.energy
        for call in (ja.predicted_convergence, jax.jit(ja.predicted_convergence)):
            found = call(s, np.arange(6), step_size=step_size)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_batch_of_spectra_is_mapped_over():
    stack = np.random.default_rng(0).standard_normal((4, 12, 3)).astype(np.float32)
    batch = ja.spectra(stack, np.ones((4, 12, 1), np.float32))
    measures = {
        "alignment_curve": lambda s: ja.alignment_curve(s, [1.0]),
        "alignment_area": ja.alignment_area,
        "aligned_rank": ja.aligned_rank,
        "smooth_alignment": lambda s: ja.smooth_alignment(s, 1.0),
        "predicted_convergence": lambda s: ja.predicted_convergence(s, [1]),
    }
    for name, measure in measures.items():
        with pytest.raises(ValueError, match=rf"batch of shape \(4,\); .* jax.vmap\({name}\)"):
            measure(batch)
        assert len(jax.vmap(measure)(batch)) == 4
