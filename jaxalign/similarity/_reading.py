"""What is read from pair moments: products about the mean, and the sums over two kernels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.float64 import float64_inside
from jaxalign._core.known import known_values
from jaxalign._core.platform import on_platform
from jaxalign.similarity._augmented import ONE, X_SQUARES, Y_SQUARES
from jaxalign.similarity._kernel_sums import KernelSums, squared_norms
from jaxalign.similarity._pair import compared, require_rows
from jaxalign.similarity._pair_moments import PairMoments, require_one_pivot
from jaxalign.similarity._pivots import about_mean

# A spread about the mean below this share of the squares about the pivot is rounding.
_ROUNDING = 2.0**-46
# With less than this share, fourth powers lose more digits than results in float32 have.
_LEAST_SHARE = 2.0**-15


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("n", "products", "traces", "diagonal"),
    meta_fields=("p",),
)
@dataclass(frozen=True)
class Central:
    """Sums about the means of X (n, p) and Y (n, q).

    Attributes:
      n: () number of rows.
      products: (p + q, p + q) [X Y]ᵀ[X Y].
      traces: (2,) ‖X‖² and ‖Y‖².
      diagonal: (3,) Σ a_i b_i, Σ a_i² and Σ b_i² of a = ‖x‖², b = ‖y‖².
      p: the number of columns of X.
    """

    n: Float[Array, ""]
    products: Float[Array, "p+q p+q"]
    traces: Float[Array, " 2"]
    diagonal: Float[Array, " 3"]
    p: int


def read(measure: Callable[..., Any], moments: PairMoments, *settings: Any, least: int = 2) -> Any:
    """``measure(central, *settings)`` of a function of the module level, computed in float64.

    Raises:
      ValueError: moments of fewer rows, summed over several pivots, or about one that is too far
        from the mean (eager calls).
    """
    require_one_pivot(moments)
    products = known_values(moments.products)
    if products is not None:
        require_rows(round(products[ONE, ONE]), least)
        _require_near_pivot(products, moments.widths[0])
    dtype = np.dtype(jax.dtypes.canonicalize_dtype(np.dtype(moments.precision)))
    return _read(measure, settings, dtype, moments)


def _require_near_pivot(products: Float[np.ndarray, "w w"], p: int) -> None:
    sums = products[:ONE, ONE]
    for name, row, own in (("x", X_SQUARES, sums[:p]), ("y", Y_SQUARES, sums[p:])):
        squares = products[row, ONE]
        share = 1 - np.sum(own**2) / products[ONE, ONE] / squares if squares > 0 else 0.0
        if _ROUNDING < share < _LEAST_SHARE:
            raise ValueError(
                f"the pivot of the moments is {share**-0.5:.0e} times as far from the mean of "
                f"{name} as its rows, which leaves too few digits; "
                f"subtract a constant from {name}, or pass pivot= near its mean"
            )


def compared_or_read(
    of_arrays: Callable[..., Any],
    of_moments: Callable[..., Any],
    x: ArrayLike | PairMoments,
    y: ArrayLike | None,
    *settings: Any,
    least: int = 2,
) -> Any:
    """A measure of arrays, or of PairMoments alone.

    Raises:
      ValueError: as ``compared`` and ``read``; y missing, or beside pair moments.
    """
    if isinstance(x, PairMoments):
        if y is not None:
            raise ValueError("pair moments hold x and y; pass them alone")
        return read(of_moments, x, *settings, least=least)
    if y is None:
        raise ValueError("y is missing; pass two arrays of the same rows, or pair_moments(x, y)")
    return compared(of_arrays, x, y, *settings, least=least)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _read(
    measure: Callable[..., Any], settings: tuple, dtype: np.dtype, moments: PairMoments
) -> Any:
    p = moments.widths[0]

    def in_dtype(precision: type, products: Array, powers: Array) -> Any:
        central = jax.tree.map(lambda x: x.astype(precision), _central(products, powers, p))
        results = measure(central, *settings)
        return jax.tree.map(lambda result: result.astype(dtype), results)

    usual = float64_inside(partial(in_dtype, np.float64))
    # The sums are taken about the mean before they are rounded.
    return on_platform(usual, partial(in_dtype, np.float32), *moments.leaves)


def _central(products: Array, powers: Array, p: int) -> Central:
    about = about_mean(products, powers, p)
    rows = (X_SQUARES, Y_SQUARES)
    raw = jnp.stack([products[row, ONE] for row in rows])
    traces = jnp.stack([about[row, ONE] for row in rows])
    # What is constant over all rows has a spread of exactly 0.
    varies = jnp.where(traces <= _ROUNDING * raw, 0, 1).astype(traces.dtype)
    columns = jnp.repeat(varies, np.array([p, products.shape[0] + ONE - p]))
    pairs = jnp.stack([about[X_SQUARES, Y_SQUARES], *(about[row, row] for row in rows)])
    return Central(
        n=products[ONE, ONE],
        products=about[:ONE, :ONE] * columns[:, None] * columns[None, :],
        traces=traces * varies,
        diagonal=pairs * jnp.stack([varies[0] * varies[1], varies[0], varies[1]]),
        p=p,
    )


def kernel_sums(central: Central) -> KernelSums:
    """The sums over the kernels XXᵀ and YYᵀ: ⟨XXᵀ, YYᵀ⟩ = ‖XᵀY‖²."""
    inner = squared_norms(central.products, central.p)
    return KernelSums(central.n, central.traces, inner, central.diagonal)
