import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import MLP


@pytest.mark.parametrize("activation", [jax.nn.relu, jnp.tanh])
def test_default_capture_is_the_post_activation(rng, activation):
    model = MLP(12, (8, 5), 2, activation=activation, rngs=nnx.Rngs(0))
    x = jnp.asarray(rng.standard_normal((4, 3, 4)), jnp.float32)
    output, found = ja.tap(model)(nnx.state(model), x)
    first = activation(x.reshape(4, 12) @ model.hidden_1.kernel[...])
    second = activation(first @ model.hidden_2.kernel[...])
    assert list(found) == ["hidden_1", "hidden_2", "logits"]
    np.testing.assert_allclose(found["hidden_1"], first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["hidden_2"], second, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        output, second @ model.logits.kernel[...] + model.logits.bias[...], rtol=1e-5, atol=1e-6
    )


def test_the_demo_network_has_biases_at_the_output_only():
    model = nnx.eval_shape(lambda: MLP(3072, (128,) * 3, 1, rngs=nnx.Rngs(0)))
    sizes = jax.tree.map(lambda leaf: leaf.size, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    assert sum(jax.tree.leaves(sizes)) == 3072 * 128 + 2 * 128 * 128 + 128 + 1
    with_bias = nnx.eval_shape(lambda: MLP(4, (3,), 1, bias=True, rngs=nnx.Rngs(0)))
    assert with_bias.hidden_1.bias.shape == (3,)
