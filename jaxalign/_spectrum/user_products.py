"""Products with Φ and Φᵀ that a user passes in place of Φ: whether they fit each other."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import PartitionSpec as P
from jaxtyping import Float

from jaxalign._core.kinds import found
from jaxalign._core.known import known_values
from jaxalign._spectrum.bidiagonal import Product

# Share of ‖Φv‖ and ‖Φᵀu‖ by which products in bfloat16 or TF32 stay well below.
_APART = 0.1


def as_called_outside(
    product: Product, transposed: Product, y: Float[Array, "n k"]
) -> tuple[Product, Product]:
    """Products that are called with arrays on the mesh of the targets, its axes explicit again: u
    split over rows as the targets are, v on every device.
    """
    split = jax.typeof(y).sharding
    axes = split.mesh.explicit_axes
    if not axes:
        return product, transposed
    of_rows = P(*split.spec[:1])
    return (
        jax.sharding.explicit_axes(product, axes=axes, in_sharding=P()),
        jax.sharding.explicit_axes(transposed, axes=axes, in_sharding=of_rows),
    )


def width_of(product: Product, transposed: Product, y: Float[Array, "n k"]) -> int:
    """The number of columns of a Φ given by its products, whose shapes must fit each other."""
    right = _result_of(transposed, y, "second")
    if right.ndim != 2 or right.shape[1] != y.shape[1]:
        raise ValueError(
            f"the second product must map (n, k) = {y.shape} to (d, k), found {right.shape}"
        )
    back = _result_of(product, jax.ShapeDtypeStruct(right.shape, y.dtype), "first")
    if back.shape != y.shape:
        raise ValueError(
            f"the first product must map (d, k) = {right.shape} to (n, k) = {y.shape}, "
            f"found {back.shape}"
        )
    return right.shape[0]


def _result_of(product: Product, argument: Any, which: str) -> jax.ShapeDtypeStruct:
    """Shape and dtype of what a product gives, an array of real floats."""
    result = jax.eval_shape(product, argument)
    if not isinstance(result, jax.ShapeDtypeStruct):
        raise TypeError(f"the {which} product must give one array, found {found(result)}")
    if not jnp.issubdtype(result.dtype, jnp.floating):
        raise TypeError(
            f"the {which} product must give real floats, found dtype {result.dtype}; "
            "Φ is a real matrix, and rounding to integers is no product with it"
        )
    return result


def compared(product: Product, transposed: Product) -> tuple[Product, Product]:
    """The products, which raise where their first results are not those of one matrix Φ and its
    transpose: uᵀ(Φv) = (Φᵀu)ᵀv for every u and v. Traced results are not compared.
    """
    first: list[tuple[Array, Array]] = []
    are_compared = False

    def with_transpose(u: Array) -> Array:
        image = transposed(u)
        if not first:
            first.append((u, image))
        return image

    def with_matrix(v: Array) -> Array:
        nonlocal are_compared
        image = product(v)
        if first and not are_compared:
            _require_transposes(*first[0], v, image)
            are_compared = True
        return image

    return with_matrix, with_transpose


def _require_transposes(u: Array, back: Array, v: Array, there: Array) -> None:
    """Raise unless uᵀ(Φv) = (Φᵀu)ᵀv, of each column."""
    arrays = [known_values(x) for x in (u, there, back, v)]
    if any(x is None for x in arrays):
        return
    left, image, right, other = (np.asarray(x, np.float64) for x in arrays)
    one = np.sum(left * image, axis=0)
    two = np.sum(right * other, axis=0)
    size = np.linalg.norm(image, axis=0) + np.linalg.norm(right, axis=0)
    if (np.abs(one - two) > _APART * size).any():
        i = int(np.argmax(np.abs(one - two)))
        raise ValueError(
            "the products must be with one matrix Φ and its transpose, for which uᵀ(Φv) = (Φᵀu)ᵀv; "
            f"found {one[i]:.3g} and {two[i]:.3g}; pass (lambda v: Φ @ v, lambda u: Φ.T @ u)"
        )
