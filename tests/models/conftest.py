import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx


@pytest.fixture(scope="session")
def filled():
    """``filled(build, array_of)``: the model of ``build(rngs=...)``, its parameters and statistics
    being array_of(path, shape).

    Compiling the initial weights would take longer than most tests.
    """

    def fill(build, array_of):
        model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))

        def value(path, variable):
            if isinstance(variable, nnx.RngState):
                return variable.replace(
                    jax.random.key(0) if isinstance(variable, nnx.RngKey) else jnp.uint32(0)
                )
            array = array_of(tuple(map(str, path)), variable.get_value().shape)
            assert array.shape == variable.get_value().shape, path
            return variable.replace(jnp.asarray(array, jnp.float32))

        nnx.update(model, nnx.map_state(value, nnx.state(model)))
        return model

    return fill


@pytest.fixture(scope="session")
def random_model(filled):
    """``random_model(build)``: kernels and embeddings are random, all else is near one or zero."""

    def make(build):
        rng = np.random.default_rng(0)

        def array_of(path, shape):
            noise = rng.standard_normal(shape)
            if path[-1] == "kernel":
                return noise * (2 / np.prod(shape[:-1])) ** 0.5
            if path[-1] == "embedding":
                return noise
            return np.exp(0.1 * noise) if path[-1] in ("scale", "var") else 0.1 * noise

        return filled(build, array_of)

    return make


@pytest.fixture(scope="session")
def forward():
    """``forward(model, *arguments)``: a call as one program, not an operation at a time."""
    return nnx.jit(lambda model, *arguments: model(*arguments))
