import threading
from collections import OrderedDict

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja


class Block(nnx.Module):
    def __init__(self, width, rngs):
        self.linear = nnx.Linear(width, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.dropout(self.norm(self.linear(x))))


class Net(nnx.Module):
    """Attributes are deliberately not in the order in which they run; ``shared`` runs three times,
    in three ways.
    """

    def __init__(self, rngs, depth):
        self.head = nnx.Linear(4, 1, rngs=rngs)
        self.blocks = nnx.List([Block(4, rngs) for _ in range(depth)])
        self.shared = nnx.Linear(4, 4, rngs=rngs)
        self.unused = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        x = self.shared(x)
        x = nnx.remat(lambda layer, x: layer(x))(self.shared, x)
        x = nnx.jit(lambda layer, x: layer(x))(self.shared, x)
        return self.head(nnx.relu(x))


@pytest.fixture(scope="module")
def built():
    return Net(nnx.Rngs(0), depth=3)


@pytest.fixture
def net(built):
    return nnx.clone(built)


def sequential(outputs, seed=0):
    """Two layers with a functional relu between them."""
    rngs = nnx.Rngs(seed)
    return nnx.Sequential(nnx.Linear(4, 3, rngs=rngs), nnx.relu, nnx.Linear(3, outputs, rngs=rngs))


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.standard_normal((6, 4)), jnp.float32)


def test_names_come_in_the_order_layers_run_also_through_jit(x):
    net = Net(nnx.Rngs(0), depth=11)  # of which 10 would be sorted before 2
    tap, state = ja.tap(net), nnx.state(net)
    expected = [
        f"blocks.{i}{part}" for i in range(11) for part in (".linear", ".norm", ".dropout", "")
    ]
    expected += ["shared", "shared#2", "shared#3", "head"]
    for way in (tap, jax.jit(tap)):
        _, activations = way(state, x)
        assert isinstance(activations, OrderedDict)
        assert list(activations) == expected


def test_output_and_activations_are_those_of_the_model(x, x64):
    model = sequential(2)
    first, last = model.layers[0], model.layers[2]
    hidden = first(x)
    output, outputs = ja.tap(model)(nnx.state(model), x)
    np.testing.assert_array_equal(output, model(x))
    np.testing.assert_array_equal(outputs["layers.0"], hidden)
    np.testing.assert_array_equal(outputs["layers.2"], last(nnx.relu(hidden)))
    _, inputs = ja.tap(model, at="input")(nnx.state(model), x)
    np.testing.assert_array_equal(inputs["layers.0"], x)
    # A functional relu, seen from the next layer.
    np.testing.assert_array_equal(inputs["layers.2"], nnx.relu(hidden))


def test_keyword_inputs_are_captured():
    class ByKeyword(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x):
            return self.layer(inputs=x)

    model = ByKeyword(nnx.Rngs(0))
    _, activations = ja.tap(model, at="input")(nnx.state(model), jnp.ones((3, 4)))
    assert activations["layer"].shape == (3, 4)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("head", ["head"]),
        (["head", "blocks.1"], ["blocks.1", "head"]),
        ("blocks.[01].linear", ["blocks.0.linear", "blocks.1.linear"]),
        ("*.norm", [f"blocks.{i}.norm" for i in range(3)]),
        (nnx.BatchNorm, [f"blocks.{i}.norm" for i in range(3)]),
        (lambda name, layer: isinstance(layer, nnx.Linear) and layer.out_features == 1, ["head"]),
        ([Block, "head"], [*(f"blocks.{i}" for i in range(3)), "head"]),
    ],
)
def test_filters_by_name_type_and_predicate(net, x, layers, expected):
    _, activations = ja.tap(net, layers)(nnx.state(net), x)
    assert list(activations) == expected


def test_a_layer_that_is_not_there_raises_with_the_names_there_are(net):
    with pytest.raises(
        ValueError,
        match=r"layers \['conv\*'\] are not layers of the model; "
        r"the names there are: .*head.*shared",
    ):
        ja.tap(net, ["head", "conv*"])


def test_two_layers_of_one_name_are_refused(x):
    """One of them would be missing, or taken for a second call of the other."""

    class Dotted(nnx.Module):
        def __init__(self):
            inner = nnx.Dict({"b": nnx.Linear(4, 4, rngs=nnx.Rngs(0))})
            self.layers = nnx.Dict({"a.b": nnx.Linear(4, 4, rngs=nnx.Rngs(1)), "a": inner})

        def __call__(self, x):
            return self.layers["a"]["b"](self.layers["a.b"](x))

    class Inner(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(4, name="b")(x)

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Inner(name="a")(nn.Dense(4, name="a.b")(x))

    with pytest.raises(ValueError, match=r"found two named 'layers\.a\.b'; rename the"):
        ja.tap(Dotted())
    with pytest.raises(ValueError, match=r"found two named 'a\.b'"):
        ja.tap(Outer())(Outer().init(jax.random.key(0), x), x)


def test_a_layer_that_is_never_called_raises_with_the_names_that_are(net, x):
    tap = ja.tap(net, ["head", "unused"])
    with pytest.raises(
        ValueError,
        match=r"layers \['unused'\] were asked for .* never computed, or is not an array; "
        r"the names there are: head",
    ):
        tap(nnx.state(net), x)


def test_layers_that_return_no_array_are_left_out(x):
    class Pair(nnx.Module):
        def __call__(self, x):
            return x, 2 * x

    class Model(nnx.Module):
        def __init__(self):
            self.pair, self.last = Pair(), nnx.Linear(4, 1, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.last(self.pair(x)[0])

    model = Model()
    assert list(ja.tap(model)(nnx.state(model), x)[1]) == ["last"]
    assert list(ja.tap(model, at="input")(nnx.state(model), x)[1]) == ["pair", "last"]
    with pytest.raises(
        ValueError,
        match=r"\['pair'\] were asked for and their output was never computed, or is not an array",
    ):
        ja.tap(model, "pair")(nnx.state(model), x)


def test_other_bad_arguments_are_explained(net):
    with pytest.raises(ValueError, match="at must be 'output' or 'input', found 'middle'"):
        ja.tap(net, at="middle")
    with pytest.raises(
        TypeError, match=r"model must be a module of flax.nnx, .* or a function, found "
    ):
        ja.tap(3)
    with pytest.raises(TypeError, match=r"model must be an instance, found the class Net"):
        ja.tap(Net)
    with pytest.raises(
        TypeError, match=r"glob patterns, types or predicates of \(name, layer\), found 3"
    ):
        ja.tap(net, ["head", 3])
    with pytest.raises(ValueError, match="at least one"):
        ja.tap(net, [])


def test_pure_and_leaves_the_model_and_its_classes_alone(net, x):
    classes = {path: type(module) for path, module in nnx.iter_modules(net)}
    call = Block.__call__
    before = jax.tree.map(jnp.copy, nnx.state(net))
    tap = ja.tap(net)
    first, again = tap(before, x), tap(before, x)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)  # dropout's and BatchNorm's state did not move
    assert {path: type(module) for path, module in nnx.iter_modules(net)} == classes
    assert Block.__call__ is call
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: (a == b).all(), before, nnx.state(net))))


def test_vmap_over_seeds_and_grad(x):
    model = sequential(1)
    tap = ja.tap(model)
    states = [nnx.state(sequential(1, seed)) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    _, together = jax.jit(jax.vmap(tap, (0, None)))(stacked, x)
    for i, state in enumerate(states):
        np.testing.assert_allclose(together["layers.0"][i], tap(state, x)[1]["layers.0"], rtol=1e-6)

    gradient = jax.jit(jax.grad(lambda s: (tap(s, x)[1]["layers.0"] ** 2).sum()))(states[0])
    expected = jax.grad(lambda s: (nnx.merge(nnx.graphdef(model), s).layers[0](x) ** 2).sum())(
        states[0]
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), gradient, expected)


def test_inside_grad_with_batch_norm_in_training_mode(net, x):
    parameters, rest = nnx.split_state(nnx.state(net), nnx.Param, ...)

    def area(parameters):
        _, activations = ja.tap(net, "blocks.1")(nnx.merge_state(parameters, rest), x)
        targets = jnp.array([[1.0], [-1], [1], [-1], [1], [-1]])
        return ja.alignment_area(ja.spectrum(ja.prepare(activations["blocks.1"]), targets)).sum()

    assert all(np.isfinite(g).all() for g in jax.tree.leaves(jax.jit(jax.grad(area))(parameters)))


def test_an_unused_capture_costs_nothing(x):
    model = sequential(1)
    graph, state = nnx.split(model)
    tap = ja.tap(model)

    def program(function):
        text = jax.jit(function).lower(state, x).compile().as_text()
        return [line.split("metadata")[0] for line in text.splitlines() if " = " in line]

    assert len(program(lambda s, x: tap(s, x)[0])) == len(
        program(lambda s, x: nnx.merge(graph, s)(x))
    )


def test_threads_may_trace_at_once(net, x):
    tap, state, found = ja.tap(net), nnx.state(net), []
    threads = [
        threading.Thread(target=lambda: found.append(len(jax.jit(tap)(state, x)[1])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [16] * 4


class Stacked(nnx.Module):
    """Three layers as one, run by nnx.scan, the way large models are written."""

    def __init__(self, rngs):
        self.layers = nnx.vmap(lambda rngs: nnx.Linear(4, 4, rngs=rngs))(rngs.split(3))
        self.head = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        step = nnx.scan(
            lambda x, layer: nnx.tanh(layer(x)), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry
        )
        return self.head(step(x, self.layers))


def test_the_layers_of_a_scan_are_numbered(x):
    model = Stacked(nnx.Rngs(0))
    state = nnx.state(model)
    output, activations = jax.jit(ja.tap(model))(state, x)
    np.testing.assert_allclose(output, model(x), rtol=1e-6)
    assert list(activations) == ["layers[0]", "layers[1]", "layers[2]", "head"]
    hidden = x
    for i in range(3):
        hidden = hidden @ model.layers.kernel[...][i] + model.layers.bias[...][i]
        np.testing.assert_allclose(activations[f"layers[{i}]"], hidden, rtol=1e-4, atol=1e-5)
        hidden = nnx.tanh(hidden)


def test_rows_over_devices(net, x):
    """Inside shard_map every device captures its own rows."""
    net.eval()
    mesh = jax.make_mesh((2,), ("data",))
    rows, everywhere = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
    split_x = jax.device_put(x, jax.sharding.NamedSharding(mesh, rows))
    tap = ja.tap(net, "blocks.1")

    def activation(state, x):
        return tap(state, x)[1]["blocks.1"]

    split = jax.shard_map(activation, mesh=mesh, in_specs=(everywhere, rows), out_specs=rows)
    np.testing.assert_allclose(
        jax.jit(split)(nnx.state(net), split_x), activation(nnx.state(net), x), rtol=1e-5, atol=1e-6
    )
