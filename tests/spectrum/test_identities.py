"""Every identity of the measure that holds by definition, on Gaussian, clustered, rank-deficient
and wide matrices.
"""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja

SPECTRA = {
    "gaussian": None,
    "power law": np.arange(1, 11) ** -1.5 * 20,
    "clustered": [5, 5, 5, 1, 1, 1, 1, 1, 1, 1],
    "rank-deficient": [4, 3, 2, 1],
}


@pytest.fixture(
    params=[(name, wide) for name in SPECTRA for wide in (False, True)],
    ids=lambda p: f"{p[0]}{', wide' * p[1]}",
)
def case(request, rng, matrix_of):
    name, wide = request.param
    sigma = SPECTRA[name]
    features = rng.standard_normal((40, 10)) if sigma is None else matrix_of(40, 10, sigma)
    features = (features.T if wide else features).astype(np.float32)
    return features, rng.choice([-1.0, 1.0], (len(features), 2)).astype(np.float32)


def test_area_is_the_integral_of_the_curve(case):
    s = ja.spectrum(*case)
    thresholds = np.linspace(0, float(s.singular_values[0]) * 1.01, 20001)
    curve = np.asarray(ja.alignment_curve(s, thresholds), float)
    integral = ((curve[1:] + curve[:-1]) / 2 * np.diff(thresholds)[:, None])[1:].sum(axis=0)
    np.testing.assert_allclose(ja.alignment_area(s), integral, rtol=2e-3)


def test_integral_over_squared_thresholds_is_the_kernel_form(case):
    features, targets = case
    s = ja.spectrum(features, targets)
    kernel_form = ((features.astype(float).T @ targets) ** 2).sum(axis=0)
    np.testing.assert_allclose(s.singular_values**2 @ s.energy, kernel_form, rtol=1e-5)


def test_kernel_target_alignment(case):
    features, targets = (x.astype(float) for x in case)
    s = ja.spectrum(*case)
    kernel = features @ features.T
    expected = np.einsum("ik,ij,jk->k", targets, kernel, targets) / (
        np.linalg.norm(kernel) * (targets**2).sum(axis=0)
    )
    found = (s.singular_values**2 @ s.energy) / (s.total * jnp.sqrt((s.singular_values**4).sum()))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_curve_falls_from_the_norm_of_y_through_its_projection_to_zero(case):
    features, targets = case
    s = ja.spectrum(features, targets)
    top = float(s.singular_values[0])
    thresholds = np.concatenate([[-1.0, 0.0, 1e-6], np.geomspace(1e-3, top, 50), [top * 1.001]])
    curve = np.asarray(ja.alignment_curve(s, thresholds))
    np.testing.assert_array_equal(curve[:2], np.broadcast_to(s.total, (2, 2)))
    basis = np.linalg.svd(features.astype(float), full_matrices=False)[0][
        :, : np.linalg.matrix_rank(features)
    ]
    np.testing.assert_allclose(curve[2], ((basis.T @ targets) ** 2).sum(axis=0), rtol=1e-5)
    assert (np.diff(curve, axis=0) <= 1e-5 * s.total).all()
    assert (curve[-1] == 0).all()


def test_prepared_rows_make_the_squares_sum_to_n(case):
    prepared = ja.prepare(case[0])
    sigma = ja.spectrum(prepared, case[1]).singular_values
    n = len(prepared)
    np.testing.assert_allclose((sigma**2).sum(), n, rtol=1e-5)
    assert sigma[0] <= n**0.5 * (1 + 1e-6)


def test_expected_curve_of_random_labels(rng):
    features = rng.standard_normal((50, 10)).astype(np.float32)
    targets = rng.standard_normal((50, 20_000)).astype(np.float32)
    targets *= 7 / np.linalg.norm(targets, axis=0)
    s = ja.spectrum(features, targets)
    thresholds = np.asarray(s.singular_values)[[0, 4, 9]] * 0.999
    mean = ja.alignment_curve(s, thresholds).mean(axis=1)
    np.testing.assert_allclose(mean, 49 * np.array([1, 5, 10]) / 50, rtol=0.02)
    np.testing.assert_allclose(
        ja.alignment_curve(ja.isotropic_null(s), thresholds).mean(axis=1),
        49 * np.array([1, 5, 10]) / 50,
        rtol=1e-5,
    )


def test_two_orthogonal_equal_classes():
    n = 64
    labels = np.arange(n) % 2
    features = np.eye(2, dtype=np.float32)[labels]
    s = ja.spectrum(features, ja.encode_targets(labels))
    np.testing.assert_allclose(s.singular_values, (n / 2) ** 0.5, rtol=1e-6)
    np.testing.assert_allclose(s.energy.sum(), n, rtol=1e-6)


def test_gradient_descent_on_a_linear_head_follows_the_spectrum(rng, matrix_of):
    features = matrix_of(40, 6, [4, 3, 1, 0.5, 0.2, 0.1])
    y = rng.standard_normal(40)
    best = np.linalg.pinv(features) @ y
    rate = 1 / 16
    s = ja.spectrum(features.astype(np.float32), y.astype(np.float32))
    sigma, energy = (np.asarray(x, float) for x in (s.singular_values, s.energy[:, 0]))
    weights = np.zeros(6)
    for step in range(60):
        shrink = (1 - rate * sigma**2) ** (2 * step)
        excess = ((features @ (weights - best)) ** 2).sum()
        np.testing.assert_allclose(excess, (shrink * energy).sum(), rtol=1e-4)
        np.testing.assert_allclose(
            ((weights - best) ** 2).sum(), (shrink * energy / sigma**2).sum(), rtol=1e-3
        )
        for tau in (0.15, 0.7, 2.0, 3.5):
            above = energy[sigma >= tau].sum()
            assert excess <= ((1 - rate * tau**2) ** (2 * step) * above + energy.sum() - above) * (
                1 + 1e-4
            )
        weights -= rate * features.T @ (features @ weights - y)
