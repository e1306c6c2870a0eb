import numpy as np
import pytest

import jaxalign as ja
from jaxalign.comparison import SavedLayers

N = 30


def saved(layers: dict[str, np.ndarray], **settings) -> SavedLayers:
    """Arrays as a side of a comparison."""
    return SavedLayers(layers, {name: x.shape for name, x in layers.items()}, **settings)


@pytest.fixture(scope="session")
def as_side():
    return saved


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, N)


@pytest.fixture(scope="session")
def targets(labels) -> np.ndarray:
    return np.asarray(ja.encode_targets(labels, classes=(0, 1)))


@pytest.fixture(scope="session")
def layers(labels) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Layers of two models that know the labels, with one that is noise, one that is constant and
    one that is wider than its rows.
    """
    rng = np.random.default_rng(0)
    known = rng.standard_normal((N, 3)) + 3 * labels[:, None]
    turned = known @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    first = {"known": known, "noise": rng.standard_normal((N, 3)), "constant": np.ones((N, 3))}
    second = {"known": turned + 5, "wide": known @ rng.standard_normal((3, 40))}
    return tuple(
        {name: x.astype(np.float32) for name, x in side.items()} for side in (first, second)
    )


@pytest.fixture(scope="session")
def sides(layers) -> tuple[SavedLayers, SavedLayers]:
    return saved(layers[0]), saved(layers[1])
