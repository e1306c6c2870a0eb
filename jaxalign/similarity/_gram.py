"""ZᵀZ with a derivative, by the fastest product."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.linalg import matmul
from jaxalign._spectrum.products import products


@jax.custom_vjp
def gram(z: Float[Array, "n w"]) -> Float[Array, "w w"]:
    """ZᵀZ, of float64 by blocks of rows."""
    return matmul(z.T, z) if z.dtype == jnp.float32 else products([z])


def _forward(z: Array) -> tuple[Array, Array]:
    return gram(z), z


def _backward(z: Array, cotangent: Array) -> tuple[Array]:
    return (matmul(z, cotangent + cotangent.T),)


gram.defvjp(_forward, _backward)
