"""Sums over the rows z = (x − p, y − q, 1, ‖x − p‖², ‖y − q‖²): what a batch adds, and how they
move to another pivot (p, q).

The last three columns are named by their places from the end.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxalign._core import lapack
from jaxalign._core.checks import power_of_ten
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.expansions import as_float64, of_float64
from jaxalign._core.float64 import float64_inside
from jaxalign._core.known import is_on_host
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.integer_products import digits_of, product, table_of
from jaxalign._spectrum.products import Columns, products_of

ONE = -3
X_SQUARES = -2
Y_SQUARES = -1

# Rows that are turned into float64 at once, and stay in cache.
_BLOCK = 1024
PIVOT_DIGITS = 16
"""Binary digits of a pivot. Its square then has 32, so that sums of equal pivots and of their
squares are exact, and pivots that differ are found out.
"""


def rounded_pivot(pivot: Float[Array, " w"]) -> Float[Array, " w"]:
    """A pivot in ``PIVOT_DIGITS`` binary digits: any one near the mean serves as well."""
    # The compiler of a TPU has the operation for float32 alone, which has the digits.
    return on_platform(_rounded, _rounded_in_float32, pivot)


def _rounded(pivot: Float[Array, " w"]) -> Float[Array, " w"]:
    return jax.lax.reduce_precision(pivot, jnp.finfo(pivot.dtype).nexp, PIVOT_DIGITS - 1)


def _rounded_in_float32(pivot: Float[Array, " w"]) -> Float[Array, " w"]:
    return _rounded(pivot.astype(jnp.float32)).astype(pivot.dtype)


def row_products(
    x: Float[Array, "n p"], y: Float[Array, "n q"], pivot: Float[Array, " p+q"]
) -> Array | np.ndarray:
    """Σ zzᵀ (p + q + 3, p + q + 3) in float64.

    Raises:
      ValueError: fourth powers exceed float64 (eager calls).
    """
    if is_on_host(x, y, pivot):
        return _on_host(np.asarray(x), np.asarray(y), np.asarray(pivot))
    return _traced(x, y, pivot)


def _on_host(x: np.ndarray, y: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    n, p = x.shape
    width = p + y.shape[1] + 3
    total = np.zeros((width, width))
    buffer = np.empty((min(n, _BLOCK), width))
    # Infinities are looked for in the result.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, n, _BLOCK):
            here = slice(start, start + _BLOCK)
            block = buffer[: len(x[here])]
            np.subtract(x[here], pivot[:p], out=block[:, :p])
            np.subtract(y[here], pivot[p:], out=block[:, p:ONE])
            block[:, ONE] = 1
            block[:, X_SQUARES] = np.einsum("np,np->n", block[:, :p], block[:, :p])
            block[:, Y_SQUARES] = np.einsum("nq,nq->n", block[:, p:ONE], block[:, p:ONE])
            lapack.add_products(block, total)
    if not np.isfinite(total).all():
        sizes = {name: float(np.abs(values).max()) for name, values in (("x", x), ("y", y))}
        name = max(sizes, key=sizes.__getitem__)
        raise ValueError(
            f"{name} must have fourth powers within float64, found values up to "
            f"{sizes[name]:.1e}; divide {name} by {power_of_ten(sizes[name]):.0e}"
        )
    # BLAS computed the upper triangle.
    return total + np.triu(total, 1).T


_REASON = "pair moments have no derivative; differentiate linear_cka(x, y) of arrays instead"


@partial(without_derivative, reason=_REASON)
@jax.jit
def _traced(x: Array, y: Array, pivot: Array) -> Array:
    def run(x: Array, y: Array, pivot: Array) -> Array:
        return products_of(_columns, (x, y), pivot)

    def in_integers(x: Array, y: Array, pivot: Array) -> Array:
        digits = digits_of(table_of(of_float64(_augmented(x, y, pivot))), words=2)
        return as_float64(product(digits, digits, parts=3))

    return on_platform(float64_inside(run), in_integers, x, y, pivot)


def _columns(rows: tuple[Array, Array], pivot: Array) -> Columns:
    return [_augmented(*rows, pivot)], []


def _augmented(x: Array, y: Array, pivot: Array) -> Float[Array, "n w"]:
    p = x.shape[1]
    pair = jnp.concatenate([x.astype(jnp.float64), y.astype(jnp.float64)], axis=1)
    shifted = pair - pivot[None, :]
    squares = [jnp.sum(part**2, axis=1) for part in (shifted[:, :p], shifted[:, p:])]
    return jnp.column_stack([shifted, jnp.ones(len(x)), *squares])


def moved(total: Float[Array, "w w"], shift: Float[Array, " p+q"], p: int) -> Float[Array, "w w"]:
    """The sums about the pivot plus ``shift``, from those about the pivot."""
    return _rows_moved(_rows_moved(total, shift, p).T, shift, p)


def _rows_moved(total: Array, shift: Array, p: int) -> Array:
    # x − p − s = (x − p) − s, and ‖x − p − s‖² = ‖x − p‖² − 2 sᵀ(x − p) + ‖s‖²: linear in z.
    ones = total[ONE]
    features = total[:ONE] - jnp.outer(shift, ones)
    squares = []
    for row, columns in ((X_SQUARES, slice(0, p)), (Y_SQUARES, slice(p, total.shape[0] + ONE))):
        own = shift[columns]
        squares.append(
            total[row] - 2 * jnp.sum(own[:, None] * total[columns], axis=0) + jnp.sum(own**2) * ones
        )
    return jnp.concatenate([features, ones[None], jnp.stack(squares)])
