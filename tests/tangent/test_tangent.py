"""The tangent kernel as an operator is that of the Jacobian written out."""

from dataclasses import dataclass
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array

import jaxalign as ja
from jaxalign.models import MLP
from jaxalign.tangent import tangent_alignment, tangent_norm, tangent_products, tangent_spectrum

N = 24


def network(outputs=1):
    """(function, parameters, inputs, J): of a small nnx model."""
    graph, state = nnx.split(MLP(5, (8, 6), outputs, bias=True, rngs=nnx.Rngs(0)))
    inputs = jnp.asarray(np.random.default_rng(0).standard_normal((N, 5)), jnp.float32)

    def function(state, inputs):
        return nnx.merge(graph, state)(inputs)

    each = jax.jacobian(function)(state, inputs)
    leaves = [np.asarray(x).reshape(N * outputs, -1) for x in jax.tree.leaves(each)]
    return function, state, inputs, np.concatenate(leaves, axis=1)


@pytest.fixture(scope="module")
def one():
    return network()


@pytest.fixture(scope="module")
def y():
    return np.random.default_rng(1).standard_normal((N, 2)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_products_are_those_of_the_jacobian(outputs):
    function, state, inputs, jacobian = network(outputs)
    product, transposed = tangent_products(function, state, inputs)
    rng = np.random.default_rng(2)
    v = rng.standard_normal((jacobian.shape[1], 3)).astype(np.float32)
    u = rng.standard_normal((len(jacobian), 3)).astype(np.float32)
    np.testing.assert_allclose(jax.jit(product)(v), jacobian @ v, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(transposed(u), jacobian.T @ u, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_block_of_the_head_is_the_kernel_of_its_features(one):
    _, state, inputs, _ = one
    model = MLP(5, (8, 6), 1, bias=True, rngs=nnx.Rngs(0))
    _, activations = ja.tap(model, "hidden_2")(nnx.state(model), inputs)
    phi = np.c_[np.asarray(activations["hidden_2"]), np.ones(N)]
    graph, state = nnx.split(model)
    head = nnx.filter_state(state, lambda path, _: "hidden" not in str(path))
    rest = nnx.filter_state(state, lambda path, _: "hidden" in str(path))

    def of_head(head, inputs):
        return nnx.merge(graph, head, rest)(inputs)

    product, transposed = tangent_products(of_head, head, inputs)
    np.testing.assert_allclose(product(transposed(jnp.eye(N))), phi @ phi.T, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_spectrum_bounds_the_curve_of_the_jacobian(one, y):
    function, state, inputs, jacobian = one
    q = tangent_spectrum(function, state, inputs, y, order=8)
    exact = ja.spectrum(jacobian, y)
    sigma = np.asarray(exact.singular_values)
    tau = np.geomspace(sigma[8], sigma[0] * 0.99, 7)
    lower, upper = ja.quadrature_bounds(q, tau)
    curve = ja.alignment_curve(exact, tau)
    assert (lower <= curve + 1e-3).all()
    assert (upper >= curve - 1e-3).all()
    area = ja.alignment_area(q.spectrum)
    np.testing.assert_allclose(area, ja.alignment_area(exact), rtol=0.02)


@pytest.mark.slow
def test_several_outputs_are_one_target(y):
    function, state, inputs, jacobian = network(3)
    targets = np.random.default_rng(3).standard_normal((N, 3)).astype(np.float32)
    q = tangent_spectrum(function, state, inputs, targets, order=12)
    exact = ja.spectrum(jacobian, targets.reshape(-1, 1))
    found = ja.alignment_area(q.spectrum)
    np.testing.assert_allclose(found, ja.alignment_area(exact), rtol=0.03)


@pytest.mark.slow
def test_the_norm_is_exact_with_all_directions_and_close_with_few(one):
    function, state, inputs, jacobian = one
    expected = np.linalg.norm(jacobian @ jacobian.T)
    whole = tangent_norm(function, state, inputs, key=jax.random.key(0), directions=N)
    assert whole.value == pytest.approx(expected, rel=1e-4)
    assert whole.error == 0
    few = [
        tangent_norm(function, state, inputs, key=key, directions=3, probes=4)
        for key in jax.random.split(jax.random.key(1), 20)
    ]
    values = np.array([float(norm.value) for norm in few])
    assert abs(values.mean() / expected - 1) < 0.01
    errors = np.array([float(norm.error) for norm in few])
    assert 0.3 < errors.mean() / values.std() < 3


def test_alignment_is_that_of_the_kernel(one, y):
    function, state, inputs, jacobian = one
    kernel = jacobian @ jacobian.T
    expected = (y * (kernel @ y)).sum(axis=0) / (y**2).sum(axis=0) / np.linalg.norm(kernel)
    settings = {"key": jax.random.key(0), "directions": N}
    found = tangent_alignment(function, state, inputs, y, **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_parameters_may_change_without_another_program(one, y):
    function, state, inputs, _ = one
    traces = []

    def counted(state, inputs):
        traces.append(1)
        return function(state, inputs)

    before = tangent_spectrum(counted, state, inputs, y, order=4)
    count = len(traces)
    doubled = jax.tree.map(lambda x: 2 * x, state)
    after = tangent_spectrum(counted, doubled, inputs, y, order=4)
    # One trace shows that the function is the same.
    assert len(traces) == count + 1
    assert not np.allclose(before.spectrum.singular_values, after.spectrum.singular_values)


@pytest.mark.parametrize("with_hash", [True, False])
def test_what_a_function_closes_over_may_change(with_hash):
    """As the state of BatchNorm does between two steps."""

    @dataclass(eq=not with_hash)
    class Head:
        scale: Array

        def __call__(self, w, x):
            return jnp.tanh(x @ w) * self.scale

    x = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    head = Head(jnp.ones(()))
    settings = {"key": jax.random.key(0), "directions": 3}

    def size():
        if with_hash:
            q = tangent_spectrum(head, jnp.zeros(2), x, x[:, 0], order=2)
            return q.spectrum.singular_values**2
        return tangent_norm(head, jnp.zeros(2), x, **settings).value

    before = size()
    head.scale = 3 * head.scale
    np.testing.assert_allclose(size(), 9 * before, rtol=1e-4)


BAD = {
    "integers": (lambda f, s, x: tangent_products(f, {"n": jnp.arange(3)}, x), TypeError, "floats"),
    "nothing": (lambda f, s, x: tangent_products(f, {}, x), ValueError, "found none"),
    "no function": (lambda f, s, x: tangent_products(None, s, x), TypeError, "function"),
    "a scalar": (
        lambda f, s, x: tangent_products(lambda s, x: f(s, x).sum(), s, x),
        ValueError,
        r"\(n,\) or \(n, c\)",
    ),
    "rows": (
        lambda f, s, x: tangent_spectrum(f, s, x, np.ones(N - 1)),
        ValueError,
        "targets must be",
    ),
    "directions": (
        lambda f, s, x: tangent_norm(f, s, x, key=jax.random.key(0), directions=N + 1),
        ValueError,
        "at most the 24 outputs",
    ),
    "parameters of others": (
        lambda f, s, x: tangent_norm(f, SimpleNamespace(dtype="f"), x, key=jax.random.key(0)),
        TypeError,
        "found a SimpleNamespace at the top",
    ),
    "text": (
        lambda f, s, x: tangent_norm(f, s, {"x": x, "part": "test"}, key=jax.random.key(0)),
        TypeError,
        "inputs must be an array of numbers",
    ),
    "a seed": (lambda f, s, x: tangent_norm(f, s, x, key=0), TypeError, "key"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(one, case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call(*one[:3])


@pytest.mark.parametrize("size", [0.0, 1e-15, 1e15])
def test_units_do_not_matter_where_squares_leave_the_range(size):
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    rows = jnp.asarray(x * np.float32(size))
    settings = {"key": jax.random.key(0), "directions": 6}
    norm = tangent_norm(linear, jnp.zeros(3), rows, **settings)
    exact = np.linalg.norm(x @ x.T)
    np.testing.assert_allclose(norm, (exact * size**2, 0), rtol=1e-4)
    aligned = tangent_alignment(linear, jnp.zeros(3), rows, x[:, 0] * np.float32(1e25), **settings)
    expected = x[:, 0] @ x @ x.T @ x[:, 0] / (x[:, 0] @ x[:, 0] * exact)
    np.testing.assert_allclose(aligned, expected if size else np.nan, rtol=1e-4)


def linear(weights, x):
    return x @ weights


def test_half_precision_is_measured_in_float32():
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float16)
    norm = tangent_norm(linear, jnp.zeros(3, jnp.float16), x, key=jax.random.key(0), directions=6)
    assert norm.value.dtype == jnp.float32
    np.testing.assert_allclose(norm.value, np.linalg.norm(x @ x.T), rtol=1e-2)
