"""tap of layers that are rematerialized: the values and the gradients of the plain model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja

X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
LAYERS = ["first", "first.inner", "second", "second.inner"]


class Block(nnx.Module):
    def __init__(self, rngs):
        self.inner = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        return jnp.tanh(self.inner(x))


class Rematted(Block):
    @nnx.remat
    def __call__(self, x):
        return jnp.tanh(self.inner(x))


class Net(nnx.Module):
    def __init__(self, block, call):
        rngs = nnx.Rngs(0)
        self.first = block(rngs)
        self.second = block(rngs)
        self.call = call

    def __call__(self, x):
        return self.call(self.second, self.call(self.first, x))


def plain(layer, x):
    return layer(x)


POLICIES = jax.checkpoint_policies
FORMS = {
    "a method": (Rematted, plain),
    "a function": (Block, nnx.remat(plain)),
    "nothing kept": (Block, nnx.remat(plain, policy=POLICIES.nothing_saveable)),
    "products kept": (Block, nnx.remat(plain, policy=POLICIES.dots_saveable)),
    "names kept": (Block, nnx.remat(plain, policy=POLICIES.save_only_these_names("x"))),
    "in a scan": (Block, nnx.remat(plain, prevent_cse=False)),
    "twice": (Rematted, nnx.remat(plain)),
}
FAST = ("a method", "nothing kept")


@pytest.mark.parametrize(
    "form",
    [pytest.param(f, marks=[] if f in FAST else pytest.mark.slow) for f in FORMS],
)
def test_rematerialized_layers_have_the_values_and_gradients_of_plain_ones(form):
    def weighted(net):
        tap = ja.tap(net, LAYERS)

        def loss(state):
            outputs, activations = tap(state, X)
            assert list(activations) == ["first.inner", "first", "second.inner", "second"]
            sums = [(i + 1) * (x**2).sum() for i, x in enumerate(activations.values())]
            return sum(sums) + outputs.sum(), activations

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(nnx.state(net))

    found = weighted(Net(*FORMS[form]))
    expected = weighted(Net(Block, plain))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
