"""A mask says which positions count, and nothing else; what it closes over may change."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import inspect


@pytest.fixture(scope="module")
def layers():
    model = nnx.Sequential(nnx.Embed(9, 3, rngs=nnx.Rngs(0)), lambda x: x)
    return ja.tap(model, "layers.0"), nnx.state(model)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 9, (30, 5))
    tokens[:, 4] = 0
    return tokens, rng.standard_normal((30, 2)).astype(np.float32)


def test_a_mask_is_read_at_every_call(layers, batch):
    padding = {"of": 0}

    def mask(tokens):
        return tokens != padding["of"]

    for padding["of"] in (0, 3):
        found = inspect(*layers, [batch], reduce="samples", mask=mask).spectra["layers.0"]
        assert found.num_samples == (batch[0] != padding["of"]).sum()
        values = np.asarray(layers[0](layers[1], batch[0])[1]["layers.0"])
        counts = batch[0] != padding["of"]
        targets = np.repeat(batch[1], 5, axis=0)[counts.ravel()]
        expected = ja.spectrum(ja.prepare(values[counts]), targets, centered=True)
        np.testing.assert_allclose(found.energy[:3], expected.energy[:3], rtol=1e-3)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (lambda tokens: tokens, r"found 0 \.\.\. 8; return mask > 0"),
        (lambda tokens: 1.0 * (tokens > 0), "found float32; return mask > 0"),
        (lambda tokens: jnp.ones((30, 6), bool), r"6 positions a row, and the layers layers.0 \("),
        (lambda tokens: tokens < 0, "none in 30 rows, as in row 0"),
        (lambda tokens: tokens[0] > 0, r"of n = 30 rows, found shape \(5,\)"),
        (lambda tokens: None, "found NoneType"),
    ],
)
def test_a_mask_of_something_else_is_refused(layers, batch, mask, message):
    with pytest.raises((ValueError, TypeError), match=message):
        inspect(*layers, [batch], mask=mask)
