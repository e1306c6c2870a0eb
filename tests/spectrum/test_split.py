"""Spectra to float64's accuracy without float64: exact integer products, float32 eigensolvers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.export import export
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign._core import expansions
from jaxalign._spectrum.exact_means import about_mean
from jaxalign._spectrum.integer_products import beside, digit, digits_of, product, table_of
from jaxalign._spectrum.routes import split
from jaxalign.alignment import spectrum_and_null

N, D, K = 120, 24, 3
RNG = np.random.default_rng(0)
# Jitted once: all tests of values take the same shapes, and so the same program.
solve = jax.jit(lambda x, y: ja.spectrum(x, y, method="split"))


def with_singular_values(sigma, n=N, rng=RNG):
    left = np.linalg.qr(rng.standard_normal((n, len(sigma))))[0]
    right = np.linalg.qr(rng.standard_normal((len(sigma), len(sigma))))[0]
    return (left * sigma @ right.T).astype(np.float32)


def total_of(expansion):
    return sum(np.asarray(part, np.longdouble) for part in expansion)


def of(x):
    return digits_of(table_of((x,)))


def digits_and_scale(x):
    words = of(x).cut((x,), jnp.ones(len(x), bool))
    return jnp.stack([digit(words, s) for s in range(5)]), of(x).scale


def in_memory(table):
    return table.expand(table.rows)


def heavy_tailed():
    x = RNG.standard_normal((N, D)).astype(np.float32)
    x[RNG.integers(0, N, D), np.arange(D)] = 1e5
    return x


KINDS = {
    "condition 1e6": with_singular_values(np.geomspace(1, 1e-6, D)),
    "one constant column": np.c_[
        np.full(N, 1e4), RNG.standard_normal((N, D - 1)).cumsum(axis=1)
    ].astype(np.float32),
    "an outlier in each column": heavy_tailed(),
    "clusters": with_singular_values(np.repeat([1, 1e-2, 1e-4], D // 3)),
    "nearly whitened": with_singular_values(1 + np.geomspace(1e-3, 1e-7, D)),
    "columns of all sizes": (RNG.standard_normal((N, D)) * np.geomspace(1, 1e-6, D)).astype("f4"),
    "rank 5": (RNG.integers(-3, 4, (N, 5)) @ RNG.integers(-3, 4, (5, D))).astype(np.float32),
    "large": (1e17 * RNG.standard_normal((N, D))).astype(np.float32),
}


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_a_float64_svd(kind):
    features = KINDS[kind]
    targets = RNG.standard_normal((N, K)).astype(np.float32)
    result = solve(features, targets)
    left, sigma, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
    rank = int(result.rank)
    assert rank == np.sum(sigma > sigma[0] * np.finfo(np.float32).eps * N)
    known = sigma > 1e-7 * sigma[0]
    found = np.asarray(result.singular_values, np.float64)
    np.testing.assert_allclose(found[known], sigma[known], rtol=1e-4)
    np.testing.assert_allclose(found[:rank], sigma[:rank], rtol=3e-7)
    # The curve between singular values that are apart: within 1e-6 of ‖y‖².
    energy = (left.T @ targets.astype(np.float64)) ** 2
    apart = np.flatnonzero(sigma[: rank - 1] > 1.001 * sigma[1:rank])
    total = np.sum(targets.astype(np.float64) ** 2, axis=0)
    np.testing.assert_allclose(result.total, total, rtol=2e-7)
    curves = [np.cumsum(e, axis=0)[apart] / total for e in (np.asarray(result.energy), energy)]
    np.testing.assert_allclose(*curves, atol=1e-6)


def test_products_are_those_of_the_digits_exactly():
    x = (RNG.standard_normal((70, 5)) * 10.0 ** np.array([0, -5, 3, -9, 15])).astype(np.float32)
    y = RNG.integers(-1000, 1000, (70, 2)).astype(np.float32)
    digits, scale = jax.jit(digits_and_scale)(x)
    places = 2.0**-7 * 256.0 ** -np.arange(5)
    rounded = np.tensordot(places, np.asarray(digits, float), 1) * np.asarray(scale)
    assert (np.abs(rounded - x) <= 2.0**-40 * 4 * np.abs(x).max(axis=0)).all()
    exact = rounded.astype(np.longdouble).T @ np.c_[rounded, y]
    found = jax.jit(lambda x, y: product(of(x), beside(of(x), of(y)), parts=3))(x, y)
    np.testing.assert_allclose(total_of(found), exact, rtol=1e-15, atol=0)


def test_sums_of_more_rows_than_int32_holds():
    rows = 300_000
    x = np.full((rows, 1), 2 * 0.49609375, np.float32)
    found = jax.jit(lambda x: product(of(x), of(x), parts=3))(x)
    assert total_of(found)[0, 0] == rows * float(x[0, 0]) ** 2


def test_a_mean_far_from_zero_costs_no_digits():
    x = (1e4 + RNG.standard_normal((N, 3))).astype(np.float32)
    found = total_of(jax.jit(lambda x: in_memory(about_mean((x,))))(x))
    np.testing.assert_allclose(found, x - x.astype(np.float64).mean(axis=0), atol=1e-10)


def test_products_and_roots_of_pairs():
    x, y = np.abs(RNG.standard_normal((2, 50)))
    with jax.enable_x64(True):
        both = [expansions.of_float64(jnp.asarray(v)) for v in (x, y)]
        found = [
            np.asarray(expansions.as_float64(v))
            for v in (expansions.times(*both), expansions.square_root(both[0]))
        ]
    np.testing.assert_allclose(found, [x * y, np.sqrt(x)], rtol=2.0**-44)


def nothing_in_float64(function, *arguments):
    """Whether the program for a TPU has no product, decomposition or loop of float64."""
    program = export(jax.jit(function), platforms=("tpu",))(*arguments).mlir_module()
    operations = r"stablehlo\.(dot_general|custom_call|while|cholesky|triangular_solve|convolution)"
    return not [
        line for line in program.splitlines() if re.search(operations, line) and "f64>" in line
    ]


def floats(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def of_moments(features, targets):
    return spectrum_and_null(ja.moments(features, targets))


@pytest.mark.slow
def test_a_tpu_computes_spectra_without_float64():
    assert nothing_in_float64(ja.spectrum, floats(60, 40), floats(60, 2))
    assert nothing_in_float64(of_moments, floats(400, 300), floats(400, 2))
    # On another platform the same function is in float64.
    program = export(jax.jit(of_moments), platforms=("cuda",))(floats(40, 9), floats(40, 2))
    assert "f64" in program.mlir_module()


@pytest.mark.slow
def test_a_tpu_computes_second_passes_and_derivatives_without_float64():
    def second_pass(x, y, weights):
        basis = ja.basis(ja.moments(x, y, weights), centered=True)
        return ja.spectrum(ja.moments(x, y, weights, basis=basis), basis=basis)

    def area(x, y):
        return ja.alignment_area(ja.spectrum(x, y, method="refined", centered=True)).sum()

    assert nothing_in_float64(second_pass, floats(60, 40), floats(60, 2), floats(60))
    assert nothing_in_float64(jax.vmap(jax.grad(area)), floats(2, 60, 40), floats(2, 60, 2))


def test_a_tpu_refuses_float64_features_where_the_program_is_lowered():
    with jax.enable_x64(True):
        arguments = [jax.ShapeDtypeStruct(shape, jnp.float64) for shape in ((20, 5), (20, 2))]
        for function in (ja.spectrum, ja.moments, jax.vmap(ja.spectrum)):
            if function is not ja.spectrum and function is not ja.moments:
                arguments = [jax.ShapeDtypeStruct((2, *x.shape), x.dtype) for x in arguments]
            with pytest.raises(ValueError, match="features must be float32 on a TPU"):
                export(jax.jit(function), platforms=("tpu",))(*arguments)
            assert export(jax.jit(function), platforms=("cuda",))(*arguments)


def test_float64_features_are_refused():
    with (
        jax.enable_x64(True),
        pytest.raises(ValueError, match=r"'split' is for float32 .* float64"),
    ):
        ja.spectrum(np.eye(4), np.eye(4), method="split")
    with pytest.raises(ValueError, match=r"'split' is for float32 .* float64"):
        ja.moments(np.eye(3) + 1e-12, np.eye(3), method="split")


def test_not_a_number_stays_one():
    features = KINDS["clusters"].copy()
    features[3, 2] = np.nan
    result = solve(features, np.ones((N, K), np.float32))
    assert np.isnan(result.singular_values).all()
    assert np.isnan(result.energy).all()


def weighted_area(x, y, method):
    area = ja.alignment_area(ja.spectrum(x, y, method=method, centered=True))
    return area @ jnp.sqrt(jnp.arange(1.0, len(area) + 1))


@pytest.mark.slow
def test_the_derivative_is_that_of_float64():
    x = (RNG.standard_normal((60, 10)) * np.geomspace(1, 1e-4, 10) + 100).astype(np.float32)
    y = RNG.standard_normal((60, 2)).astype(np.float32)
    derivative = jax.grad(weighted_area, (0, 1))
    pairs = zip(*(derivative(x, y, method) for method in ("split", "refined")), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_moments_and_streams_agree():
    x = (RNG.standard_normal((60, 10)) * np.geomspace(1, 1e-3, 10)).astype(np.float32)
    y = RNG.standard_normal((60, 3)).astype(np.float32) + 5
    weights = RNG.uniform(0, 3, 60).astype(np.float32)
    exact = ja.spectrum(x, y, method="refined", centered=True)
    batches = [(x[:30], y[:30]), (x[30:], y[30:])]
    stream = ja.stream_spectrum(batches, method="split", centered=True)
    assert stream.route_name == "split"
    np.testing.assert_allclose(stream.singular_values, exact.singular_values, rtol=1e-6)
    np.testing.assert_allclose(stream.energy, exact.energy, atol=1e-6 * exact.total.max())
    found, expected = (ja.moments(x, y, weights, method=m) for m in ("split", "auto"))
    sizes = np.sqrt(np.diagonal(np.asarray(expected.products)[:11]))
    scale = sizes[:, None] * np.r_[sizes, np.sqrt(np.asarray(expected.products)[-1, 11:])]
    assert (np.abs(found.products - expected.products)[:11] < 2e-11 * scale).all()


@pytest.mark.slow
def test_the_number_of_devices_changes_no_bit():
    # 1002 rows: four devices pad them.
    x = (RNG.standard_normal((1002, 10)) * np.geomspace(1, 1e-3, 10) + 7).astype(np.float32)
    y = RNG.standard_normal((1002, 3)).astype(np.float32)
    spectra = []
    for count in (1, 4):
        mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
        over = ja.sharded(mesh, rows="data", method="split", centered=True)
        spectra.append(over(x, y))
    mesh = jax.make_mesh((2,), ("data",), (AxisType.Auto,), devices=jax.devices()[:2])
    placed = jax.device_put((x, y), NamedSharding(mesh, P("data")))
    spectra.append(ja.spectrum(*placed, method="split", centered=True))
    for other in spectra[1:]:
        for own, others in zip(jax.tree.leaves(spectra[0]), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(own, others)


@pytest.mark.slow
def test_sums_over_eight_devices_are_those_of_one_bit_for_bit():
    script = Path(__file__).with_name("eight_devices.py")
    # The flags of this process make programs that round less.
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    process = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr[-2000:]


def test_all_significant_singular_values_are_above_what_is_rounded():
    # Digits keep 39 bits of each column's largest entry, which σ_1 is at least: ‖ΔΦ‖ is below
    # 2⁻³⁹·√(nd)·σ_1, and the rank tolerance is σ_1·2⁻²³·max(n, d)
    # of so few rows and columns.
    for n, d in ((2, 2), (1000, 3), (50, 5000)):
        assert 2.0**-39 * (n * d) ** 0.5 < 2.0**-16 * 2.0**-23 * max(n, d) * 1.000001
    assert np.finfo(np.float32).eps > split.RESOLUTION
