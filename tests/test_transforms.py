"""Operations inside the transformations of jax: right, or refused by name."""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.export import export
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign import geometry, learning, similarity, tangent, transferability

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from _stablehlo import CPU_CALLS


def area(x, y, method="auto"):
    return ja.alignment_area(ja.spectrum(x, y, method=method)).sum()


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((4, 12, d)).astype(np.float32) for d in (5, 2))


WITH_DERIVATIVE = {
    "area": area,
    "triangular": partial(area, method="triangular"),
    "rankme": lambda x, y: geometry.rankme(x),
    "two_nn": lambda x, y: geometry.two_nn(x),
    "linear_cka": similarity.linear_cka,
    "cca": lambda x, y: similarity.cca(x, y).sum(),
    "procrustes_distance": similarity.procrustes_distance,
    "gcv": lambda x, y: learning.gcv(ja.spectrum(x, y), 1.0).sum(),
    "log_me": lambda x, y: transferability.log_me(ja.spectrum(x, y)),
}


def along_itself(gradient, x, y):
    return jax.jvp(lambda x: gradient(x, y), (x,), (x,))[1]


def of_its_sum(gradient, x, y):
    return jax.grad(lambda x: gradient(x, y).sum())(x)


@pytest.mark.parametrize("twice", [along_itself, of_its_sum])
@pytest.mark.parametrize("name", WITH_DERIVATIVE)
def test_second_derivatives_are_refused_by_name(data, name, twice):
    gradient = jax.grad(WITH_DERIVATIVE[name])
    with pytest.raises(TypeError, match="first derivatives in reverse mode only"):
        jax.make_jaxpr(partial(twice, gradient))(data[0][0], data[1][0])


def test_of_label_alignment_weights_alone_have_a_derivative(data):
    x, y = data[0][0], data[1][0]

    def loss(weights, x):
        ranks = {"rank": 2, "unlabelled_rank": 1}
        return ja.label_alignment_loss(weights, x, y, data[0][1], **ranks)

    weights = jnp.ones((5, 2))
    with pytest.raises(TypeError, match=r"respect to weights only; pass jax.lax.stop_gradient"):
        jax.make_jaxpr(jax.grad(loss, 1))(weights, x)
    jax.make_jaxpr(jax.grad(lambda w: loss(w, jax.lax.stop_gradient(w[0, 0] * x))))(weights)
    with pytest.raises(TypeError, match="differentiate label_alignment_loss"):
        jax.make_jaxpr(
            jax.grad(lambda x: ja.label_alignment_weights(x, y, x, rank=1, unlabelled_rank=1).sum())
        )(x)


IN_SHARD_MAP = {
    "auto": ja.spectrum,
    "split": partial(ja.spectrum, method="split"),
    "gradient": jax.grad(area),
    "quadrature": partial(ja.quadrature, order=2),
    "triangular": partial(ja.spectrum, method="triangular"),
    "moments": lambda x, y: ja.spectrum(ja.moments(x, y)),
    "bounds": lambda x, y: ja.quadrature_bounds(ja.quadrature(x, y, order=2), [0.5]),
    "blocks": lambda x, y: ja.spectrum(jnp.tile(x, (100, 1)), jnp.tile(y, (100, 1))),
    "gradient of cca": jax.grad(WITH_DERIVATIVE["cca"]),
    "log_me": WITH_DERIVATIVE["log_me"],
    "learning_curve": lambda x, y: learning.learning_curve(ja.spectrum(x, y), [9.0], ridge="best"),
    "tangent": lambda x, y: tangent.tangent_spectrum(
        lambda w, x: jnp.tanh(x @ w), jnp.ones(5), x, y[:, 0], order=2
    ),
}
FAST = {"auto", "quadrature"}


def over_devices(function, mesh, targets):
    """Each device's own function of its features, and of its targets or those of all."""

    def own(x, y):
        y = y if targets == P() else y[0]
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], function(x[0], y))

    return jax.shard_map(own, mesh=mesh, in_specs=(P("data"), targets), out_specs=P("data"))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in IN_SHARD_MAP]
)
@pytest.mark.parametrize("targets", [P("data"), P()], ids=["own", "shared"])
def test_operations_inside_shard_map_lower_everywhere(name, targets):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    function = jax.jit(over_devices(IN_SHARD_MAP[name], mesh, targets))
    shape = (4, 12, 2) if targets == P("data") else (12, 2)
    shapes = [jax.ShapeDtypeStruct(s, np.float32) for s in ((4, 12, 5), shape)]
    for platform in ("cuda", "tpu"):
        text = export(function, platforms=(platform,))(*shapes).mlir_module()
        assert not any(f"@{call}" in text for call in CPU_CALLS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quadrature", "gradient", "tangent"])
def test_each_device_of_a_shard_map_has_the_values_of_its_own_rows(data, name):
    mesh = jax.make_mesh((4,), ("data",))
    x, y = data
    shared = y[0]
    placed = jax.device_put(x, jax.sharding.NamedSharding(mesh, P("data")))
    found = jax.jit(over_devices(IN_SHARD_MAP[name], mesh, P()))(placed, shared)
    for i in range(4):
        expected = IN_SHARD_MAP[name](x[i], shared)
        for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(np.asarray(ours)[i], theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("function", [ja.spectrum, ja.moments, partial(ja.quadrature, order=2)])
def test_symbolic_sizes_are_refused_by_name(function):
    (size,) = jax.export.symbolic_shape("size")
    rows = [jax.ShapeDtypeStruct((size, d), np.float32) for d in (5, 2)]
    with pytest.raises(
        ValueError, match=r"features must have sizes that are known, .* \(size, 5\)"
    ):
        jax.eval_shape(function, *rows)
    stacks = [jax.ShapeDtypeStruct((size, 9, d), np.float32) for d in (5, 2)]
    with pytest.raises(ValueError, match="a batch must have sizes that are known"):
        jax.eval_shape(jax.vmap(function), *stacks)
