"""tap of flax.linen layers in every container, under every transformation: the values of numpy."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja

# As long as the axis of features, and in one case that of samples.
LENGTH = 4
WIDTH = 4


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.normal(0.5), (WIDTH, WIDTH))
        return nn.Dropout(0.5, deterministic=True, name="dropout")(jnp.tanh(x @ kernel))


class Step(nn.Module):
    """A layer as scan calls it."""

    @nn.compact
    def __call__(self, x, _):
        return Layer(name="layer")(x), None


class Transform(NamedTuple):
    """What a model calls, how, and what kind of layer it is then."""

    kind: str
    make: Callable = Layer
    call: Callable = lambda layer, x: layer(x)


def outside(transform):
    """``transform(layer, x)``, and the layer itself when it is initialized, as linen wants it."""

    def call(layer, x):
        if layer.is_initializing():
            return layer(x)
        return transform(layer, x)

    return call


def scanned(layer, x):
    return layer(x, None)[0]


OWN = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
SHARED = {"variable_axes": {"params": None}, "split_rngs": {"params": False}}
BROADCAST = {"variable_broadcast": "params", "split_rngs": {"params": False}}

GIVING = {
    "none": Transform("one"),
    "jit": Transform("one", call=outside(lambda f, x: jax.jit(lambda x: f(x))(x))),
    "checkpoint": Transform("one", call=outside(lambda f, x: jax.checkpoint(lambda x: f(x))(x))),
    "vmap": Transform("one", call=outside(lambda f, x: jax.vmap(lambda x: f(x))(x))),
    "map": Transform("one", call=outside(lambda f, x: jax.lax.map(lambda x: f(x), x))),
    "scan": Transform(
        "calls",
        call=outside(lambda f, x: jax.lax.scan(lambda x, _: (f(x), None), x, length=LENGTH)[0]),
    ),
    "fori_loop": Transform(
        "calls",
        call=outside(lambda f, x: jax.lax.fori_loop(0, LENGTH, lambda i, x: f(x), x)),
    ),
    "nn.jit": Transform("one", nn.jit(Layer)),
    "nn.jit again": Transform("one", nn.jit(Layer)),
    "nn.jit of a call": Transform("one", call=lambda f, x: nn.jit(lambda f, x: f(x))(f, x)),
    "nn.remat": Transform("one", nn.remat(Layer)),
    "nn.remat of a call": Transform("one", call=lambda f, x: nn.remat(lambda f, x: f(x))(f, x)),
    "nn.vjp": Transform("one", call=lambda f, x: nn.vjp(lambda f, x: f(x), f, x)[0]),
    "nn.vmap": Transform("one", nn.vmap(Layer, in_axes=0, **SHARED)),
    "nn.vmap of a call": Transform(
        "one", call=lambda f, x: nn.vmap(lambda f, x: f(x), in_axes=0, **SHARED)(f, x)
    ),
    "nn.vmap of layers": Transform(
        "ensemble",
        nn.vmap(Layer, in_axes=None, axis_size=LENGTH, **OWN),
        lambda f, x: f(x).mean(0),
    ),
    "nn.scan": Transform("stack", nn.scan(Step, length=LENGTH, **OWN), scanned),
    "nn.scan of nn.remat": Transform(
        "stack", nn.scan(nn.remat(Step, prevent_cse=False), length=LENGTH, **OWN), scanned
    ),
    "nn.scan of nn.jit": Transform("stack", nn.scan(nn.jit(Step), length=LENGTH, **OWN), scanned),
    "nn.scan of one layer": Transform("calls", nn.scan(Step, length=LENGTH, **BROADCAST), scanned),
    "nn.scan of a call": Transform(
        "calls",
        call=lambda f, x: nn.scan(lambda f, x, _: (f(x), None), length=LENGTH, **BROADCAST)(
            f, x, None
        )[0],
    ),
}

REFUSING = {
    "cond": lambda f, x: jax.lax.cond(x.sum() > 0, lambda x: f(x), lambda x: x, x),
    "nn.cond": lambda f, x: nn.cond(x.sum() > 0, lambda f, x: f(x), lambda f, x: x, f, x),
    "nn.switch": lambda f, x: nn.switch(x.argmax() % 2, [lambda f, x: f(x), lambda f, x: x], f, x),
    "while_loop": lambda f, x: jax.lax.while_loop(lambda x: x.sum() > 1, lambda x: f(x), x),
    "nn.while_loop": lambda f, x: nn.while_loop(
        lambda f, x: x.sum() > 1, lambda f, x: f(x), f, x, broadcast_variables="params"
    ),
}


class Model(nn.Module):
    """A container with a layer for each transformation, all called with the inputs."""

    transforms: Any

    def made(self):
        return [transform.make() for transform in self.transforms]

    @nn.nowrap
    def outputs(self, layers, x):
        calls = [transform.call for transform in self.transforms]
        # In the order of the transformations, which jit keeps of these.
        return OrderedDict(
            (".".join(layer.path), call(layer, x))
            for layer, call in zip(layers, calls, strict=True)
        )


class Compact(Model):
    @nn.compact
    def __call__(self, x):
        return self.outputs(self.made(), x), jnp.ones(1)


class List(Model):
    def setup(self):
        self.layers = self.made()

    def __call__(self, x):
        return self.outputs(self.layers, x), jnp.ones(len(self.layers))


class Dict(Model):
    def setup(self):
        self.layers = {f"b{99 - i}": layer for i, layer in enumerate(self.made())}

    def __call__(self, x):
        return self.outputs(self.layers.values(), x), jnp.ones(len(self.layers))


class Nested(Model):
    def setup(self):
        made = self.made()
        self.layers = {"z": tuple(made[:3]), "a": [{"y": layer} for layer in made[3:]]}

    def __call__(self, x):
        layers = [*self.layers["z"], *(one["y"] for one in self.layers["a"])]
        return self.outputs(layers, x), jnp.ones(len(self.layers["a"]))


class Sequential(Model):
    def setup(self):
        self.all = nn.Sequential(self.made())

    def __call__(self, x):
        return self.outputs(self.all.layers, x), jnp.ones(len(self.all.layers))


CONTAINERS = [Compact, List, Dict, Nested, Sequential]


def built(container, transforms, n):
    model = container(tuple(transforms))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((n, WIDTH)), jnp.float32)
    return model, jax.jit(model.init)(jax.random.key(0), x), x


def kernels_of(parameters, path=()):
    """{name of a layer: its kernel}."""
    found = {}
    for key, value in parameters.items():
        if key == "kernel":
            found[".".join(path)] = value
        else:
            found |= kernels_of(value, (*path, key))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "n"), [(Nested, LENGTH), *((container, 6) for container in CONTAINERS)]
)
def test_every_transformation_gives_the_value(container, n, assert_is_that_of_numpy):
    model, variables, x = built(container, GIVING.values(), n)
    (output, counted), activations = jax.jit(ja.tap(model, [Layer, nn.Dropout]))(variables, x)
    plain, plain_counted = jax.eval_shape(model.apply, variables, x)
    assert counted.shape == plain_counted.shape
    # Of a scan, the layer is inside the step.
    kernels = kernels_of(variables["params"])
    inside = {name.removesuffix(".layer"): name for name in kernels}
    names = [inside[name] for name in plain]
    kinds = dict(zip(names, (transform.kind for transform in GIVING.values()), strict=True))
    outputs = {inside[name]: value for name, value in output.items()}
    dropouts = {name for name in activations if ".dropout" in name}
    layers = {name: activations[name] for name in activations if name not in dropouts}
    assert_is_that_of_numpy(outputs, layers, kinds, kernels, x)
    assert len(dropouts) == len(layers)


@pytest.mark.parametrize(
    "container",
    [Dict, *[pytest.param(one, marks=pytest.mark.slow) for one in CONTAINERS if one is not Dict]],
)
def test_only_branches_and_loops_of_unknown_length_refuse(container):
    for name, call in REFUSING.items():
        transform = name.removeprefix("nn.").replace("switch", "cond")
        model, variables, x = built(container, [Transform("one", Layer, outside(call))] * 4, 3)
        with pytest.raises(ValueError, match=rf"layer '\w*(\.\w*)?' is inside {transform}, out of"):
            jax.eval_shape(ja.tap(model, Layer), variables, x)
