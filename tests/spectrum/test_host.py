"""BLAS and LAPACK called by address, and the routes made of them, against numpy's own and the
compiled routes.
"""

import ctypes

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign._core import lapack
from jaxalign._spectrum import batched
from jaxalign._spectrum.routes import host

SHAPES = [
    (1, 1),
    (1, 4),
    (300, 24),
    (24, 300),
    (2100, 33),
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(3, 1), (40, 40)]),
]


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What spectra by different routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


def test_products_fill_the_upper_triangle_and_add_up(rng):
    rows = rng.standard_normal((50, 9))[:, :7]  # a view: its stride is not its width
    total = np.zeros((8, 8))
    lapack.add_products(rows[:20], total[:7, :7])
    lapack.add_products(rows[20:], total[:7, :7])
    np.testing.assert_allclose(total[:7, :7], np.triu(rows.T @ rows), atol=1e-13)
    assert not np.any(total[7])
    assert not np.any(total[:, 7])


@pytest.mark.parametrize("k", [0, 1, 80])
@pytest.mark.parametrize("d", [1, 2, 30, 130])
def test_eigen_and_singular_rotate_the_vectors(rng, d, k):
    """Σ_i f(λ_i) v_i v_iᵀ c is the same in every basis: the moments (Mᵖc)ᵀ(Mᵖc) = Σ λ_i²ᵖ (v_iᵀc)²
    tell.
    """
    half, vectors = rng.standard_normal((2 * d, d)) / d**0.5, rng.standard_normal((d, k))
    gram = half.T @ half
    values, along = lapack.eigen(np.triu(gram), vectors)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(gram), atol=1e-13)
    np.testing.assert_allclose(along.T @ along, vectors.T @ vectors, atol=1e-12)
    np.testing.assert_allclose(
        along.T @ (values[:, None] * along), vectors.T @ gram @ vectors, atol=1e-12
    )
    matrix = half[:d]
    values, along = lapack.singular(matrix, vectors)
    np.testing.assert_allclose(values, np.linalg.svd(matrix)[1], atol=1e-13)
    np.testing.assert_allclose(
        along.T @ (values[:, None] ** 2 * along),
        vectors.T @ matrix @ matrix.T @ vectors,
        atol=1e-12,
    )


@pytest.mark.parametrize("solve", [lapack.eigen, lapack.singular])
def test_lapack_giving_up_is_nan(rng, monkeypatch, solve):
    call = lapack._call

    def failing(name, *arguments):
        call(name, *arguments)
        if name in ("dstevd", "dbdsqr"):
            next(x for x in arguments if isinstance(x, ctypes.c_int)).value = 1

    monkeypatch.setattr(lapack, "_call", failing)
    assert np.isnan(solve(np.eye(3), np.ones((3, 1)))[0]).all()
    with pytest.raises(FloatingPointError, match="eigensolver failed"):
        ja.spectrum(
            np.eye(3, dtype=np.float32),
            np.ones((3, 1)),
            method="refined" if solve is lapack.singular else "moments",
        )


@pytest.mark.parametrize(
    ("k", "centered"),
    [
        (12, True),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(1, False), (1, True), (12, False)]
        ),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", host.ROUTES)
def test_eager_and_compiled_routes_agree(rng, method, shape, k, centered):
    features, targets = (
        rng.standard_normal((shape[0], w)).astype(np.float32) for w in (shape[1], k)
    )
    settings = {"method": method, "centered": centered}

    @jax.jit
    def solve(x, y):
        spectrum = ja.spectrum(x, y, **settings)
        return spectrum, ja.alignment_area(spectrum)

    eager = ja.spectrum(features, targets, **settings)
    compiled, area = solve(features, targets)
    scale = float(eager.singular_values[0]) + 1e-3
    np.testing.assert_allclose(eager.singular_values, compiled.singular_values, atol=2e-6 * scale)
    np.testing.assert_allclose(eager.total, compiled.total, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ja.alignment_area(eager), area, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("method", host.ROUTES)
def test_results_lie_where_the_features_do(rng, method):
    device = jax.devices("cpu")[-1]
    features = jax.device_put(rng.standard_normal((20, 3)).astype(np.float32), device)
    targets = jax.device_put(np.ones((20, 1), np.float32), device)
    leaves = jax.tree.leaves(ja.spectrum(features, targets, method=method))
    assert all(leaf.devices() == {device} for leaf in leaves)
    # What nobody placed binds its result to no device.
    anywhere = ja.spectrum(jax.device_put(np.asarray(features)), np.asarray(targets))
    assert not any(leaf.committed for leaf in jax.tree.leaves(anywhere))


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("size", [(30, 4), (700, 120)])
def test_stacks_and_layers_are_as_one_by_one(rng, monkeypatch, cores, size):
    """Sizes on both sides of WORTH_A_CALL; layers of two dtypes, of which one goes by a compiled
    route.
    """
    monkeypatch.setattr(batched, "CORES", cores)
    stack = rng.standard_normal((5, *size)).astype(np.float32)
    targets = rng.standard_normal((size[0], 2)).astype(np.float32)
    found, listed = (
        ja.spectra(stack, targets),
        ja.spectra([*stack, *stack.astype(np.float16)], targets),
    )
    for i in range(5):
        direct = ja.spectrum(stack[i], targets)
        trios = zip(arrays_of(found), arrays_of(listed[i]), arrays_of(direct), strict=True)
        for part, other, alone in trios:
            np.testing.assert_allclose(part[i], alone, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(other, alone, rtol=1e-4, atol=1e-5)
    with jax.enable_x64(True):
        wide = ja.spectra([stack[0], stack[0].astype(float)], targets)
    np.testing.assert_allclose(wide[0].singular_values, wide[1].singular_values, rtol=1e-5)


def test_a_failing_call_on_a_core_is_not_swallowed():
    def broken():
        raise IndexError("mine")

    with pytest.raises(IndexError, match="mine"):
        batched._on_all_cores([broken])
