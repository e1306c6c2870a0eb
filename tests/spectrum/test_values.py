"""No value changes on the way in or out: results are those of numpy's float64, or an error names
the argument and what to divide it by.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import jaxalign as ja

ROWS = 12
ROUNDING = 1e-5  # of σ_1 or of ‖y‖²: some roundings to float32

SCALES = [1e-200, 1e-60, 1e-27, 1e-12, 1.0, 1e12, 1e24, 1e40, 1e200]
OFFSETS = [0.0, 1.0, 1e4, 1e8]
FEATURES = np.random.default_rng(0).standard_normal((ROWS, 3))
TARGETS = np.random.default_rng(1).standard_normal((ROWS, 2))


def expected(features, targets, centered):
    """σ, the energies and ‖y‖² by numpy's SVD in float64, from numbers of any size."""
    phi = np.asarray(features, np.float64)
    y = np.asarray(targets, np.float64)
    if centered:
        phi = phi - phi.mean(axis=0)
        y = y - y.mean(axis=0)
    left, sigma, _ = np.linalg.svd(phi, full_matrices=False)
    return sigma, (left.T @ y) ** 2, np.sum(y**2, axis=0)


def held(values) -> bool:
    """Whether float32 holds the largest of these, and shares of it down to its eps."""
    info = np.finfo(np.float32)
    return float(info.tiny / info.eps) < np.max(values) < float(info.max)


def assert_right_or_refused(call, features, targets, centered):
    sigma, energy, total = expected(features, targets, centered)
    if not (held(sigma) and held(total[:1]) and held(total[1:])):
        with pytest.raises(ValueError, match=r"(features|targets).*divide (features|targets) by"):
            call()
        return
    found = call()
    np.testing.assert_allclose(found.singular_values / sigma[0], sigma / sigma[0], atol=ROUNDING)
    np.testing.assert_allclose(found.energy / total, energy / total, atol=ROUNDING)
    np.testing.assert_allclose(np.asarray(found.total, float) / total, 1, atol=ROUNDING)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SCALES),
    st.sampled_from(SCALES),
    st.sampled_from(OFFSETS),
    st.sampled_from(OFFSETS),
    st.booleans(),
    st.sampled_from(["float64", "float32"]),
    st.sampled_from(["array", "list", "objects", "big-endian"]),
)
def test_float64_of_any_size_is_right_or_refused(
    size, target_size, offset, target_offset, centered, dtype, container
):
    # float32 this far from 0 has no more than one direction.
    assume(dtype == "float64" or offset < 1e8)
    features = (FEATURES + offset) * size
    targets = (TARGETS + target_offset) * target_size
    with np.errstate(over="ignore", under="ignore"):
        if np.isfinite(features.astype(dtype)).all() and held(np.abs(features.astype(dtype))):
            features = features.astype(dtype)
    passed = {
        "array": features,
        "list": features.tolist(),
        "objects": features.astype(object),
        "big-endian": features.astype(features.dtype.newbyteorder(">")),
    }[container]
    with np.errstate(over="ignore", under="ignore"):
        assert_right_or_refused(
            lambda: ja.spectrum(passed, targets, centered=centered), features, targets, centered
        )


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["i4", "u4", "i8", "u8"]), st.integers(0, 62), st.booleans())
def test_integers_of_any_size_are_right(dtype, bits, centered):
    largest = min(2**bits, np.iinfo(dtype).max)
    features = (np.abs(FEATURES) / np.abs(FEATURES).max() * largest).astype(dtype)
    targets = (np.abs(TARGETS) / np.abs(TARGETS).max() * largest).astype(dtype)
    features[0] = 1  # never all equal
    targets[0] = 1
    targets[1] = 0
    sigma, _, total = expected(features, targets, centered)
    found = ja.spectrum(features, targets, centered=centered)
    np.testing.assert_allclose(found.singular_values / sigma[0], sigma / sigma[0], atol=ROUNDING)
    np.testing.assert_allclose(found.total, total, rtol=ROUNDING)
    np.testing.assert_allclose(ja.moments(features, targets).weight, ROWS)


WIDE = FEATURES + 1e8
WIDE_TARGETS = TARGETS + 1e8

CENTERED = {
    "spectrum": lambda x, y: ja.spectrum(x, y, centered=True),
    "spectra": lambda x, y: ja.spectra([x], y, centered=True)[0],
    "a stack": lambda x, y: jax.tree.map(
        lambda leaf: leaf[0], ja.spectra(x[None], y[None], centered=True)
    ),
    "triangle": lambda x, y: ja.spectrum(
        ja.triangle(x[:5], y[:5]) + ja.triangle(x[5:], y[5:]), centered=True
    ),
    "a stream": lambda x, y: ja.stream_spectrum(
        [(x[:5], y[:5]), (x[5:], y[5:])], method="triangular", centered=True
    ),
    "rows over devices": lambda x, y: ja.sharded(
        jax.make_mesh((2,), ("data",)), rows="data", centered=True
    )(x, y),
    "permutation_null": lambda x, y: ja.permutation_null(x, y, centered=True),
}


@pytest.mark.parametrize("call", CENTERED.values(), ids=CENTERED)
def test_float64_keeps_its_digits_until_it_is_centered(call):
    found = call(WIDE, WIDE_TARGETS)
    sigma, _, total = expected(WIDE, WIDE_TARGETS, centered=True)
    np.testing.assert_allclose(found.singular_values, sigma, rtol=ROUNDING)
    np.testing.assert_allclose(found.total, total, rtol=ROUNDING)


@pytest.mark.parametrize("method", ["moments", "refined", "triangular"])
@pytest.mark.parametrize("wide", [False, True])
def test_a_mean_that_is_rounded_costs_no_digits(method, wide):
    """Eighths about 1e15, whose mean no float64 holds."""
    rows = np.round(8 * (FEATURES.T if wide else FEATURES)) / 8
    targets = np.round(8 * TARGETS)[: len(rows)] / 8
    found = ja.spectrum(rows + 1e15, targets + 1e15, method=method, centered=True)
    plain = ja.spectrum(rows, targets, method=method, centered=True)
    for ours, exact in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)])
def test_features_that_do_not_vary_have_no_direction(shape):
    targets = TARGETS[: shape[0]]
    zeros = np.zeros(shape)
    compiled = jax.jit(partial(ja.spectrum, method="refined"))
    results = [compiled(zeros, targets)]
    for method in ("moments", "refined"):
        results.append(ja.spectrum(zeros, targets, method=method))
        results.append(ja.spectrum(zeros + 0.1, targets, method=method, centered=True))
    for found in results:
        assert found.rank == 0
        assert not np.any(found.singular_values)
        assert not np.any(found.energy)


def test_a_basis_of_features_that_do_not_vary_has_no_direction():
    batches = [(np.zeros((3, 2)), TARGETS[:3])] * 2
    assert ja.stream_spectrum(batches, method="refined").rank == 0


@pytest.mark.parametrize("mean", [1e2, 1e4, 1e6])
def test_as_many_columns_as_rows_have_one_direction_less_about_their_mean(rng, mean):
    for _ in range(10):
        rows = rng.standard_normal((9, 9)) + mean * rng.standard_normal(9)
        found = ja.spectrum(rows, rng.standard_normal(9), method="refined", centered=True)
        sigma = np.linalg.svd(rows - rows[:1] - (rows - rows[:1]).mean(axis=0), compute_uv=False)
        np.testing.assert_allclose(found.singular_values, sigma, rtol=1e-6, atol=1e-7 * sigma[0])


def test_a_triangle_that_lost_the_spread_is_refused():
    for features, targets, name in (
        (np.float32(FEATURES), np.float32(TARGETS + 1e5), "targets"),
        (FEATURES + 1e10, TARGETS, "features"),
    ):
        with pytest.raises(ValueError, match=f"{name} are .* too few digits; subtract"):
            ja.spectrum(ja.triangle(features, targets), centered=True)


@pytest.mark.parametrize("sums", [ja.moments, ja.triangle])
def test_without_rows_there_is_no_mean(sums):
    with pytest.raises(ValueError, match="must hold rows to have a mean"):
        ja.spectrum(sums(FEATURES, TARGETS, np.zeros(ROWS)), centered=True)


@pytest.mark.parametrize("sums", [ja.moments, ja.triangle])
def test_weights_whose_roots_are_no_numbers_are_refused(sums):
    with pytest.raises(ValueError, match=r"weights must not all be below .* divide them by"):
        sums(FEATURES, TARGETS, np.full(ROWS, 1e-300))


@pytest.mark.parametrize("rows", [1e7, 1e9])
def test_any_number_of_rows_has_the_rank_of_few(rows):
    weights = np.full(ROWS, rows / ROWS)
    found = ja.spectrum(ja.moments(np.float32(FEATURES), np.float32(TARGETS), weights))
    assert found.rank == FEATURES.shape[1]


def test_sums_about_0_that_lost_the_spread_are_refused():
    for features, targets, name in (
        (WIDE, TARGETS, "features"),
        (FEATURES, WIDE_TARGETS, "targets"),
    ):
        with pytest.raises(ValueError, match=f"{name} are .* from 0 .* subtract a constant"):
            ja.spectrum(ja.moments(features, targets), centered=True)
    constant = np.hstack([FEATURES, np.full((ROWS, 1), 0.1)])
    assert ja.spectrum(ja.moments(constant, np.ones(ROWS)), centered=True).total == 0


def test_the_whole_measure_keeps_digits():
    found = ja.measure(WIDE, WIDE_TARGETS)
    rows = np.hstack([WIDE, np.ones((ROWS, 1))])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    sigma, _, total = expected(rows, WIDE_TARGETS, centered=True)
    np.testing.assert_allclose(
        found.spectrum.singular_values[:3], sigma[:3], rtol=ROUNDING, atol=1e-7 * sigma[0]
    )
    np.testing.assert_allclose(found.spectrum.total, total, rtol=ROUNDING)


def test_prepared_float64_keeps_its_digits():
    features = ja.prepare(WIDE, bias=False, normalize=False)
    np.testing.assert_array_equal(features, WIDE)
    np.testing.assert_array_equal(ja.encode_targets(WIDE_TARGETS), WIDE_TARGETS)
    unit = ja.unit_rows(WIDE)
    rows = np.hstack([WIDE, np.ones((ROWS, 1))])
    np.testing.assert_allclose(unit, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-15)


@pytest.mark.parametrize("size", [1e38, 1e20, 1e-20, 1e-35])
def test_rows_near_the_ends_of_float32_are_prepared(size):
    rows = (FEATURES * size).astype(np.float32)
    maps = np.repeat(rows[:, None], 9, axis=1)
    exact = rows.astype(float)
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(ja.prepare(rows, bias=False), unit, atol=1e-6)
    mean = np.asarray(ja.pool(maps, reduce="mean"), float)
    np.testing.assert_allclose(mean, exact, rtol=1e-6)


def test_numbers_that_programs_would_take_for_zero_are_refused():
    tiny = np.full((ROWS, 3), 1e-41, np.float32)
    with pytest.raises(
        ValueError, match=r"features .* take for 0, found .*; divide features by 1e-4[01]"
    ):
        ja.spectrum(tiny, TARGETS)


SQUARES = {
    "moments": lambda x, y: ja.spectrum(x, y, method="moments"),
    "refined": lambda x, y: ja.spectrum(x, y, method="refined", centered=True),
    "wide": lambda x, y: ja.spectrum(x.T, y[: x.shape[1]], method="moments"),
    "quadrature": lambda x, y: ja.quadrature(x, y, order=2),
    "sums": lambda x, y: ja.spectrum(ja.moments(x, y)),
    "triangle": lambda x, y: ja.spectrum(ja.triangle(x, y)),
}


@pytest.mark.parametrize("size", [1e-250, 1e-155, 1e-147, 1e160])
@pytest.mark.parametrize("call", SQUARES.values(), ids=SQUARES)
def test_numbers_whose_squares_float64_does_not_hold_are_refused(call, size):
    with jax.enable_x64(True):
        with pytest.raises(ValueError, match=r"targets up to .* divide targets by 1e"):
            call(FEATURES, TARGETS * size)
        if call is SQUARES["triangle"]:  # nothing is squared
            sigma = call(FEATURES * size, TARGETS).singular_values
            exact = np.linalg.svd(FEATURES, compute_uv=False)
            np.testing.assert_allclose(sigma / size, exact, rtol=1e-9)
        else:
            with pytest.raises(ValueError, match=r"features up to .* divide features by 1e"):
                call(FEATURES * size, TARGETS)


def test_targets_of_another_size_than_the_features_keep_their_digits():
    features = FEATURES.astype(np.float32)
    found = ja.spectrum(features, WIDE_TARGETS, centered=True)
    assert found.dtype == "float32"
    _, energy, total = expected(features, WIDE_TARGETS, centered=True)
    np.testing.assert_allclose(found.energy, energy, atol=1e-5 * total.max())
    np.testing.assert_allclose(found.total, total, rtol=1e-6)


def test_weights_are_read_in_their_own_dtype():
    weights = np.full(ROWS, 3_000_000_000)
    found = ja.spectrum(ja.moments(FEATURES, TARGETS, weights))
    sigma, _, total = expected(FEATURES, TARGETS, centered=False)
    np.testing.assert_allclose(found.singular_values, sigma * 3e9**0.5, rtol=1e-6)
    np.testing.assert_allclose(found.total, total * 3e9, rtol=1e-6)


def test_traced_values_keep_the_dtype_of_the_program():
    found = jax.jit(lambda x: ja.spectrum(x, TARGETS))(jnp.asarray(FEATURES))
    assert found.singular_values.dtype == jnp.float32
    assert found.dtype == "float32"


def test_an_area_that_float32_does_not_hold_is_refused():
    for size, target_size in ((1e30, 1e10), (1e-15, 1e-15)):
        spectrum = ja.spectrum(FEATURES * size, TARGETS * target_size)
        with pytest.raises(ValueError, match=r"area .* divide features or targets by a constant"):
            ja.alignment_area(spectrum)
    small = ja.spectrum(FEATURES * 1e-15, TARGETS)
    area = ja.alignment_area(ja.spectrum(FEATURES, TARGETS))
    np.testing.assert_allclose(ja.alignment_area(small) * 1e15, area, rtol=1e-5)
    beside = ja.spectrum(np.eye(3)[:, :2] * 1e-15, np.eye(3)[:, 2] * 1e-15)
    assert ja.alignment_area(beside) == 0


def test_columns_of_integers_are_labels_in_batches_too():
    stack = np.zeros((2, ROWS, 3), np.float32)
    labels = np.ones((2, ROWS, 1), int)
    solve = ja.sharded(jax.make_mesh((2,), ("data",)), batch="data")
    for call in (ja.spectra, solve):
        with pytest.raises(ValueError, match="targets must be real-valued, found int64"):
            call(stack, labels)


def test_float64_is_computed_where_jax_has_no_cpu_beside_its_accelerator(monkeypatch):
    def local_devices(backend=None):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", local_devices)
    found = ja.spectrum(WIDE, TARGETS, centered=True)
    sigma, _, _ = expected(WIDE, TARGETS, centered=True)
    np.testing.assert_allclose(found.singular_values, sigma, rtol=ROUNDING)
