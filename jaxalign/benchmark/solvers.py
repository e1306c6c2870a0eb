"""The solvers of the race: what a user would call for (σ, (UᵀY)²), and bare matrix products.

Each takes the data and returns the call to be timed, which waits for its result.
"""

from collections.abc import Callable
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import Precision
from jax.lax.linalg import SvdAlgorithm
from jaxtyping import Float

from jaxalign._spectrum.batched import spectra
from jaxalign._spectrum.moments import moments
from jaxalign._spectrum.quadrature import quadrature
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.benchmark.problem import Shape

Call = Callable[[], Any]


class Data:
    """Float32 Φ and Y, in the host's memory and on the default device."""

    def __init__(
        self, features: Float[np.ndarray, "*batch n d"], targets: Float[np.ndarray, "*batch n k"]
    ):
        self.features = features
        self.targets = targets

    @cached_property
    def placed(self) -> tuple[Float[Array, "*batch n d"], Float[Array, "*batch n k"]]:
        """Φ and Y on the default device."""
        return jax.device_put(self.features), jax.device_put(self.targets)


Solver = Callable[[Data], Call]

OURS = "jaxalign"
NUMPY = "numpy svd"
JAX = "jnp svd"
GEMM = "gemm float32"
GEMM64 = "gemm float64"
GRAM = "moments"
COPY = "copy"
PRODUCTS = (GEMM, GEMM64, GRAM, COPY)
"""Not spectra: bare products and a pass over Φ, which show the speed of the machine."""
ORDER = 16
"""Steps of the quadrature. Its points give the area, but only bounds of the curve."""


def as_answer(result: Any) -> tuple[Float[np.ndarray, "*batch r"], Float[np.ndarray, "*batch r k"]]:
    """(σ, (UᵀY)²) of a solver's result: a Spectrum, or a tuple of the two."""
    if isinstance(result, Spectrum):
        result = (result.singular_values, result.energy)
    sigma, energy = result
    return np.asarray(sigma), np.asarray(energy)


def solvers(shape: Shape, platform: str) -> dict[str, Solver]:
    """All solvers that can run for such matrices on a platform; ``OURS`` first."""
    batched = bool(shape.batch)
    eager = spectra if batched else spectrum
    ours: dict[str, Solver] = {
        OURS: _eager(eager),
        f"{OURS}, in jit": _jitted(spectrum, batched),
        f"{OURS}, refined": _eager(partial(eager, method="refined")),
        f"{OURS}, triangular": _jitted(partial(spectrum, method="triangular"), batched),
    }
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
        algorithms = {
            "gesvdj": SvdAlgorithm.JACOBI,
            "gesvd": SvdAlgorithm.QR,
            "gesvdp": SvdAlgorithm.POLAR,
        }
        for name, algorithm in algorithms.items():
            theirs[f"lax svd, {name}"] = _jitted(partial(_jax_svd, algorithm=algorithm), batched)
    if find_spec("torch"):
        theirs["torch svd"] = _torch_svd
    return ours | theirs | _products(batched, platform)


def _products(batched: bool, platform: str) -> dict[str, Solver]:
    products: dict[str, Solver] = {
        GEMM: _jitted(lambda x, y: _gemm(x), batched),
        GRAM: _jitted(moments, batched),
        # Reads Φ and writes as much.
        COPY: _jitted(lambda x, y: x + 1, batched),
    }
    if platform == "cpu":
        products[f"{GEMM}, numpy"] = _numpy_gemm
    else:
        products[GEMM64] = _float64_gemm(batched)
    return products


def _finished(function: Callable, *arguments) -> Call:
    return lambda: jax.block_until_ready(function(*arguments))


def _eager(function: Callable[[Array, Array], Any]) -> Solver:
    return lambda data: _finished(function, *data.placed)


def _jitted(function: Callable[[Array, Array], Any], batched: bool) -> Solver:
    program = jax.jit(jax.vmap(function) if batched else function)
    return lambda data: _finished(program, *data.placed)


def _jax_svd(
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    algorithm: SvdAlgorithm | None = None,
) -> tuple[Float[Array, " r"], Float[Array, "r k"]]:
    left, sigma, _ = jax.lax.linalg.svd(features, full_matrices=False, algorithm=algorithm)
    return sigma, jnp.matmul(left.T, targets, precision=Precision.HIGHEST) ** 2


def _numpy_svd(data: Data) -> Call:
    return partial(_by_numpy, data.features, data.targets)


def _numpy_loop(data: Data) -> Call:
    def call() -> tuple[np.ndarray, ...]:
        pairs = zip(data.features, data.targets, strict=True)
        answers = [_by_numpy(x, y) for x, y in pairs]
        return tuple(np.stack(part) for part in zip(*answers, strict=True))

    return call


def _by_numpy(
    features: Float[np.ndarray, "n d"], targets: Float[np.ndarray, "n k"]
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "r k"]]:
    left, sigma, _ = np.linalg.svd(features, full_matrices=False)
    return sigma, (left.T @ targets) ** 2


def _randomized_svd(data: Data) -> Call:
    from sklearn.utils.extmath import randomized_svd

    def call() -> tuple[np.ndarray, np.ndarray]:
        rank = min(50, data.features.shape[1])
        left, sigma, _ = randomized_svd(data.features, rank, random_state=0)
        return sigma, (left.T @ data.targets) ** 2

    return call


def _torch_svd(data: Data) -> Call:
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x, y = (torch.tensor(array, device=device) for array in (data.features, data.targets))

    def call() -> tuple[np.ndarray, np.ndarray]:
        left, sigma, _ = torch.linalg.svd(x, full_matrices=False)
        return sigma.cpu().numpy(), ((left.mT @ y) ** 2).cpu().numpy()

    return call


def _gemm(features: Float[Array, "n d"]) -> Float[Array, "d d"]:
    return jnp.matmul(features.T, features, precision=Precision.HIGHEST)


def _float64_gemm(batched: bool) -> Solver:
    def prepare(data: Data) -> Call:
        # Compiled here: the call is made where float64 is not enabled.
        with jax.enable_x64(True):
            wide = data.placed[0].astype(jnp.float64)
            program = jax.jit(jax.vmap(_gemm) if batched else _gemm).lower(wide).compile()
        return _finished(program, wide)

    return prepare


def _numpy_gemm(data: Data) -> Call:
    # A copy, since numpy computes only half of the product of a matrix with its own transpose.
    transposed = np.ascontiguousarray(np.swapaxes(data.features, -1, -2))
    return lambda: np.matmul(transposed, data.features)
