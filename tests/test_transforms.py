"""Operations inside the transformations of jax: right, or refused by name."""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.export import export
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign import (
    geometry,
    inspection,
    learning,
    similarity,
    tangent,
    training,
    transferability,
)
from jaxalign.models import MLP

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


def of_constants():
    """Operations with arguments whose values are looked at, where they can be."""
    rng = np.random.default_rng(0)
    x, z, y = (jnp.asarray(rng.standard_normal((12, d)), jnp.float32) for d in (3, 4, 2))
    weights = jnp.arange(1.0, 13.0)
    labels = (x[:, 0] > 0).astype(int)
    spectrum = ja.spectrum(x, y)
    folds = ja.Moments.stack([ja.moments(x[:6], y[:6]), ja.moments(x[6:], y[6:])])
    pair = similarity.pair_moments(x, z)
    number, numbers, key = jnp.float32(0.1), jnp.array([5.0, 6.0]), jax.random.key(0)
    ranks = {"rank": 1, "unlabelled_rank": 1}
    power_law = partial(geometry.alpha_req, ranks=(1, 3))
    return {
        "moments": (ja.moments, x, y, weights),
        "second pass": (
            lambda x, y, b: ja.moments(x, y, basis=b),
            x,
            y,
            ja.basis(ja.moments(x, y)),
        ),
        "triangle": (ja.triangle, x, y, weights),
        "aligned_rank": (ja.aligned_rank, spectrum, number),
        "isotropic_null": (ja.isotropic_null, spectrum),
        "permutation_null": (ja.permutation_null, ja.moments(x, y)),
        "smooth_alignment": (
            lambda s, threshold, width: ja.smooth_alignment(s, threshold, width=width),
            *(spectrum, number, number),
        ),
        "bootstrap_curves": (
            lambda m, t, key: ja.bootstrap_curves(m, t, key=key, draws=2),
            *(folds, numbers, key),
        ),
        "label_alignment_weights": (
            lambda x, y, s: ja.label_alignment_weights(x, y, x, strength=s, **ranks),
            *(x, y, number),
        ),
        "measure": (lambda x, y: ja.measure(x, y, centered=True), x, y),
        "gcv": (learning.gcv, spectrum, number),
        "learning_curve": (
            lambda s, n, ridge: learning.learning_curve(s, n, ridge=ridge),
            *(spectrum, numbers, number),
        ),
        "predicted_convergence": (
            lambda s, t, eta: ja.predicted_convergence(s, t, step_size=eta),
            *(spectrum, numbers, number / 10),
        ),
        "rankme": (geometry.rankme, spectrum),
        "alpha_req": (power_law, x),
        "lidar": (
            lambda x, y, ridge: geometry.lidar(x, y, classes=(0, 1), ridge=ridge),
            *(x, labels, number),
        ),
        "neural_collapse": (
            lambda x, y, head: geometry.neural_collapse(x, y, head, classes=(0, 1)),
            *(x, labels, y[:2] @ y[:3].T),
        ),
        "linear_cka": (similarity.linear_cka, x, z),
        "pair moments": (
            lambda x, z, m: similarity.linear_cka(similarity.pair_moments(x, z) + m),
            x,
            z,
            pair,
        ),
        "of pair moments": (similarity.cca, pair),
    }


@pytest.mark.parametrize("name", of_constants())
def test_arguments_may_be_constants_of_a_program(name):
    """Inside jit, jax traces every operation, also that of an array which is not traced."""
    function, *arguments = of_constants()[name]
    for traced in [*range(len(arguments)), None]:

        def of_one(argument, traced=traced):
            own = [argument if i == traced else x for i, x in enumerate(arguments)]
            return jax.tree.map(jnp.asarray, function(*own))

        jax.make_jaxpr(of_one)(0.0 if traced is None else arguments[traced])


@pytest.fixture(scope="module")
def model():
    return MLP(5, (4,), 2, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap])
def test_loops_that_read_values_are_refused_inside_programs(data, model, transform):
    x, y = data[0][0], data[1][0]
    regression = partial(ja.fit, objective=training.squared_error, steps=1, batch_size=4)

    def trained(number):
        return regression(model, optax.sgd(number), x, y)[1].loss

    def inspected(number):
        return inspection.inspect(ja.tap(model, "*"), nnx.state(model), [(x + number, y)]).spectra

    refusal = "cannot be part of jit, vmap or grad; call it outside"
    for function in (trained, inspected):
        with pytest.raises(TypeError, match=refusal):
            transform(function)(jnp.ones(1) if transform == jax.vmap else 1.0)


def test_a_stream_of_traced_batches_is_told_how_many_passes_it_takes(data):
    x, y = data[0][0], data[1][0]
    with pytest.raises(ValueError, match=r"traced, .* pass method='moments' or 'refined'"):
        jax.make_jaxpr(lambda x: ja.stream_spectrum([(x, y)]))(x)


@pytest.mark.slow
def test_monitors_may_be_made_inside_a_program(data, model):
    x, y = data[0][0], data[1][0]
    tap, state = ja.tap(model, "*"), nnx.state(model)
    expected = ja.monitor(tap, x, y)(state)
    found = jax.jit(lambda x, y: ja.monitor(tap, x, y, centered=True)(state))(x, y)
    for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"targets are traced, .* pass centered=True"):
        jax.make_jaxpr(lambda y: ja.monitor(tap, x, y)(state))(y)
