import numpy as np
import pytest


def reference_hsic(k, l, estimator):  # noqa: E741
    """HSIC of kernels by its definition, with products of whole matrices."""
    n = len(k)
    center = np.eye(n) - 1 / n
    ones = np.ones(n)
    if estimator == "biased":
        return np.trace(k @ center @ l @ center) / (n - 1) ** 2
    if estimator == "lange":
        below = np.tril_indices(n, -1)
        centred = center @ k @ center, center @ l @ center
        return 2 * (centred[0][below] * centred[1][below]).sum() / (n * (n - 3))
    k, l = (x - np.diag(np.diag(x)) for x in (k, l))  # noqa: E741
    of_sums = (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
    crossed = 2 * (ones @ k @ l @ ones) / (n - 2)
    return (np.trace(k @ l) + of_sums - crossed) / (n * (n - 3))


@pytest.fixture(scope="session")
def reference_cka():
    """``reference_cka(K, L, estimator)`` by the definition."""

    def build(k, l, estimator):  # noqa: E741
        both, own, other = (reference_hsic(*pair, estimator) for pair in ((k, l), (k, k), (l, l)))
        return both / np.sqrt(own * other)

    return build


@pytest.fixture(scope="session")
def hsic_by_definition():
    return reference_hsic


@pytest.fixture
def pair(rng):
    """Two representations that share three of their directions, float32."""
    shared = rng.standard_normal((40, 3))
    x = np.hstack([shared, rng.standard_normal((40, 3))]) @ rng.standard_normal((6, 6))
    y = np.hstack([shared, rng.standard_normal((40, 1))]) @ rng.standard_normal((4, 4))
    return x.astype(np.float32), y.astype(np.float32)
