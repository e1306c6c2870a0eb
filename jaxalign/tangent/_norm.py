"""The size of the tangent kernel, and its alignment with targets as one number."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_real_floats, require_finite
from jaxalign._core.kinds import as_count, require_key
from jaxalign._core.linalg import matmul, orthonormal
from jaxalign.tangent._products import (
    Outputs,
    require_outputs,
    require_parameters,
    tangent_products,
)
from jaxalign.tangent._program import Program, as_inputs
from jaxalign.tangent._spectrum import checked_targets


class TangentNorm(NamedTuple):
    """An estimate of ‖Θ‖_F.

    Attributes:
      value: the estimate; its square is unbiased.
      error: its standard error, over the probes.
    """

    value: Float[Array, ""]
    error: Float[Array, ""]


def tangent_norm(
    function: Outputs,
    parameters: Any,
    inputs: Any,
    *,
    key: Array,
    directions: int = 20,
    probes: int = 20,
) -> TangentNorm:
    """‖Θ‖_F of the neural tangent kernel Θ = JJᵀ, from 2·directions + probes products with Θ.

    ‖Θ‖_F² = ‖ΘQ‖_F² + ‖Θ(I − QQᵀ)‖_F². The first term is exact, for an orthonormal basis Q of Θ
    times random vectors, which holds most of Θ; the second is a mean over random probes. Probes
    alone miss by tens of percent.

    Args:
      function: (parameters, inputs) ↦ outputs (n,) or (n, c). Where what it closes over has
        changed, it is compiled again; what changes often belongs in the inputs.
      parameters: a pytree of arrays of floats.
      inputs: of the function.
      key: of the random vectors.
      directions: number of columns of Q, at most n·c; with n·c the result is exact.
      probes: number of random vectors for the rest, at least 2.

    Returns:
      TangentNorm.

    Raises:
      ValueError, TypeError: as ``tangent_products``; numbers out of range.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxalign as ja
      >>> head = lambda w, x: x @ w
      >>> x = jnp.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
      >>> norm = ja.tangent.tangent_norm(
      ...     head, jnp.zeros(2), x, key=jax.random.key(0), directions=3
      ... )
      >>> round(float(norm.value), 3)  # √(9² + 1²)
      9.055

    Source: Hutch++ of Meyer et al. (SOSA 2021), of Θ².
    """
    require_outputs(function)
    require_key(key)
    directions = as_count(directions, "directions")
    probes = as_count(probes, "probes", least=2)
    require_parameters(parameters)

    def run(parameters: Any, inputs: Any, key: Array) -> TangentNorm:
        program = Program(function, parameters, inputs)
        return _norm(program, directions, probes, parameters, inputs, key)

    return on_automatic_axes(run, parameters, as_inputs(inputs), key)


def tangent_alignment(
    function: Outputs,
    parameters: Any,
    inputs: Any,
    targets: ArrayLike,
    *,
    key: Array,
    directions: int = 20,
    probes: int = 20,
) -> Float[Array, " k"]:
    """yᵀΘy/(‖y‖²‖Θ‖_F): the kernel-target alignment of the neural tangent kernel, not centred.

    By chance, for a target in a random direction, it is tr Θ/(m‖Θ‖_F) on average, m the number of
    rows of J.

    Args:
      function, parameters, inputs, key, directions, probes: as in ``tangent_norm``.
      targets: as in ``tangent_spectrum``.

    Returns:
      (k,) from 0 to 1; NaN for a target of zeros, and where Θ is 0.

    Raises:
      ValueError, TypeError: as ``tangent_norm``; targets that do not fit the outputs or are not
        finite.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxalign as ja
      >>> head = lambda w, x: x @ w
      >>> x = jnp.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
      >>> y = jnp.array([1.0, 0.0, 0.0])
      >>> alignment = ja.tangent.tangent_alignment(
      ...     head, jnp.zeros(2), x, y, key=jax.random.key(0), directions=3
      ... )
      >>> alignment.round(3).tolist()  # 9/√82
      [0.9940000176429749]

    Source: Cristianini et al. (NeurIPS 2001), of the kernel of Jacot, Gabriel, Hongler (NeurIPS
      2018).
    """
    require_outputs(function)
    require_key(key)
    directions = as_count(directions, "directions")
    probes = as_count(probes, "probes", least=2)
    y = as_real_floats(targets, "targets")
    require_finite(y, "targets")
    require_parameters(parameters)

    def run(parameters: Any, inputs: Any, y: Array, key: Array) -> Float[Array, " k"]:
        program = Program(function, parameters, inputs)
        return _alignment(program, directions, probes, parameters, inputs, y, key)

    return on_automatic_axes(run, parameters, as_inputs(inputs), y, key)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _norm(
    function: Outputs, directions: int, probes: int, parameters: Any, inputs: Any, key: Array
) -> TangentNorm:
    products = tangent_products(function, parameters, inputs)
    outputs = jax.eval_shape(function, parameters, inputs)
    if directions > outputs.size:
        raise ValueError(
            f"directions must be at most the {outputs.size} outputs, found {directions}"
        )

    def kernel(u: Float[Array, "m k"]) -> Float[Array, "m k"]:
        return products.product(products.transposed(u))

    # What is computed of a model's products is at least float32.
    dtype = jnp.promote_types(outputs.dtype, jnp.float32)
    of_basis, of_probes = jax.random.split(key)
    random = jax.random.normal(of_basis, (outputs.size, directions), dtype)
    image = kernel(random).astype(dtype)
    # In units of its size: squares of it may leave the range.
    largest = jnp.max(jnp.abs(image))
    size = jnp.where(largest > 0, largest, 1)
    q, _ = orthonormal(image / size)
    inside = jnp.sum((kernel(q).astype(dtype) / size) ** 2)
    rest = jax.random.rademacher(of_probes, (outputs.size, probes), dtype)
    rest = rest - matmul(q, matmul(q.T, rest))
    # With all directions nothing is left but rounding.
    is_whole = directions == outputs.size
    each = jnp.zeros(probes, dtype)
    if not is_whole:
        each = jnp.sum((kernel(rest).astype(dtype) / size) ** 2, axis=0)
    norm = jnp.sqrt(inside + jnp.mean(each))
    deviation = jnp.std(each, ddof=1) / probes**0.5
    # Of NaN, the error is NaN too.
    error = jnp.where(norm == 0, 0, deviation / (2 * jnp.where(norm == 0, 1, norm)))
    return TangentNorm(norm * size, error * size)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _alignment(
    function: Outputs,
    directions: int,
    probes: int,
    parameters: Any,
    inputs: Any,
    targets: Array,
    key: Array,
) -> Float[Array, " k"]:
    products = tangent_products(function, parameters, inputs)
    y = checked_targets(jax.eval_shape(function, parameters, inputs), targets)
    norm = _norm(function, directions, probes, parameters, inputs, key).value
    # Unit targets and √‖Θ‖_F: squares may leave the range.
    unit = y / jnp.max(jnp.abs(y), axis=0, keepdims=True)
    unit = (unit / jnp.linalg.norm(unit, axis=0, keepdims=True)).astype(norm.dtype)
    along = products.transposed(unit).astype(norm.dtype) / jnp.sqrt(norm)
    return jnp.sum(along**2, axis=0)  # yᵀJJᵀy
