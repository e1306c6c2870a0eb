import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before jax loads its BLAS

import jax
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def x64(request):
    """Runs the test under both settings of jax's x64 flag."""
    with jax.enable_x64(request.param):
        yield request.param


def orthonormal(rng: np.random.Generator, n: int, r: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, r)))[0]


@pytest.fixture
def matrix_of(rng):
    """``matrix_of(n, d, sigma)``: a float64 matrix of that shape with those singular values."""

    def build(n: int, d: int, sigma) -> np.ndarray:
        sigma = np.asarray(sigma, float)
        return orthonormal(rng, n, len(sigma)) * sigma @ orthonormal(rng, d, len(sigma)).T

    return build


@pytest.fixture(scope="session")
def reference():
    """``reference(Φ, Y)``: (σ, energy) by numpy's float64 SVD, energy under the rank tolerance of Φ's dtype set to 0."""

    def solve(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, sigma, _ = np.linalg.svd(np.asarray(features, float), full_matrices=False)
        tolerance = sigma[0] * np.finfo(features.dtype).eps * max(features.shape)
        return sigma, np.where(sigma[:, None] > tolerance, (u.T @ np.asarray(targets, float)) ** 2, 0)

    return solve
