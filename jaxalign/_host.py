"""Products of rows by numpy, for arrays in the host's memory: BLAS does half of a symmetric product, XLA's CPU kernel all."""

import jax
import numpy as np

from jaxalign._checks import is_concrete

_BLOCK = 1024


def is_on_host(*arrays: jax.Array) -> bool:
    """Whether all values can be read now, and lie on one CPU device."""
    return all(is_concrete(x) and [device.platform for device in x.devices()] == ["cpu"] for x in arrays)


def products(features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, basis: tuple | None) -> np.ndarray:
    """The ``products`` of Moments in float64, of features as (Φ − center)·directions where a basis is given.

    Rows are turned into float64 in blocks that stay in cache, each added by a symmetric product and one with the targets.
    """
    n, d = features.shape
    total = np.zeros((d + 2, d + 1 + targets.shape[1]))
    rows = np.empty((min(n, _BLOCK), d + 1))
    for start in range(0, n, _BLOCK):
        here = slice(start, start + _BLOCK)
        block, goal = rows[: len(features[here])], targets[here].astype(np.float64)
        if basis is None:
            block[:, :d] = features[here]
        else:
            center, directions = basis
            np.matmul(features[here] - center, directions, out=block[:, :d])
        block[:, d] = 1
        if weights is not None:
            root = np.sqrt(weights[here, None], dtype=np.float64)
            block *= root
            goal *= root
        with np.errstate(over="ignore", invalid="ignore"):  # seen in the result
            total[:-1, : d + 1] += block.T @ block
            total[:-1, d + 1 :] += block.T @ goal
            total[-1, d + 1 :] += np.sum(goal**2, axis=0)
    return total
