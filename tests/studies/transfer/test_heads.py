import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from jaxalign.studies.transfer.heads import HEAD_RATE, read, train_head


def test_turning_a_representation_changes_nothing(rng):
    activations, test = rng.standard_normal((2, 30, 4)), rng.standard_normal((2, 20, 4))
    labels, test_labels = rng.integers(0, 2, (2, 30)), rng.integers(0, 2, 20)
    found = read(jnp.asarray(activations), jnp.asarray(test), labels, test_labels, 10)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    turned = read(
        jnp.asarray(activations @ turn), jnp.asarray(test @ turn), labels, test_labels, 10
    )
    for a, b in zip(found, turned, strict=True):
        assert a.shape == (2,)
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_head_descends_to_logistic_regression(rng):
    features = rng.standard_normal((200, 3))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = (features[:, 0] + 0.7 * rng.standard_normal(200) > 0).astype(float)

    def log_loss(w):
        return np.mean(np.logaddexp(0, features @ w) - labels * (features @ w))

    def head(steps):
        return train_head(
            jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.float32), steps
        )

    weights, _ = head(2000)
    np.testing.assert_allclose(weights, minimize(log_loss, np.zeros(3)).x, atol=2e-3)
    first, loss = head(1)
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(first, HEAD_RATE * features.T @ (labels - 0.5) / 200, atol=1e-5)
