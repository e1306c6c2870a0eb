"""Squared distances between rows, of which far rows cost near ones no digits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
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
        return jnp.sum((row[None, :] - self.rows) ** 2, axis=1)

    def _by_products(self, row: Float[Array, " d"]) -> Float[Array, " n"]:
        products = matmul(self.rows, row)
        # Rounding may leave the distance of equal rows below 0.
        return jnp.maximum(jnp.sum(row**2) + self.squares - 2 * products, 0)


UNEVEN = 2.0**-24
"""Squared distances below this share of the largest ‖x_i‖² lose half of the digits in products."""
# Rows so far apart in the list are compared to find it out.
_APART = 10


def cloud_of(x: Float[Array, "n d"]) -> Cloud:
    """The Cloud of rows about their mean."""
    squares = jnp.sum(x**2, axis=1)
    fixed = jax.lax.stop_gradient(x)
    each = [
        jnp.sum((fixed[apart:] - fixed[:-apart]) ** 2, axis=1)
        for apart in range(1, min(_APART, len(x) - 1) + 1)
    ]
    some = jnp.concatenate(each)
    nearest = jnp.min(jnp.where(some > 0, some, jnp.inf))
    largest = jnp.max(jax.lax.stop_gradient(squares))
    return Cloud(x, squares, nearest < UNEVEN * largest)
