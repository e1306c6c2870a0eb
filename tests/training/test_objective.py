import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign.training import classification


def test_binary_and_softmax_agree(rng, x64):
    """One logit z is the softmax of (0, z)."""
    logits = jnp.asarray(rng.standard_normal((20, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, 20))
    loss, metrics = jax.jit(classification)(logits, labels)
    other, other_metrics = classification(
        jnp.concatenate([jnp.zeros_like(logits), logits], axis=1), labels
    )
    np.testing.assert_allclose(loss, other, rtol=1e-5)
    assert metrics["accuracy"] == other_metrics["accuracy"]
    assert loss.dtype == jnp.float32


def test_known_values():
    loss, metrics = classification(jnp.array([[0.0], [0.0]]), jnp.array([0, 1]))
    assert loss == pytest.approx(np.log(2), rel=1e-6)
    assert metrics["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("outputs", "labels"), [((4,), (4,)), ((4, 2), (3,)), ((4, 2), (4, 2)), ((4, 2, 2), (4,))]
)
def test_shapes_that_do_not_fit_are_explained(outputs, labels):
    with pytest.raises(ValueError, match=r"needs outputs \(n, c\) and labels \(n,\)"):
        classification(jnp.zeros(outputs), jnp.zeros(labels, jnp.int32))
