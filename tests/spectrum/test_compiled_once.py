"""The second call of equal settings and shapes compiles nothing, whatever it is that is called."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja

X = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)
Y = X[:, :2] + X[:, 3:]
STACK = np.stack([X, 2 * X, -X, X])
GOALS = np.stack([Y] * 4)
LABELS = (X[:, 0] > 0).astype(int)
RANKS = {"rank": 2, "unlabelled_rank": 1}


def over_devices(**settings) -> ja.Spectrum:
    mesh = jax.make_mesh((4,), ("data",))
    arrays = (X, Y) if "rows" in settings else (STACK, GOALS)
    return ja.sharded(mesh, **settings)(*arrays)


def by_products() -> ja.Quadrature:
    features = jnp.asarray(X)
    return ja.quadrature((lambda v: features @ v, lambda u: features.T @ u), Y, order=3)


def second_pass() -> ja.Spectrum:
    basis = ja.basis(ja.moments(X, Y))
    return ja.spectrum(ja.moments(X, Y, basis=basis), basis=basis)


QUICK: dict[str, Callable] = {
    "rows over devices": lambda: over_devices(rows="data"),
    "batch over devices": lambda: over_devices(batch="data"),
    "quadrature by products": by_products,
    "label_alignment_loss": lambda: ja.label_alignment_loss(np.ones((5, 2)), X, Y, X, **RANKS),
    "label_alignment_weights": lambda: ja.label_alignment_weights(X, Y, X, **RANKS),
}

OTHERS: dict[str, Callable] = {
    **{
        f"{function.__name__}, {method}": lambda function=function, method=method: function(
            X, Y, method=method, centered=True
        )
        for function in (ja.spectrum, ja.permutation_null)
        for method in ("moments", "refined", "triangular", "svd")
    },
    "spectra": lambda: ja.spectra({"a": X, "b": X[:, :3]}, Y),
    "spectra of a stack": lambda: ja.spectra(STACK, Y),
    "spectra by svd": lambda: ja.spectra([X, X[:, :3], X], Y, method="svd"),
    "rows that do not fill the devices": lambda: over_devices(rows="data", centered=True),
    "rows over devices, refined": lambda: over_devices(rows="data", method="refined"),
    "moments": lambda: sum([ja.moments(X, Y), ja.moments(X, Y, np.ones(24))]).weight,
    "second pass": second_pass,
    "triangle": lambda: ja.spectrum(ja.triangle(X, Y) + ja.triangle(X, Y)),
    "stream_spectrum": lambda: ja.stream_spectrum([(X, Y), (X, Y)], method="refined"),
    "quadrature": lambda: ja.quadrature_bounds(ja.quadrature(X, Y, order=3), [1.0]),
    "permutation_curves": lambda: (
        ja.permutation_curves(X, Y, [1.0], key=jax.random.key(0), draws=5).p_values
    ),
    "bootstrap_curves": lambda: ja.bootstrap_curves(
        [ja.moments(X[i::2], Y[i::2]) for i in range(2)], [1.0], key=jax.random.key(0), draws=3
    ),
    "measure": lambda: ja.measure(X, LABELS),
    "predicted_convergence": lambda: ja.predicted_convergence(ja.spectrum(X, Y), [1, 2]),
    "smooth_alignment": lambda: ja.smooth_alignment(ja.spectrum(X, Y), 1.0),
}


@pytest.mark.parametrize(
    "call",
    [*QUICK.values(), *(pytest.param(call, marks=pytest.mark.slow) for call in OTHERS.values())],
    ids=[*QUICK, *OTHERS],
)
def test_the_second_call_compiles_nothing(call, compiled_programs):
    jax.block_until_ready(call())
    with compiled_programs() as names:
        jax.block_until_ready(call())
    assert names == []


def test_products_run_as_they_are_at_each_call():
    """Not as they were at the first: functions that know a matrix may come to know another."""
    known = {"matrix": jnp.asarray(X)}
    products = (lambda v: known["matrix"] @ v, lambda u: known["matrix"].T @ u)
    first = ja.quadrature(products, Y, order=3)
    known["matrix"] = 2 * known["matrix"]
    second = ja.quadrature(products, Y, order=3)
    np.testing.assert_allclose(second.diagonal, 2 * first.diagonal, rtol=1e-5)
