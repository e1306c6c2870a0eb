"""The racers: what a user would call for (σ, (UᵀY)²) of each matrix, and the bare products nobody
can do without.

Each takes the data and returns the call to be timed, which has finished when it returns.
"""

from collections.abc import Callable
from functools import cached_property, partial
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import Precision
from jax.lax.linalg import SvdAlgorithm

from jaxalign._spectrum.batched import spectra
from jaxalign._spectrum.moments import moments
from jaxalign._spectrum.quadrature import quadrature
from jaxalign._spectrum.spectrum import Spectrum, spectrum
from jaxalign.benchmark.problem import Shape

Call = Callable[[], tuple]


class Data:
    """Float32 Φ and Y in the host's memory, and where jax computes."""

    def __init__(self, features: np.ndarray, targets: np.ndarray):
        self.features, self.targets = features, targets

    @cached_property
    def placed(self) -> tuple[Array, Array]:
        """Both on the default device."""
        return jax.device_put(self.features), jax.device_put(self.targets)


Solver = Callable[[Data], Call]

OURS, NUMPY, JAX, GEMM, GEMM64, GRAM = (
    "jaxalign",
    "numpy svd",
    "jnp svd",
    "gemm float32",
    "gemm float64",
    "moments",
)
PRODUCTS = (GEMM, GEMM64, GRAM)
"""No spectra: they measure what the machine can do."""
ORDER = 16
"""Steps of the quadrature, whose points stand for the area; they bound the curve rather than follow
it.
"""


def solvers(shape: Shape, platform: str) -> dict[str, Solver]:
    """All that can run for such matrices on a platform; ``OURS`` first."""
    batched = bool(shape.batch)
    ours: dict[str, Solver] = {
        OURS: _eager(spectra if batched else spectrum),
        f"{OURS}, in jit": _jitted(spectrum, batched),
    }
    ours[f"{OURS}, refined"] = _eager(partial(spectra if batched else spectrum, method="refined"))
    ours[f"{OURS}, triangular"] = _jitted(partial(spectrum, method="triangular"), batched)
    if not batched and shape.d >= ORDER:
        ours[f"{OURS}, quadrature ({ORDER})"] = _jitted(
            lambda x, y: quadrature(x, y, order=ORDER).spectrum, batched
        )
    theirs: dict[str, Solver] = {JAX: _jitted(_jax_svd, batched)}
    if platform == "cpu":
        theirs[NUMPY] = _numpy_loop if batched else _numpy_svd
        if find_spec("sklearn") and not batched:
            theirs["sklearn randomized (50)"] = _randomized_svd
    if platform == "gpu":
        for name, algorithm in (
            ("gesvdj", SvdAlgorithm.JACOBI),
            ("gesvd", SvdAlgorithm.QR),
            ("gesvdp", SvdAlgorithm.POLAR),
        ):
            theirs[f"lax svd, {name}"] = _jitted(partial(_jax_svd, algorithm=algorithm), batched)
    if find_spec("torch"):
        theirs["torch svd"] = _torch_svd
    return ours | theirs | _products(batched, platform)


def _products(batched: bool, platform: str) -> dict[str, Solver]:
    found: dict[str, Solver] = {
        GEMM: _jitted(lambda x, y: (_gemm(x),), batched),
        GRAM: _jitted(lambda x, y: (moments(x, y),), batched),
    }
    if platform == "cpu":
        return found | {f"{GEMM}, numpy": _numpy_gemm}
    return found | {GEMM64: _float64_gemm(batched)}


def _finished(function: Callable, *arguments) -> Call:
    return lambda: jax.block_until_ready(function(*arguments))


def _eager(function: Callable[[Array, Array], Spectrum]) -> Solver:
    return lambda data: _finished(function, *data.placed)


def _jitted(function: Callable[[Array, Array], tuple], batched: bool) -> Solver:
    return lambda data: _finished(
        jax.jit(jax.vmap(function) if batched else function), *data.placed
    )


def _jax_svd(
    features: Array, targets: Array, algorithm: SvdAlgorithm | None = None
) -> tuple[Array, Array]:
    left, sigma, _ = jax.lax.linalg.svd(features, full_matrices=False, algorithm=algorithm)
    return sigma, jnp.matmul(left.T, targets, precision=Precision.HIGHEST) ** 2


def _numpy_svd(data: Data) -> Call:
    return partial(_by_numpy, data.features, data.targets)


def _numpy_loop(data: Data) -> Call:
    def call() -> tuple[np.ndarray, ...]:
        found = [_by_numpy(x, y) for x, y in zip(data.features, data.targets, strict=True)]
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    return call


def _by_numpy(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, sigma, _ = np.linalg.svd(features, full_matrices=False)
    return sigma, (left.T @ targets) ** 2


def _randomized_svd(data: Data) -> Call:
    from sklearn.utils.extmath import randomized_svd

    def call() -> tuple[np.ndarray, np.ndarray]:
        left, sigma, _ = randomized_svd(
            data.features, min(50, data.features.shape[1]), random_state=0
        )
        return sigma, (left.T @ data.targets) ** 2

    return call


def _torch_svd(data: Data) -> Call:
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x, y = (torch.tensor(held, device=device) for held in (data.features, data.targets))

    def call() -> tuple[np.ndarray, np.ndarray]:
        left, sigma, _ = torch.linalg.svd(x, full_matrices=False)
        return sigma.cpu().numpy(), ((left.mT @ y) ** 2).cpu().numpy()

    return call


def _gemm(features: Array) -> Array:
    return jnp.matmul(features.T, features, precision=Precision.HIGHEST)


def _float64_gemm(batched: bool) -> Solver:
    def prepare(data: Data) -> Call:
        with jax.enable_x64(True):
            wide = data.placed[0].astype(jnp.float64)
            return _finished(
                jax.jit(jax.vmap(_gemm) if batched else _gemm).lower(wide).compile(), wide
            )

    return prepare


def _numpy_gemm(data: Data) -> Call:
    turned = np.ascontiguousarray(
        np.swapaxes(data.features, -1, -2)
    )  # of a matrix with itself numpy does half the product
    return lambda: (np.matmul(turned, data.features),)
