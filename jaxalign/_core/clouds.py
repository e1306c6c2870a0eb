"""Squared distances between rows, of which far rows cost near ones no digits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from jaxalign._core.linalg import matmul


class Cloud(NamedTuple):
    """Rows between which distances are taken.

    Attributes:
      rows: (n, d), about their mean.
      squares: (n,) ‖x_i‖².
      is_uneven: () whether some rows are so much nearer to each other than to the others that
        products would round their distances.
    """

    rows: Float[Array, "n d"]
    squares: Float[Array, " n"]
    is_uneven: Bool[Array, ""]

    def distances(self, row: Float[Array, " d"]) -> Float[Array, " n"]:
        """‖row − x_j‖² for all rows j."""
        return jax.lax.cond(self.is_uneven, self._by_differences, self._by_products, row)

    def _by_differences(self, row: Float[Array, " d"]) -> Float[Array, " n"]:
        return _sums_of_squares(row, self.rows)

    def _by_products(self, row: Float[Array, " d"]) -> Float[Array, " n"]:
        products = matmul(self.rows, row)
        # Rounding may leave the distance of equal rows below 0.
        return jnp.maximum(jnp.sum(row**2) + self.squares - 2 * products, 0)


def uneven_below(dtype: DTypeLike) -> float:
    """Squared distances below this share of the largest ‖x_i‖² lose half of the digits in
    products.
    """
    return 4 * float(jnp.finfo(dtype).eps) ** 0.5


# Rows so far apart in the list are compared to find it out.
_APART = 10


def cloud_of(x: Float[Array, "n d"]) -> Cloud:
    """The Cloud of rows about their mean."""
    squares = jnp.sum(x**2, axis=1)
    fixed = jax.lax.stop_gradient(x)
    numbers = jnp.arange(len(x))

    def nearest_of(apart: Array) -> Float[Array, ""]:
        others = fixed[(numbers + apart) % len(x)]
        some = jnp.sum((fixed - others) ** 2, axis=1)
        return jnp.min(jnp.where(some > 0, some, jnp.inf))

    # One after another: each takes as much memory as the rows.
    nearest = jnp.min(jax.lax.map(nearest_of, jnp.arange(1, _APART + 1)))
    largest = jnp.max(jax.lax.stop_gradient(squares))
    return Cloud(x, squares, nearest < uneven_below(x.dtype) * largest)


@jax.custom_vjp
def _sums_of_squares(row: Float[Array, " d"], rows: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Σ_m (row_m − x_jm)², of which no (n, d) differences are in memory: of a block of rows a
    program would keep room for them, needed or not.
    """
    return jnp.sum((row[None, :] - rows) ** 2, axis=1)


def _forward(row: Array, rows: Array) -> tuple[Array, tuple[Array, Array]]:
    return _sums_of_squares(row, rows), (row, rows)


def _backward(pair: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    row, rows = pair
    of_rows = -2 * cotangent[:, None] * (row[None, :] - rows)
    # Two sums of the same differences, which a compiler would store to compute them once.
    row, rows, cotangent = jax.lax.optimization_barrier((row, rows, cotangent))
    return jnp.sum(2 * cotangent[:, None] * (row[None, :] - rows), axis=0), of_rows


_sums_of_squares.defvjp(_forward, _backward)
