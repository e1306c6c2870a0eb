"""Products of rows by numpy, for arrays in the host's memory: BLAS does half of a symmetric product, XLA's CPU kernel all."""

import jax
import numpy as np

from jaxalign._checks import is_concrete

_BLOCK = 1024


def is_on_host(*arrays: jax.Array) -> bool:
    """Whether all values can be read now, and lie on one CPU device."""
    return all(is_concrete(x) and [device.platform for device in x.devices()] == ["cpu"] for x in arrays)


def products(features: np.ndarray, columns: list[np.ndarray], weights: np.ndarray | None, basis: tuple | None) -> np.ndarray:
    """Zᵀ diag(w) Z in float64 of Z = [features, columns...], the features as (Φ − center)·directions where a basis is given.

    Rows are turned into float64 in blocks that stay in cache, each added by one symmetric product.
    """
    n, d = features.shape
    width = d + sum(c.shape[1] for c in columns)
    total = np.zeros((width, width))
    rows = np.empty((min(n, _BLOCK), width))
    for start in range(0, n, _BLOCK):
        here = slice(start, start + _BLOCK)
        block = rows[: len(features[here])]
        if basis is None:
            block[:, :d] = features[here]
        else:
            center, directions = basis
            np.matmul(features[here] - center, directions, out=block[:, :d])
        np.concatenate([c[here] for c in columns], axis=1, out=block[:, d:])
        if weights is not None:
            block *= np.sqrt(weights[here, None], dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # seen in the result
            total += block.T @ block
    return total
