import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import inspect


class Net(nnx.Module):
    """A map with a functional relu after it, a batch norm, a head."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(1, 3, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.head = nnx.Linear(3, 4, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.norm(self.conv(x))).mean(axis=(1, 2)))


@pytest.fixture(scope="session")
def net():
    model = Net()
    model.eval()
    return model


@pytest.fixture(scope="session")
def tap(net):
    """One tap for all tests, whose programs are compiled once."""
    return ja.tap(net)


@pytest.fixture(scope="session")
def data():
    """70 images 4 × 4 and targets of three classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 70)
    images = rng.standard_normal((70, 4, 4, 1)).astype(np.float32) + labels[:, None, None, None]
    return images, np.asarray(ja.encode_targets(labels, classes=(0, 1, 2)))


def cut(size, *arrays):
    """Batches of a size; the last may be shorter."""
    return [tuple(x[i : i + size] for x in arrays) for i in range(0, len(arrays[0]), size)]


@pytest.fixture(scope="session", name="cut")
def _cut():
    return cut


@pytest.fixture(scope="session")
def usual(net, tap, data):
    """The inspection of the net over the data in batches of 32, all options at their defaults."""
    return inspect(tap, nnx.state(net), cut(32, *data))
