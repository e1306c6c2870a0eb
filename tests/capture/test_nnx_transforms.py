"""tap of flax.nnx layers in every container, under every transformation: the values of numpy."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja

# Layers, features and in one case samples are as many, so that only their meaning differs.
LENGTH = 4
WIDTH = 4


class Layer(nnx.Module):
    def __init__(self, rngs):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (WIDTH, WIDTH)) / 2)
        self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)

    def __call__(self, x):
        return self.dropout(jnp.tanh(x @ self.kernel))


class Transform(NamedTuple):
    kind: str  # of conftest
    call: Callable


def by_state(function):
    """``function(layer of a state, state, x)`` as a function of (layer, x)."""

    def call(layer, x):
        graph, state = nnx.split(layer)
        return function(lambda state, x: nnx.merge(graph, state)(x), state, x)

    return call


def repeated(x):
    """(n, LENGTH, WIDTH): multiples of x."""
    return x[:, None] * jnp.arange(LENGTH, dtype=x.dtype)[:, None]


def custom_vjp(layer, x):
    call = jax.custom_vjp(lambda x: layer(x))
    call.defvjp(lambda x: (call(x), None), lambda _, bar: (bar,))
    return call(x)


def layer_alone(layer, x):
    return layer(x)


def entry(state, i):
    return jax.tree.map(lambda leaf: leaf[i], state)


def of_stack(x, layer):
    return layer(x)


CARRIED = {"in_axes": (nnx.Carry, 0), "out_axes": nnx.Carry}

GIVING = {
    "none": Transform("one", layer_alone),
    "jit": Transform("one", lambda layer, x: jax.jit(lambda x: layer(x))(x)),
    "jit of the layer": Transform("one", lambda layer, x: jax.jit(layer)(x)),
    "checkpoint": Transform("one", lambda layer, x: jax.checkpoint(lambda x: layer(x))(x)),
    "custom_vjp": Transform("one", custom_vjp),
    "vjp": Transform("one", lambda layer, x: jax.vjp(jax.checkpoint(layer), x)[0]),
    "vmap": Transform("one", lambda layer, x: jax.vmap(layer)(x)),
    "vmap, last axis": Transform("one", lambda layer, x: jax.vmap(layer, 1, 1)(x.T).T),
    "vmap of jit": Transform("one", lambda layer, x: jax.vmap(jax.jit(layer))(x)),
    "vmap with state": Transform("one", by_state(lambda f, s, x: jax.vmap(f, (None, 0))(s, x))),
    "vmap of positions": Transform(
        "positions", lambda layer, x: jax.vmap(layer, 1, 1)(repeated(x)).mean(1)
    ),
    "vmap of vmap": Transform(
        "positions", lambda layer, x: jax.vmap(jax.vmap(layer))(repeated(x)).mean(1)
    ),
    "vmap of layers": Transform(
        "ensemble", by_state(lambda f, s, x: jax.vmap(f, (0, None))(s, x).mean(0))
    ),
    "vmap of layers, last axis": Transform(
        "ensemble", by_state(lambda f, s, x: jax.vmap(f, (0, None), -1)(s, x).mean(-1))
    ),
    "vmap of layers and samples": Transform(
        "ensemble",
        by_state(lambda f, s, x: jax.vmap(jax.vmap(f, (None, 0)), (0, None))(s, x).mean(0)),
    ),
    "map": Transform("one", lambda layer, x: jax.lax.map(lambda x: layer(x), x)),
    "map of chunks": Transform(
        "one", lambda layer, x: jax.lax.map(lambda x: layer(x), x, batch_size=2)
    ),
    "map of parts": Transform(
        "one",
        lambda layer, x: jax.lax.map(lambda x: layer(x), x.reshape(2, -1, WIDTH)).reshape(x.shape),
    ),
    "scan": Transform(
        "calls",
        lambda layer, x: jax.lax.scan(lambda x, _: (layer(x), None), x, length=LENGTH)[0],
    ),
    "fori_loop": Transform(
        "calls", lambda layer, x: jax.lax.fori_loop(0, LENGTH, lambda i, x: layer(x), x)
    ),
    "scan of layers": Transform(
        "stack",
        by_state(lambda f, s, x: jax.lax.scan(lambda x, s: (f(s, x), None), x, s)[0]),
    ),
    "scan by index": Transform(
        "stack",
        by_state(lambda f, s, x: jax.lax.fori_loop(0, LENGTH, lambda i, x: f(entry(s, i), x), x)),
    ),
    "vmap of scan": Transform(
        "stack",
        by_state(
            lambda f, s, x: jax.vmap(
                lambda row: jax.lax.scan(lambda row, s: (f(s, row), None), row, s)[0]
            )(x)
        ),
    ),
    "nnx.jit": Transform("one", lambda layer, x: nnx.jit(lambda f, x: f(x))(layer, x)),
    "nnx.remat": Transform("one", lambda layer, x: nnx.remat(lambda f, x: f(x))(layer, x)),
    "nnx.vmap": Transform(
        "one", lambda layer, x: nnx.vmap(lambda f, x: f(x), in_axes=(None, 0))(layer, x)
    ),
    "nnx.vmap of layers": Transform(
        "ensemble",
        lambda layer, x: nnx.vmap(lambda f, x: f(x), in_axes=(0, None))(layer, x).mean(0),
    ),
    "nnx.scan": Transform("stack", lambda layer, x: nnx.scan(of_stack, **CARRIED)(x, layer)),
    "nnx.scan of nnx.remat": Transform(
        "stack", lambda layer, x: nnx.scan(nnx.remat(of_stack), **CARRIED)(x, layer)
    ),
    "nnx.fori_loop": Transform(
        "calls",
        lambda layer, x: nnx.fori_loop(
            0, LENGTH, lambda i, pair: (pair[0], pair[0](pair[1])), (layer, x)
        )[1],
    ),
}

REFUSING = {
    "cond": lambda layer, x: jax.lax.cond(x.sum() > 0, lambda x: layer(x), lambda x: x, x),
    "switch": lambda layer, x: jax.lax.switch(x.argmax() % 2, [lambda x: layer(x), jnp.sin], x),
    "nnx.cond": lambda layer, x: nnx.cond(x.sum() > 0, lambda f, x: f(x), lambda f, x: x, layer, x),
    "while_loop": lambda layer, x: jax.lax.while_loop(lambda x: x.sum() > 1, lambda x: layer(x), x),
    "nnx.while_loop": lambda layer, x: nnx.while_loop(
        lambda pair: pair[1].sum() > 1, lambda pair: (pair[0], pair[0](pair[1])), (layer, x)
    )[1],
}


class Attributes(nnx.Module):
    def __init__(self, layers):
        self.names = tuple(f"b{99 - i}" for i in range(len(layers)))
        for name, layer in zip(self.names, layers, strict=True):
            setattr(self, name, layer)

    def items(self):
        return [(name, value) for name, value in vars(self).items() if name in self.names]

    def sizes(self):
        return [len(vars(self))]


class List(nnx.Module):
    def __init__(self, layers):
        self.layers = nnx.List(layers)

    def items(self):
        return [(f"layers.{i}", layer) for i, layer in enumerate(self.layers)]

    def sizes(self):
        return [len(self.layers)]


class Tuple(List):
    def __init__(self, layers):
        self.layers = nnx.data(tuple(layers))


class Dict(List):
    """Its keys are not in the order of the alphabet."""

    def __init__(self, layers):
        self.layers = nnx.Dict({f"b{99 - i}": layer for i, layer in enumerate(layers)})

    def items(self):
        return [(f"layers.{key}", layer) for key, layer in self.layers.items()]


class Sequential(nnx.Module):
    def __init__(self, layers):
        self.all = nnx.Sequential(*layers)

    def items(self):
        return [(f"all.layers.{i}", layer) for i, layer in enumerate(self.all.layers)]

    def sizes(self):
        return [len(self.all.layers), len(vars(self.all))]


class Nested(nnx.Module):
    def __init__(self, layers):
        half = len(layers) // 2
        parts = {"z": layers[:half], "a": layers[half:]}
        lists = {key: nnx.List([nnx.Dict(z=f) for f in part]) for key, part in parts.items()}
        self.inner = List([nnx.Dict(lists)])

    def items(self):
        return [
            (f"inner.layers.0.{key}.{i}.z", layers["z"])
            for key, several in self.inner.layers[0].items()
            for i, layers in enumerate(several)
        ]

    def sizes(self):
        lists = self.inner.layers[0]
        return [len(lists), *map(len, lists.values()), len(lists["a"][0])]


CONTAINERS = [Attributes, List, Tuple, Dict, Sequential, Nested]


class Model(nnx.Module):
    """A container with a layer for each transformation, all called with the inputs."""

    def __init__(self, container, transforms):
        rngs = nnx.Rngs(0)
        layers = []
        for transform in transforms:
            if transform.kind in ("stack", "ensemble"):
                layers.append(nnx.vmap(Layer)(rngs.split(LENGTH)))
            else:
                layers.append(Layer(rngs))
        self.container = container(layers)
        self.calls = tuple(transform.call for transform in transforms)

    def named(self):
        return [(f"container.{name}", layer) for name, layer in self.container.items()]

    def __call__(self, x):
        calls = zip(self.named(), self.calls, strict=True)
        return {name: call(layer, x) for (name, layer), call in calls}, self.container.sizes()


def inputs(n):
    return jnp.asarray(np.random.default_rng(0).standard_normal((n, WIDTH)), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "n"), [(Nested, LENGTH), *((container, 6) for container in CONTAINERS)]
)
def test_every_transformation_gives_the_value(container, n, assert_is_that_of_numpy):
    model = Model(container, GIVING.values())
    x = inputs(n)
    # Layers without parameters, the dropouts, are captured as those with.
    (output, sizes), activations = jax.jit(ja.tap(model))(nnx.state(model), x)
    assert sizes == model.container.sizes()
    names = [name for name, _ in model.named()]
    kinds = dict(zip(names, (transform.kind for transform in GIVING.values()), strict=True))
    kernels = {name: layer.kernel[...] for name, layer in model.named()}
    dropouts = {name for name in activations if ".dropout" in name}
    layers = {name: activations[name] for name in activations if name not in dropouts}
    assert_is_that_of_numpy(output, layers, kinds, kernels, x)
    assert dropouts == {dropout_of(name) for name in layers}
    for name, value in layers.items():
        np.testing.assert_array_equal(activations[dropout_of(name)], value, err_msg=name)


def dropout_of(name):
    layer, bracket, number = name.partition("[")
    return f"{layer}.dropout{bracket}{number}"


@pytest.mark.parametrize(
    "container",
    [Dict, *[pytest.param(one, marks=pytest.mark.slow) for one in CONTAINERS if one is not Dict]],
)
def test_only_branches_and_loops_of_unknown_length_refuse(container):
    for name, call in REFUSING.items():
        transform = name.removeprefix("nnx.").replace("switch", "cond")
        model = Model(container, [Transform("one", call)] * 2)
        (layer, _), _ = model.named()
        with pytest.raises(ValueError, match=rf"layer '{layer}' is inside {transform}, out of"):
            jax.eval_shape(ja.tap(model, Layer), nnx.state(model), inputs(3))
    # What they hold is all that is left out.
    model = Model(container, [Transform("one", call) for call in (*REFUSING.values(), layer_alone)])
    *_, (last, _) = model.named()
    _, activations = jax.eval_shape(ja.tap(model, last), nnx.state(model), inputs(3))
    assert list(activations) == [last]
